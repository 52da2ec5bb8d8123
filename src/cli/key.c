/*
 * hookmoon key: keys, in the data directory itself (so the first one can be made), or over the
 * admin API of a running gateway.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cli/client.h"
#include "config/config_load.h"
#include "config/config_quantity.h"
#include "control/keys.h"

static const char default_file[] = "hookmoon.lua";

static const struct option long_options[] = {
    CLIENT_OPTIONS,
    {"id", required_argument, NULL, 'i'},
    {"role", required_argument, NULL, 'r'},
    {"cache", required_argument, NULL, 'C'},
    {"topic", required_argument, NULL, 't'},
    {"topic-prefix", required_argument, NULL, 'p'},
    {"valid-for", required_argument, NULL, 'v'},
    {"description", required_argument, NULL, 'D'},
    {"endpoint", required_argument, NULL, 'E'},
    {"config", required_argument, NULL, 'c'},
    {"data", required_argument, NULL, 'd'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct options {
    struct client client;
    bool remote; /* --url was given */
    const char *id, *role, *cache, *topic, *topic_prefix, *valid_for, *description, *endpoint;
    const char *config, *data;
    bool as_json;
};

/* ---- where the keys are ---- */

/* The data directory and its signing key. */
struct vault {
    struct store *store;
    struct token_key *key;
    char *listen; /* where the gateway would be */
};

static void on_problem(void *context, const char *where, const char *field, const char *message) {
    (void)context;
    fprintf(stderr, "%s: %s%s%s\n", where, field, field[0] != '\0' ? ": " : "", message);
}

static void vault_close(struct vault *v) {
    store_close(v->store);
    token_key_free(v->key);
    free(v->listen);
}

static bool vault_open(struct vault *v, const struct options *o) {
    const char *file = o->config != NULL                 ? o->config
                       : access(default_file, F_OK) == 0 ? default_file
                                                         : NULL;
    struct config c;
    struct error e;
    *v = (struct vault){0};
    config_init(&c);
    bool good = file == NULL || config_load(&c, file, on_problem, NULL);
    if (!good) {
        cli_fail("the configuration has mistakes");
    } else {
        const char *dir = o->data != NULL ? o->data : c.data;
        char *path = xasprintf("%s/token.key", dir);
        v->listen = xstrdup(c.listen);
        v->store = store_open(dir, false, &e);
        v->key = v->store != NULL ? token_key_open(path, true, &e) : NULL;
        free(path);
        good = v->key != NULL;
        if (!good)
            cli_fail("%s", e.message);
    }
    config_free(&c);
    if (!good)
        vault_close(v);
    return good;
}

/* ---- create ---- */

static void print_key(const struct options *o, const char *token, const char *serial,
                      int64_t expires_s, const char *endpoint) {
    char *wrapped = keys_wrap(endpoint, token);
    if (o->as_json) {
        json_t *json = json_pack("{s:s, s:s, s:s, s:I}", "token", token, "base64", wrapped,
                                 "serial", serial, "expires", (json_int_t)expires_s);
        client_print(json);
        json_decref(json);
    } else {
        printf("%s\n\n"
               "For Momento's SDKs:\n\n%s\n\n"
               "In Node:\n\n"
               "CredentialProvider.fromString({\n  apiKey: '%s',\n"
               "  endpointOverrides: {\n    cacheEndpoint: '%s', controlEndpoint: '%s',\n"
               "    tokenEndpoint: '%s', secureConnection: false,\n  },\n})\n\n"
               "To revoke it: hookmoon key revoke %s\n",
               token, wrapped, wrapped, endpoint, endpoint, endpoint, serial);
    }
    free(wrapped);
}

static int create_here(const struct options *o, const struct key_request *request) {
    struct vault v;
    struct key_result result;
    struct error e;
    if (!vault_open(&v, o))
        return CLI_FAILED;
    bool good = keys_make(v.key, v.store, request, &result, &e);
    if (good) {
        print_key(o, result.token, result.serial, result.expires_s,
                  o->endpoint != NULL ? o->endpoint : v.listen);
        key_result_free(&result);
    }
    vault_close(&v);
    return good ? CLI_OK : cli_fail("%s", e.message);
}

/* Where the client was told that the gateway is. */
static char *host_of(const char *url) {
    const char *host = strstr(url, "://");
    host = host != NULL ? host + 3 : url;
    return xstrndup(host, strcspn(host, "/"));
}

