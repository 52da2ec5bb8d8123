/*
 * hookmoon check: everything that is wrong with a configuration and its scripts.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "config/config_load.h"
#include "ingress/limits.h"

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"scripts", required_argument, NULL, 's'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct check {
    const char *file;
    bool as_json;
    unsigned problems;
};

static void add_member(struct buffer *line, const char *name, const char *value) {
    buffer_add_format(line, "%s\"%s\":", line->length > 1 ? "," : "", name);
    buffer_add_json_string(line, value, strlen(value));
}

static void report(void *context, const char *where, const char *field, const char *message) {
    struct check *check = context;
    check->problems++;
    if (!check->as_json) {
        fprintf(stderr, "%s%s%s: %s%s%s\n", cli_colour(2, "\033[1m"), where,
                cli_colour(2, "\033[0m"), field, field[0] != '\0' ? ": " : "", message);
        return;
    }
    struct buffer line = {0};
    buffer_add_char(&line, '{');
    add_member(&line, "where", where);
    add_member(&line, "field", field);
    add_member(&line, "message", message);
    printf("%s}\n", line.data);
    buffer_free(&line);
}

static void on_bundle_problem(void *context, const char *path, const struct error *e) {
    report(context, path, "", e->message);
}

static void check_scripts(struct check *check, const struct config *c,
                          const struct bundle_list *bundles) {
    struct script_limits limits = limits_for_script(c);
    for (size_t i = 0; i < bundles->count; i++) {
        struct error e;
        struct script *s = script_new(bundles->list[i], &limits, &e);
        if (s == NULL)
            report(check, bundles->list[i]->main, "", e.message);
        script_free(s);
    }
}

static void check_hook(struct check *check, const struct config *c, const char *field,
                       const struct bundle_list *bundles, const char *name) {
    size_t length = strcspn(name, "/");
    const struct bundle *b = bundle_list_find(bundles, name, length);
    char *message = NULL;
    if (b == NULL)
        message = xasprintf("there is no script for /hooks/%s in %s", name, c->scripts);
    else if (name[length] == '/' && !bundle_has_hook(b, name + length + 1))
        message = xasprintf("the manifest of %s lists no hook \"%s\"", b->name, name + length + 1);
    if (message != NULL)
        report(check, check->file, field, message);
    free(message);
}

/* What only the configuration and the scripts together can say. */
static void check_together(struct check *check, const struct config *c,
                           const struct bundle_list *bundles) {
    static const char hooks[] = "/hooks/";
    for (size_t i = 0; i < c->hook_count; i++)
        check_hook(check, c, "hooks", bundles, c->hooks[i].name);
    for (size_t i = 0; i < c->webhook_count; i++) {
        const char *url = c->webhooks[i].url;
        char *field = xasprintf("webhooks[%zu].url", i + 1);
        if (url != NULL && strncmp(url, hooks, sizeof hooks - 1) == 0)
            check_hook(check, c, field, bundles, url + sizeof hooks - 1);
        free(field);
    }
}

static const char *plural(size_t count) {
    return count == 1 ? "" : "s";
}

static int check_all(struct check *check, struct config *c, const char *scripts) {
    struct bundle_list bundles = {0};
    struct error e;
    if (access(check->file, R_OK) != 0) {
        report(check, check->file, "",
               "cannot be read; `hookmoon serve --print-config` prints a start");
        return CLI_FAILED;
    }
    config_load(c, check->file, report, check);
    if (scripts != NULL) {
        free(c->scripts);
        c->scripts = xstrdup(scripts);
    }
    if (!bundle_list_load(&bundles, c->scripts, on_bundle_problem, check, &e)) {
        report(check, check->file, "scripts", e.message);
    } else {
        check_scripts(check, c, &bundles);
        check_together(check, c, &bundles);
    }
    if (check->problems == 0 && !check->as_json)
        printf("%s: good (%zu cache%s, %zu webhook%s, %zu hook%s, %zu key%s; %zu script%s)\n",
               check->file, c->cache_count, plural(c->cache_count), c->webhook_count,
               plural(c->webhook_count), c->hook_count, plural(c->hook_count), c->key_count,
               plural(c->key_count), bundles.count, plural(bundles.count));
    bundle_list_free(&bundles);
    return check->problems == 0 ? CLI_OK : CLI_FAILED;
}

static int run(int argc, char **argv) {
    struct check check = {.file = "hookmoon.lua"};
    const char *scripts = NULL;
    int flag;
    while ((flag = getopt_long(argc, argv, "c:h", long_options, NULL)) != -1) {
        switch (flag) {
        case 'c':
            check.file = optarg;
            break;
        case 's':
            scripts = optarg;
            break;
        case 'j':
            check.as_json = true;
            break;
        case 'h':
            return cli_print_help(&cli_check);
        default:
            return cli_usage_error(&cli_check, "unknown or incomplete option");
        }
    }
    if (optind < argc)
        return cli_usage_error(&cli_check, "unexpected argument \"%s\"", argv[optind]);
    struct config c;
    config_init(&c);
    log_setup(LOG_OFF, LOG_AUTO);
    int result = check_all(&check, &c, scripts);
    config_free(&c);
    return result;
}

const struct cli_command cli_check = {
    .name = "check",
    .summary = "check a configuration and its scripts",
    .help = "usage: hookmoon check [-c FILE] [--scripts DIR] [--json]\n"
            "\n"
            "Reports every mistake with file, line and field; exit 0 when there is none.\n"
            "\n"
            "  -c, --config FILE   the configuration (hookmoon.lua)\n"
            "      --scripts DIR   the folder of the scripts, instead of the configured one\n"
            "      --json          one JSON object a line: where, field, message\n",
    .run = run,
};
