/*
 * hookmoon webhook: the webhooks of a running gateway.
 */
#include <getopt.h>
#include <stdio.h>

#include "cli/client.h"

static const struct option long_options[] = {
    CLIENT_OPTIONS,
    {"topic", required_argument, NULL, 't'},
    {"to", required_argument, NULL, 'o'},
    {"order", required_argument, NULL, 'O'},
    {"delivery", required_argument, NULL, 'd'},
    {"concurrency", required_argument, NULL, 'c'},
    {"rate", required_argument, NULL, 'r'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct options {
    struct client client;
    const char *topic, *to, *order, *delivery, *concurrency, *rate;
    bool as_json;
};

static int list(const struct options *o, const char *cache) {
    const char *const parts[] = {"caches", cache, "webhooks", NULL};
    json_t *answer, *webhook;
    size_t i;
    int result = client_admin(&o->client, "GET", parts, NULL, &answer);
    if (result == CLI_OK && o->as_json)
        client_print(answer);
    else
        json_array_foreach(json_object_get(answer, "webhooks"), i, webhook)
            printf("%s\t%s\t%s\t%s\t%lld\n", client_member(webhook, "name"),
                   client_member(webhook, "topic"), client_member(webhook, "url"),
                   client_member(webhook, "status"),
                   (long long)json_integer_value(json_object_get(webhook, "pending")));
    json_decref(answer);
    return result;
}

/* One webhook: `more` is what follows its name in the path, or NULL. Prints the secret that comes.
 */
static int on_one(const struct options *o, const char *method, const char *cache, const char *name,
                  const char *more, json_t *body) {
    const char *const parts[] = {"caches", cache, "webhooks", name, more, NULL};
    json_t *answer;
    int result = client_admin(&o->client, method, parts, body, &answer);
    if (answer != NULL && o->as_json)
        client_print(answer);
    else if (answer != NULL)
        puts(client_member(answer, "secret"));
    json_decref(answer);
    return result;
}

/* Everything that is known of it, as `name: value` lines. */
static int show(const struct options *o, const char *cache, const char *name) {
    const char *const parts[] = {"caches", cache, "webhooks", name, NULL};
    json_t *answer, *value;
    const char *key;
    int result = client_admin(&o->client, "GET", parts, NULL, &answer);
    if (result == CLI_OK && o->as_json) {
        client_print(answer);
    } else {
        json_object_foreach(answer, key, value) {
            char *text = json_is_string(value) ? xstrdup(json_string_value(value))
                                               : json_dumps(value, JSON_ENCODE_ANY);
            if (!json_is_null(value))
                printf("%s: %s\n", key, text);
            free(text);
        }
    }
    json_decref(answer);
    return result;
}

/* A number as JSON; NULL: it is none. */
static json_t *number(const char *text) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0')
        return NULL;
    return value == (double)(json_int_t)value ? json_integer((json_int_t)value) : json_real(value);
}

static int put(const struct options *o, const char *cache, const char *name) {
    if (o->topic == NULL || o->to == NULL)
        return cli_usage_error(&cli_webhook, "put needs --topic and --to");
    json_t *concurrency = o->concurrency != NULL ? number(o->concurrency) : NULL;
    json_t *rate = o->rate != NULL ? number(o->rate) : NULL;
    bool good =
        (o->concurrency == NULL || concurrency != NULL) && (o->rate == NULL || rate != NULL);
    json_t *body =
        json_pack("{s:s, s:s, s:s*, s:s*, s:o*, s:o*}", "topic", o->topic, "url", o->to, "order",
                  o->order, "delivery", o->delivery, "concurrency", concurrency, "rate", rate);
    if (!good) {
        json_decref(body);
        return cli_usage_error(&cli_webhook, "--concurrency and --rate need a number");
    }
    if (body == NULL)
        return cli_fail("the topic or the URL is not UTF-8");
    return on_one(o, "PUT", cache, name, NULL, body);
}

static int dispatch(const struct options *o, int count, char **words) {
    const char *word = count > 0 ? words[0] : "";
    if (strcmp(word, "list") == 0 && count == 2)
        return list(o, words[1]);
    if (count == 3 && strcmp(word, "put") == 0)
        return put(o, words[1], words[2]);
    if (count == 3 && strcmp(word, "show") == 0)
        return show(o, words[1], words[2]);
    if (count == 3 && strcmp(word, "enable") == 0)
        return on_one(o, "POST", words[1], words[2], "enable", NULL);
    if (count == 3 && strcmp(word, "delete") == 0)
        return on_one(o, "DELETE", words[1], words[2], NULL, NULL);
    if (count == 3 && strcmp(word, "secret") == 0)
        return on_one(o, "GET", words[1], words[2], "secret", NULL);
    if (count == 3 && strcmp(word, "rotate") == 0)
        return on_one(o, "POST", words[1], words[2], "rotate", NULL);
    return cli_usage_error(&cli_webhook, "expected is list CACHE, or put, show, enable, delete, "
                                         "secret or rotate and CACHE NAME");
}

static int run(int argc, char **argv) {
    struct options o = {0};
    int flag;
    client_init(&o.client);
    while ((flag = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        int taken = CLI_OK;
        switch (flag) {
        case 't':
            o.topic = optarg;
            break;
        case 'o':
            o.to = optarg;
            break;
        case 'O':
            o.order = optarg;
            break;
        case 'd':
            o.delivery = optarg;
            break;
        case 'c':
            o.concurrency = optarg;
            break;
        case 'r':
            o.rate = optarg;
            break;
        case 'j':
            o.as_json = true;
            break;
        case 'h':
            return cli_print_help(&cli_webhook);
        default:
            taken = client_option(&o.client, flag, optarg);
        }
        if (taken == CLI_USAGE)
            return cli_usage_error(&cli_webhook, "unknown or incomplete option");
        if (taken != CLI_OK)
            return taken;
    }
    return dispatch(&o, argc - optind, argv + optind);
}

const struct cli_command cli_webhook = {
    .name = "webhook",
    .summary = "list, put, show, enable, delete and rotate webhooks",
    .help =
        "usage: hookmoon webhook list CACHE [options]\n"
        "       hookmoon webhook put CACHE NAME --topic TOPIC --to URL [options]\n"
        "       hookmoon webhook (show | enable | delete | secret | rotate) CACHE NAME [options]\n"
        "\n"
        "Administers the webhooks of a running gateway. put makes one or changes it, and prints\n"
        "its secret, which a change keeps; secret prints it again; rotate makes a new one. A URL\n"
        "may be just /hooks/NAME for a hook of the gateway itself. enable lets one go on that was\n"
        "disabled after days of failure. The list is name, topic, URL, status and how many items\n"
        "it is behind.\n"
        "\n"
        "      --topic TOPIC    the topic whose items are sent\n"
        "      --to URL         where they are sent\n"
        "      --order WORD     topic: one after another, as published; none: side by side "
        "(default)\n"
        "      --delivery WORD  at_least_once (default), or once\n"
        "      --concurrency N  requests at once\n"
        "      --rate N         requests a second at most; 0: no limit\n" CLIENT_OPTIONS_HELP
        "      --json           the answer as JSON\n",
    .run = run,
};