static int create_there(const struct options *o, int64_t valid_for_s) {
    static const char *const parts[] = {"keys", NULL};
    json_t *answer, *body = json_pack("{s:s?, s:s?, s:s?, s:s?, s:s?, s:s?}", "id", o->id,
                                      "description", o->description, "role", o->role, "cache",
                                      o->cache, "topic", o->topic, "topic_prefix", o->topic_prefix);
    if (body == NULL)
        return cli_fail("what was given is not UTF-8");
    if (valid_for_s > 0)
        json_object_set_new(body, "valid_for", json_integer(valid_for_s));
    int result = client_admin(&o->client, "POST", parts, body, &answer);
    if (result == CLI_OK) {
        char *endpoint = o->endpoint != NULL ? xstrdup(o->endpoint) : host_of(o->client.url);
        print_key(o, client_member(answer, "token"), client_member(answer, "serial"),
                  valid_for_s > 0 ? clock_wall_ms() / 1000 + valid_for_s : 0, endpoint);
        free(endpoint);
    }
    json_decref(answer);
    return result;
}

static int create(const struct options *o) {
    int64_t valid_for_ms = 0;
    enum role role = o->role != NULL ? role_parse(o->role) : ROLE_NONE;
    if (role == ROLE_NONE)
        return cli_usage_error(&cli_key, "--role must be publishsubscribe, publishonly, "
                                         "subscribeonly or admin");
    if (o->topic != NULL && o->topic_prefix != NULL)
        return cli_usage_error(&cli_key, "--topic and --topic-prefix exclude each other");
    if (role == ROLE_ADMIN && (o->cache != NULL || o->topic != NULL || o->topic_prefix != NULL))
        return cli_usage_error(&cli_key, "the role admin is for everything");
    if (o->valid_for != NULL &&
        (!config_parse_duration(o->valid_for, &valid_for_ms) || valid_for_ms < 1000))
        return cli_usage_error(
            &cli_key, "--valid-for %s: a duration such as 30d or 12h is expected", o->valid_for);
    if (o->remote)
        return create_there(o, valid_for_ms / 1000);
    const struct grant grant = {
        .role = role,
        .cache = (char *)(uintptr_t)o->cache,
        .topic = (char *)(uintptr_t)(o->topic != NULL ? o->topic : o->topic_prefix),
        .prefix = o->topic_prefix != NULL,
    };
    const struct key_request request = {
        .id = o->id != NULL ? o->id : "",
        .description = o->description != NULL ? o->description : "",
        .admin = role == ROLE_ADMIN,
        .grants = &grant,
        .grant_count = role == ROLE_ADMIN ? 0 : 1,
        .valid_for_s = valid_for_ms / 1000,
    };
    return create_here(o, &request);
}

/* ---- list and revoke ---- */

static const char *day(char text[16], int64_t seconds) {
    struct tm tm;
    time_t t = (time_t)seconds;
    if (seconds == 0 || gmtime_r(&t, &tm) == NULL)
        return "never";
    strftime(text, 16, "%Y-%m-%d", &tm);
    return text;
}

static int list_here(const struct options *o) {
    struct vault v;
    struct key_record *keys;
    struct error e;
    size_t count;
    char made[16], ends[16];
    if (!vault_open(&v, o))
        return CLI_FAILED;
    bool good = store_list_keys(v.store, &keys, &count, &e);
    vault_close(&v);
    if (!good)
        return cli_fail("%s", e.message);
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct key_record *k = &keys[i];
        if (o->as_json)
            json_array_append_new(
                array, json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "serial", k->serial, "id", k->id,
                                 "description", k->description, "rights", k->rights, "created",
                                 (json_int_t)k->created_s, "expires", (json_int_t)k->expires_s));
        else
            printf("%s\t%s\t%s\tsince %s\tuntil %s\n", k->serial, k->id[0] != '\0' ? k->id : "-",
                   k->rights, day(made, k->created_s), day(ends, k->expires_s));
    }
    if (o->as_json)
        client_print(array);
    json_decref(array);
    key_list_free(keys, count);
    return CLI_OK;
}

static int list_there(const struct options *o) {
    static const char *const parts[] = {"keys", NULL};
    json_t *answer, *key;
    size_t i;
    int result = client_admin(&o->client, "GET", parts, NULL, &answer);
    if (result == CLI_OK && o->as_json)
        client_print(answer);
    else
        json_array_foreach(json_object_get(answer, "keys"), i, key) {
            const char *id = client_member(key, "id"), *until = client_member(key, "expires");
            printf("%s\t%s\t%s\tsince %.10s\tuntil %.10s\n", client_member(key, "serial"),
                   id[0] != '\0' ? id : "-", client_member(key, "rights"),
                   client_member(key, "created"), until[0] != '\0' ? until : "never");
        }
    json_decref(answer);
    return result;
}

