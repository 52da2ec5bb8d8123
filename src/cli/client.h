/*
 * client: what publish and subscribe share: where the gateway is, and its errors in words.
 */
#ifndef HOOKMOON_CLI_CLIENT_H
#define HOOKMOON_CLI_CLIENT_H

#include <curl/curl.h>

#include "cli/cli.h"

struct client {
    const char *url; /* --url, HOOKMOON_URL, or http://127.0.0.1:8080 */
    const char *key; /* --key, --key-env, HOOKMOON_KEY, or NULL */
};

void client_init(struct client *c);
/* Takes the key from the environment variable `name`; false when it is not set. */
bool client_key_from(struct client *c, const char *name);
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
