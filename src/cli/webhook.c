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
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct options {
    struct client client;
    const char *topic, *to;
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
            printf("%s\t%s\t%s\n", client_member(webhook, "name"), client_member(webhook, "topic"),
                   client_member(webhook, "url"));
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

static int put(const struct options *o, const char *cache, const char *name) {
    if (o->topic == NULL || o->to == NULL)
        return cli_usage_error(&cli_webhook, "put needs --topic and --to");
    json_t *body = json_pack("{s:s, s:s}", "topic", o->topic, "url", o->to);
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
    if (count == 3 && strcmp(word, "delete") == 0)
        return on_one(o, "DELETE", words[1], words[2], NULL, NULL);
    if (count == 3 && strcmp(word, "secret") == 0)
        return on_one(o, "GET", words[1], words[2], "secret", NULL);
    if (count == 3 && strcmp(word, "rotate") == 0)
        return on_one(o, "POST", words[1], words[2], "rotate", NULL);
    return cli_usage_error(
        &cli_webhook, "expected is list CACHE, or put, delete, secret or rotate and CACHE NAME");
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
    .summary = "list, put, delete and rotate webhooks",
    .help =
        "usage: hookmoon webhook list CACHE [options]\n"
        "       hookmoon webhook put CACHE NAME --topic TOPIC --to URL [options]\n"
        "       hookmoon webhook (delete | secret | rotate) CACHE NAME [options]\n"
        "\n"
        "Administers the webhooks of a running gateway. put makes one or changes it, and prints\n"
        "its secret, which a change keeps; secret prints it again; rotate makes a new one. A URL\n"
        "may be just /hooks/NAME for a hook of the gateway itself. The list is name, topic, URL.\n"
        "\n"
        "      --topic TOPIC    the topic whose items are sent\n"
        "      --to URL         where they are sent\n" CLIENT_OPTIONS_HELP
        "      --json           the answer as JSON\n",
    .run = run,
};