static int revoke_here(const struct options *o, const char *serial_or_token) {
    struct vault v;
    struct error e;
    unsigned char serial[IDENTITY_SERIAL_BYTES];
    int64_t expires_s;
    if (!vault_open(&v, o))
        return CLI_FAILED;
    bool good = keys_revoke(v.key, v.store, serial_or_token, serial, &expires_s, &e);
    vault_close(&v);
    return good ? CLI_OK : cli_fail("%s", e.message);
}

static int revoke_there(const struct options *o, const char *serial_or_token) {
    unsigned char serial[IDENTITY_SERIAL_BYTES];
    const char *const by_serial[] = {"keys", serial_or_token, NULL};
    static const char *const by_token[] = {"keys", "revoke", NULL};
    json_t *answer;
    int result = keys_parse_serial(serial_or_token, serial)
                     ? client_admin(&o->client, "DELETE", by_serial, NULL, &answer)
                     : client_admin(&o->client, "POST", by_token,
                                    json_pack("{s:s}", "token", serial_or_token), &answer);
    json_decref(answer);
    return result;
}

/* ---- the command ---- */

static int dispatch(const struct options *o, int count, char **words) {
    const char *word = count > 0 ? words[0] : "";
    if (strcmp(word, "create") == 0 && count == 1)
        return create(o);
    if (strcmp(word, "list") == 0 && count == 1)
        return o->remote ? list_there(o) : list_here(o);
    if (strcmp(word, "revoke") == 0 && count == 2)
        return o->remote ? revoke_there(o, words[1]) : revoke_here(o, words[1]);
    return cli_usage_error(&cli_key, "expected is create, list or revoke SERIAL");
}

static int take_option(struct options *o, int flag) {
    switch (flag) {
    case 'i':
        o->id = optarg;
        return CLI_OK;
    case 'r':
        o->role = optarg;
        return CLI_OK;
    case 'C':
        o->cache = optarg;
        return CLI_OK;
    case 't':
        o->topic = optarg;
        return CLI_OK;
    case 'p':
        o->topic_prefix = optarg;
        return CLI_OK;
    case 'v':
        o->valid_for = optarg;
        return CLI_OK;
    case 'D':
        o->description = optarg;
        return CLI_OK;
    case 'E':
        o->endpoint = optarg;
        return CLI_OK;
    case 'c':
        o->config = optarg;
        return CLI_OK;
    case 'd':
        o->data = optarg;
        return CLI_OK;
    case 'j':
        o->as_json = true;
        return CLI_OK;
    default:
        o->remote = o->remote || flag == 'u';
        return client_option(&o->client, flag, optarg);
    }
}

static int run(int argc, char **argv) {
    struct options o = {0};
    int flag;
    client_init(&o.client);
    while ((flag = getopt_long(argc, argv, "c:h", long_options, NULL)) != -1) {
        if (flag == 'h')
            return cli_print_help(&cli_key);
        int taken = take_option(&o, flag);
        if (taken == CLI_USAGE)
            return cli_usage_error(&cli_key, "unknown or incomplete option");
        if (taken != CLI_OK)
            return taken;
    }
    return dispatch(&o, argc - optind, argv + optind);
}

const struct cli_command cli_key = {
    .name = "key",
    .summary = "create, list and revoke keys",
    .help =
        "usage: hookmoon key create --role ROLE [options]\n"
        "       hookmoon key list [options]\n"
        "       hookmoon key revoke (SERIAL | TOKEN) [options]\n"
        "\n"
        "Keys are signed with the key in the data directory, so this works before the gateway's\n"
        "first start and while it runs, which notices within a second what was revoked. With\n"
        "--url it asks a running gateway instead.\n"
        "\n"
        "      --role ROLE      publishsubscribe, publishonly, subscribeonly or admin\n"
        "      --id ID          becomes the publisher_id of what is published with the key\n"
        "      --cache CACHE    only this cache\n"
        "      --topic TOPIC    only this topic; or\n"
        "      --topic-prefix P only topics that begin so\n"
        "      --valid-for D    such as 30d or 12h; for ever unless given\n"
        "      --description D  for the list\n"
        "      --endpoint H:P   where the SDKs find the gateway, for the lines to paste\n"
        "  -c, --config FILE    the gateway's configuration (./hookmoon.lua, if there is one)\n"
        "      --data DIR       its data directory\n" CLIENT_OPTIONS_HELP
        "      --json           the answer as JSON\n",
    .run = run,
};
