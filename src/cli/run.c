/*
 * hookmoon run: a script on saved events, without a server.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/local_script.h"
#include "ingress/event.h"

#define EVENTS_BYTES (256u * 1024 * 1024)

static const struct option long_options[] = {
    {"event", required_argument, NULL, 'e'},
    {"hook", required_argument, NULL, 'k'},
    {"header", required_argument, NULL, 'H'},
    {"config", required_argument, NULL, 'c'},
    {"keep-going", no_argument, NULL, 'g'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct header {
    char *name;
    const char *value;
};

struct runner {
    const char *event_file;
    const char *hook;
    struct header *headers;
    size_t header_count;
    bool keep_going;
    struct local_script local;
    uint64_t number; /* events so far */
    unsigned line;   /* where the event begins */
    bool failed;
};

static void each_header(const void *source, void (*each)(void *, const char *, const char *),
                        void *context) {
    const struct runner *r = source;
    for (size_t i = 0; i < r->header_count; i++)
        each(context, r->headers[i].name, r->headers[i].value);
}

static void print_publish(const struct publish *p) {
    struct buffer line = {0};
    local_script_add_publish(&line, p);
    printf("{%s}\n", line.data);
    buffer_free(&line);
}

/* A sample may leave out what the gateway would have filled in. */
static void complete(json_t *event, uint64_t number) {
    int64_t now = clock_wall_ms();
    json_t *defaults =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:s, s:s}", "cache", "chat", "topic", "topic 1",
                  "event_timestamp", (json_int_t)now, "publish_timestamp", (json_int_t)now,
                  "topic_sequence_number", (json_int_t)number, "token_id", "", "text", "");
    json_object_update_missing(event, defaults);
    json_decref(defaults);
}

static void fail_event(struct runner *r, const char *why) {
    r->failed = true;
    fprintf(stderr, "%s%s:%u: event %" PRIu64 ": %s%s\n", cli_colour(2, "\033[31m"), r->event_file,
            r->line, r->number, why, cli_colour(2, "\033[0m"));
}

static void run_event(struct runner *r, json_t *json, const char *body, size_t length) {
    struct error e;
    struct event ev;
    r->number++;
    complete(json, r->number);
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!event_parse(&ev, text, strlen(text), r->local.config.limits.json_depth, &e)) {
        fail_event(r, e.message);
    } else {
        const struct local_request from = {.id = "run",
                                           .body = body,
                                           .body_length = length,
                                           .each_header = each_header,
                                           .source = r};
        struct script_outcome outcome;
        if (!local_script_run(&r->local, &ev, &from, &outcome, &e))
            fail_event(r, local_script_failure(&r->local, &e));
        for (size_t i = 0; i < outcome.publish_count; i++)
            print_publish(&outcome.publishes[i]);
        fflush(stdout);
    }
    event_clear(&ev);
    free(text);
}

/* Decodes and runs one event; false when the text is none. */
static bool run_text(struct runner *r, const char *text, size_t length, json_error_t *why) {
    json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES, why);
    if (json_is_object(json))
        run_event(r, json, text, length);
    else if (json != NULL)
        *why = (json_error_t){.line = 1, .text = "an event is a JSON object"};
    bool good = json_is_object(json);
    json_decref(json);
    return good;
}

static bool is_blank(const char *text, size_t length) {
    return strspn(text, " \t\r") >= length;
}

static unsigned count_blank_lines(const char *text) {
    unsigned count = 0;
    for (size_t length; text[length = strcspn(text, "\n")] != '\0' && is_blank(text, length);
         text += length + 1)
        count++;
    return count;
}

/* An event a line; `whole` is why all of it is not one event. False when there is none. */
static bool run_lines(struct runner *r, const char *text, const json_error_t *whole) {
    bool any = false;
    const char *end;
    r->line = 0;
    for (const char *at = text; *at != '\0'; at = *end == '\0' ? end : end + 1) {
        json_error_t why;
        end = at + strcspn(at, "\n");
        r->line++;
        if (is_blank(at, (size_t)(end - at)))
            continue;
        if (!run_text(r, at, (size_t)(end - at), &why)) {
            /* One event over several lines goes wrong further down than its first line does. */
            bool one = !any && whole->line > (int)r->line;
            cli_fail("%s:%u: %s", r->event_file, one ? (unsigned)whole->line : r->line,
                     one ? whole->text : why.text);
            r->failed = true;
            if (one)
                return true;
        }
        any = true;
        if ((r->failed && !r->keep_going) || ferror(stdout))
            break;
    }
    return any;
}

