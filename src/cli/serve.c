/*
 * hookmoon serve: the gateway itself.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "cli/cli.h"
#include "config/config_default.h"
#include "config/config_load.h"
#include "gateway/gateway.h"
#include "ingress/event.h"

static const char default_file[] = "hookmoon.lua";

struct options {
    const char *file, *listen, *scripts, *data, *workers, *log_level, *log_format;
    bool print_config;
};

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"listen", required_argument, NULL, 'l'},
    {"scripts", required_argument, NULL, 's'},
    {"data", required_argument, NULL, 'd'},
    {"workers", required_argument, NULL, 'w'},
    {"log-level", required_argument, NULL, 'v'},
    {"log-format", required_argument, NULL, 'f'},
    {"print-config", no_argument, NULL, 'p'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static void on_problem(void *context, const char *where, const char *field, const char *message) {
    (void)context;
    fprintf(stderr, "%s: %s%s%s\n", where, field, field[0] != '\0' ? ": " : "", message);
}

/* The demo's secret is nobody's to know unless they choose it. */
static void set_demo_secret(void) {
    unsigned char bytes[16];
    char hex[sizeof bytes * 2 + 1];
    RAND_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    setenv("HOOKMOON_SECRET", hex, 0);
}

/* From the file; without one, from the built-in text, and *demo is set. */
static bool load(struct config *c, const struct options *o, bool *demo) {
    const char *file = o->file != NULL                   ? o->file
                       : access(default_file, F_OK) == 0 ? default_file
                                                         : NULL;
    *demo = file == NULL;
    if (file != NULL)
        return config_load(c, file, on_problem, NULL);
    set_demo_secret();
    return config_load_text(c, "(built-in configuration)", config_default_text,
                            strlen(config_default_text), on_problem, NULL);
}

static void replace(char **field, const char *value) {
    if (value == NULL)
        return;
    free(*field);
    *field = xstrdup(value);
}

/* Flags go before the file. */
static bool apply_flags(struct config *c, const struct options *o) {
    replace(&c->listen, o->listen);
    replace(&c->scripts, o->scripts);
    replace(&c->data, o->data);
    if (o->workers != NULL) {
        uint64_t count;
        if (!cli_parse_number(o->workers, 256, &count) || count == 0) {
            cli_usage_error(&cli_serve, "--workers %s: a number from 1 to 256 is expected",
                            o->workers);
            return false;
        }
        c->workers = (unsigned)count;
    }
    if (o->log_level != NULL && !log_level_parse(o->log_level, &c->log_level)) {
        cli_usage_error(&cli_serve, "--log-level %s: debug, info, warn, error or off is expected",
                        o->log_level);
        return false;
    }
    if (o->log_format == NULL)
        return true;
    static const char *const formats[] = {
        [LOG_AUTO] = "auto", [LOG_HUMAN] = "human", [LOG_JSON] = "json"};
    for (size_t i = 0; i < COUNT_OF(formats); i++) {
        if (strcmp(o->log_format, formats[i]) == 0) {
            c->log_format = (enum log_format)i;
            return true;
        }
    }
    cli_usage_error(&cli_serve, "--log-format %s: auto, human or json is expected", o->log_format);
    return false;
}

/* Each connection and each webhook's is a descriptor. */
static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void print_demo_lines(const char *url) {
    bool default_url = strcmp(url, "http://127.0.0.1:8080") == 0;
    const char *flag = default_url ? "" : " --url ", *value = default_url ? "" : url;
    printf("\nNo hookmoon.lua here: this is the built-in demo. Try it in two more terminals:\n\n"
           "  ./hookmoon subscribe chat \"topic 2\"%s%s\n"
           "  ./hookmoon publish chat \"topic 1\" \"a value\"%s%s\n\n",
           flag, value, flag, value);
    fflush(stdout);
}

static int serve(struct config *c, bool demo) {
    struct error e;
    log_setup(c->log_level, c->log_format);
    event_setup();
    raise_descriptor_limit();
    struct gateway *g = gateway_new(c, &e);
    if (g == NULL)
        return cli_fail("%s", e.message);
    log_info("listening", LOG_STR("url", gateway_url(g)),
             LOG_INT("scripts", gateway_bundle_count(g)),
             LOG_STR("config", c->file != NULL ? c->file : "built-in"), LOG_INT("pid", getpid()));
    if (demo)
        print_demo_lines(gateway_url(g));
    int result = CLI_OK;
    if (!gateway_run(g, &e))
        result = cli_fail("%s", e.message);
    gateway_free(g);
    log_info("stopped");
    return result;
}

static int run(int argc, char **argv) {
    struct options o = {0};
    int flag;
    while ((flag = getopt_long(argc, argv, "c:h", long_options, NULL)) != -1) {
        switch (flag) {
        case 'c':
            o.file = optarg;
            break;
        case 'l':
            o.listen = optarg;
            break;
        case 's':
            o.scripts = optarg;
            break;
        case 'd':
            o.data = optarg;
            break;
        case 'w':
            o.workers = optarg;
            break;
        case 'v':
            o.log_level = optarg;
            break;
        case 'f':
            o.log_format = optarg;
            break;
        case 'p':
            o.print_config = true;
            break;
        case 'h':
            return cli_print_help(&cli_serve);
        default:
            return cli_usage_error(&cli_serve, "unknown or incomplete option");
        }
    }
    if (optind < argc)
        return cli_usage_error(&cli_serve, "unexpected argument \"%s\"", argv[optind]);
    if (o.print_config) {
        fputs(config_default_text, stdout);
        return CLI_OK;
    }
    struct config c;
    bool demo;
    config_init(&c);
    int result = CLI_FAILED;
    if (!load(&c, &o, &demo))
        cli_fail("the configuration has mistakes; nothing was started");
    else if (!apply_flags(&c, &o))
        result = CLI_USAGE;
    else
        result = serve(&c, demo);
    config_free(&c);
    return result;
}

const struct cli_command cli_serve = {
    .name = "serve",
    .summary = "receive webhooks, run scripts, serve topics",
    .help = "usage: hookmoon serve [-c FILE] [options]\n"
            "\n"
            "Starts the gateway and serves until SIGTERM or Ctrl-C. Without -c it reads "
            "./hookmoon.lua\n"
            "if there is one, else it uses the built-in demo. Flags go before the file.\n"
            "\n"
            "  -c, --config FILE      the configuration, a Lua file\n"
            "      --listen HOST:PORT where to listen (127.0.0.1:8080; port 0 finds a free one)\n"
            "      --scripts DIR      the folder of the scripts\n"
            "      --data DIR         the folder for what must survive: caches, webhooks and keys "
            "made\n"
            "                         while it runs, and the key that signs tokens (data)\n"
            "      --workers N        threads; one a core unless said\n"
            "      --log-level LEVEL  debug, info, warn, error or off\n"
            "      --log-format F     human, json, or auto: human on a terminal\n"
            "      --print-config     print the built-in configuration, to start your own from\n",
    .run = run,
};
