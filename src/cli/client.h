/*
 * client: what the commands that talk to a gateway share: where it is, and its errors in words.
 */
#ifndef HOOKMOON_CLI_CLIENT_H
#define HOOKMOON_CLI_CLIENT_H

#include <curl/curl.h>
#include <jansson.h>

#include "cli/cli.h"

struct client {
    const char *url; /* --url, HOOKMOON_URL, or http://127.0.0.1:8080 */
    const char *key; /* --key, --key-env, HOOKMOON_KEY, or NULL */
};

void client_init(struct client *c);
/* The options of every command that talks to a gateway, for its getopt table ... */
#define CLIENT_OPTIONS                                                                             \
    {"url", required_argument, NULL, 'u'}, {"key", required_argument, NULL, 'k'}, {                \
        "key-env", required_argument, NULL, 'e'                                                    \
    }
/* ... and for its help. */
#define CLIENT_OPTIONS_HELP                                                                        \
    "      --url URL        the gateway (HOOKMOON_URL, or http://127.0.0.1:8080)\n"                \
    "      --key KEY        the key (HOOKMOON_KEY); others on the machine can see the option\n"    \
    "      --key-env NAME   take it from this environment variable\n"
/* CLI_OK: it was one of them; CLI_FAILED: and was reported; CLI_USAGE: it is none of them. */
int client_option(struct client *c, int flag, const char *value);

/*
 * Calls the admin API: /admin/ and the parts (to NULL), each escaped. `body` (may be NULL) is
 * taken. On CLI_OK `*answer` (NULL when there is none) is the caller's; CLI_FAILED was reported.
 */
int client_admin(const struct client *c, const char *method, const char *const *parts, json_t *body,
                 json_t **answer);
/*
 * The same, with a query ("" or "?..."), for those that tell what went wrong themselves: NULL when
 * it was done, else the reason in one line, which the caller frees. `*status` is 0 when there was
 * no answer at all.
 */
char *client_admin_try(const struct client *c, const char *method, const char *const *parts,
                       const char *query, json_t *body, json_t **answer, long *status);
/* Appends `&name=value`, escaped ("?" when it is the first); nothing when `value` is NULL. */
void client_add_argument(struct buffer *query, const char *name, const char *value);
/* A string member of an answer, "" when it is none. */
const char *client_member(const json_t *answer, const char *name);

/* Prints JSON on one line. */
void client_print(const json_t *json);

/* A handle for /topics/{cache}/{topic}{query}, with the key; `*headers` is the caller's to extend,
 * set and free. NULL: out of memory. */
CURL *client_topic(const struct client *c, const char *cache, const char *topic, const char *query,
                   struct curl_slist **headers);
/* Why a request failed, in one line: by the server's {"message"}, or curl's words when `result` is
 * bad. The caller frees. */
char *client_reason(const struct client *c, CURLcode result, long status,
                    const struct buffer *body);
/* Says so on stderr; returns CLI_FAILED. */
int client_fail(const struct client *c, CURLcode result, long status, const struct buffer *body);
/* CURLOPT_WRITEFUNCTION into a struct buffer, bounded. */
size_t client_collect(char *bytes, size_t size, size_t count, void *buffer);

#endif
