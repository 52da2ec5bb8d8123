#include "cli/client.h"

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#define ANSWER_BYTES (64 * 1024)

void client_init(struct client *c) {
    c->url = getenv("HOOKMOON_URL");
    if (c->url == NULL || c->url[0] == '\0')
        c->url = "http://127.0.0.1:8080";
    c->key = getenv("HOOKMOON_KEY");
}

bool client_key_from(struct client *c, const char *name) {
    c->key = getenv(name);
    return c->key != NULL;
}

CURL *client_topic(const struct client *c, const char *cache, const char *topic, const char *query,
                   struct curl_slist **headers) {
    CURL *easy = curl_easy_init();
    *headers = NULL;
    if (easy == NULL)
        return NULL;
    char *cache_part = curl_easy_escape(easy, cache, 0);
    char *topic_part = curl_easy_escape(easy, topic, 0);
    size_t length = strlen(c->url);
    while (length > 0 && c->url[length - 1] == '/')
        length--;
    char *url =
        xasprintf("%.*s/topics/%s/%s%s", (int)length, c->url, cache_part, topic_part, query);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L); /* a topic may be called ".." */
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "hookmoon/" HOOKMOON_VERSION);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    if (c->key != NULL && c->key[0] != '\0') {
        char *header = xasprintf("Authorization: %s", c->key);
        *headers = curl_slist_append(NULL, header);
        free(header);
    }
    free(url);
    curl_free(cache_part);
    curl_free(topic_part);
    return easy;
}

char *client_reason(const struct client *c, CURLcode result, long status,
                    const struct buffer *body) {
    if (result != CURLE_OK && status == 0)
        return xasprintf("cannot reach %s: %s (is `hookmoon serve` running there?)", c->url,
                         curl_easy_strerror(result));
    if (result != CURLE_OK)
        return xasprintf("%s: %s", c->url, curl_easy_strerror(result));
    json_t *json = json_loadb(buffer_string(body), body->length, 0, NULL);
    const char *message = json_string_value(json_object_get(json, "message"));
    char *reason = message != NULL
                       ? xasprintf("refused (status %ld): %s", status, message)
                       : xasprintf("refused with status %ld; is this a hookmoon?", status);
    json_decref(json);
    /* It may come from anybody's server, and goes to a terminal. */
    for (char *at = reason; *at != '\0'; at++)
        *at = (unsigned char)*at < ' ' || *at == 127 ? '?' : *at;
    return reason;
}

int client_fail(const struct client *c, CURLcode result, long status, const struct buffer *body) {
    char *reason = client_reason(c, result, status, body);
    cli_fail("%s", reason);
    free(reason);
    return CLI_FAILED;
}

size_t client_collect(char *bytes, size_t size, size_t count, void *buffer) {
    struct buffer *b = buffer;
    if (b->length + size * count > ANSWER_BYTES)
        return 0;
    buffer_add(b, bytes, size * count);
    return size * count;
}