/* The whole is one event, or each line is. */
static void run_all(struct runner *r, const struct buffer *text) {
    json_error_t why;
    r->line = count_blank_lines(buffer_string(text)) + 1;
    if (run_text(r, buffer_string(text), text->length, &why) ||
        run_lines(r, buffer_string(text), &why))
        return;
    cli_fail("%s: there is no event in it", r->event_file);
    r->failed = true;
}

static bool read_events(const char *path, struct buffer *text) {
    struct error e;
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        cli_fail("cannot open %s: %s", path, strerror(errno));
        return false;
    }
    bool good = cli_read_all(fd, text, EVENTS_BYTES, &e);
    if (!good)
        cli_fail("cannot read %s: %s", path, e.message);
    if (!standard)
        close(fd);
    return good;
}

static int run_script(struct runner *r, const char *name, const char *config_file) {
    struct buffer text = {0};
    int result = CLI_FAILED;
    if (local_script_open(&r->local, name, r->hook, config_file) &&
        read_events(r->event_file, &text)) {
        run_all(r, &text);
        result = r->failed ? CLI_FAILED : CLI_OK;
    }
    buffer_free(&text);
    local_script_close(&r->local);
    return result;
}

static bool add_header(struct runner *r, const char *text) {
    const char *colon = strchr(text, ':');
    if (colon == NULL || colon == text)
        return false;
    r->headers = xrealloc(r->headers, (r->header_count + 1) * sizeof *r->headers);
    r->headers[r->header_count++] = (struct header){xstrndup(text, (size_t)(colon - text)),
                                                    colon + 1 + strspn(colon + 1, " \t")};
    return true;
}

static int run_with(struct runner *r, int argc, char **argv) {
    const char *config_file = NULL;
    int flag;
    while ((flag = getopt_long(argc, argv, "c:h", long_options, NULL)) != -1) {
        switch (flag) {
        case 'e':
            r->event_file = optarg;
            break;
        case 'k':
            r->hook = optarg;
            break;
        case 'H':
            if (!add_header(r, optarg))
                return cli_usage_error(&cli_run, "--header %s: expected is \"Name: value\"",
                                       optarg);
            break;
        case 'c':
            config_file = optarg;
            break;
        case 'g':
            r->keep_going = true;
            break;
        case 'h':
            return cli_print_help(&cli_run);
        default:
            return cli_usage_error(&cli_run, "unknown or incomplete option");
        }
    }
    if (optind + 1 != argc)
        return cli_usage_error(&cli_run, "expected is one script");
    if (r->event_file == NULL)
        return cli_usage_error(&cli_run,
                               "expected is --event FILE, or --event - for standard input");
    return run_script(r, argv[optind], config_file);
}

static int run(int argc, char **argv) {
    struct runner r = {.hook = ""};
    int result = run_with(&r, argc, argv);
    for (size_t i = 0; i < r.header_count; i++)
        free(r.headers[i].name);
    free(r.headers);
    return result;
}

const struct cli_command cli_run = {
    .name = "run",
    .summary = "run a script on saved events, without a server",
    .help =
        "usage: hookmoon run SCRIPT --event FILE|- [options]\n"
        "\n"
        "Runs SCRIPT, a .lua file, a bundle's folder or the name of one in ./scripts, and prints\n"
        "what it would publish as JSON lines on standard output; its log goes to standard error.\n"
        "FILE has one event, or one a line; what an event leaves out is filled in. Exit 1 with "
        "the\n"
        "traceback on an error.\n"
        "\n"
        "      --event FILE        the events; - is standard input\n"
        "      --hook NAME         as if it came to /hooks/BUNDLE/NAME\n"
        "      --header 'K: V'     a header of the request; may be repeated\n"
        "  -c, --config FILE       take the limits and the folder of scripts from this "
        "configuration\n"
        "      --keep-going        go on with the next event after an error\n",
    .run = run,
};
