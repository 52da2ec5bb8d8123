#include "cli/client.h"

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#define ANSWER_BYTES (16 * 1024 * 1024)

void client_init(struct client *c) {
    c->url = getenv("HOOKMOON_URL");
    if (c->url == NULL || c->url[0] == '\0')
        c->url = "http://127.0.0.1:8080";
    c->key = getenv("HOOKMOON_KEY");
}

int client_option(struct client *c, int flag, const char *value) {
    switch (flag) {
    case 'u':
        c->url = value;
        return CLI_OK;
    case 'k':
        c->key = value;
        return CLI_OK;
    case 'e':
        c->key = getenv(value);
        return c->key != NULL ? CLI_OK : cli_fail("the environment variable %s is not set", value);
    default:
        return CLI_USAGE;
    }
}

/* A handle for the gateway's URL with `parts` (to NULL) as its path, each escaped, and the key. */
static CURL *start(const struct client *c, const char *const *parts, const char *query,
                   struct curl_slist **headers) {
    CURL *easy = curl_easy_init();
    struct buffer url = {0};
    size_t length = strlen(c->url);
    *headers = NULL;
    if (easy == NULL)
        return NULL;
    while (length > 0 && c->url[length - 1] == '/')
        length--;
    buffer_add(&url, c->url, length);
    for (; *parts != NULL; parts++) {
        char *escaped = curl_easy_escape(easy, *parts, 0);
        buffer_add_format(&url, "/%s", escaped);
        curl_free(escaped);
    }
    buffer_add_string(&url, query);
    curl_easy_setopt(easy, CURLOPT_URL, buffer_string(&url));
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L); /* a topic may be called ".." */
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "hookmoon/" HOOKMOON_VERSION);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    if (c->key != NULL && c->key[0] != '\0') {
        char *header = xasprintf("Authorization: %s", c->key);
        *headers = curl_slist_append(NULL, header);
        free(header);
    }
    buffer_free(&url);
    return easy;
}

CURL *client_topic(const struct client *c, const char *cache, const char *topic, const char *query,
                   struct curl_slist **headers) {
    const char *const parts[] = {"topics", cache, topic, NULL};
    return start(c, parts, query, headers);
}

char *client_admin_try(const struct client *c, const char *method, const char *const *parts,
                       const char *query, json_t *body, json_t **answer, long *status) {
    struct curl_slist *headers;
    struct buffer text = {0};
    const char *path[8] = {"admin"};
    for (size_t i = 0; i + 2 < COUNT_OF(path) && parts[i] != NULL; i++)
        path[i + 1] = parts[i];
    *answer = NULL;
    *status = 0;
    CURL *easy = start(c, path, query, &headers);
    if (easy == NULL) {
        json_decref(body);
        return xstrdup("libcurl does not start");
    }
    char *json = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    headers = curl_slist_append(headers, "Content-Type: application/json");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    if (json != NULL)
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, json);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT, 30L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, client_collect);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &text);
    CURLcode result = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, status);
    bool good = result == CURLE_OK && *status >= 200 && *status < 300;
    if (good)
        *answer = json_loadb(buffer_string(&text), text.length, JSON_ALLOW_NUL, NULL);
    char *reason = good ? NULL : client_reason(c, result, *status, &text);
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
    buffer_free(&text);
    free(json);
    return reason;
}

int client_admin(const struct client *c, const char *method, const char *const *parts, json_t *body,
                 json_t **answer) {
    long status;
    char *reason = client_admin_try(c, method, parts, "", body, answer, &status);
    if (reason == NULL)
        return CLI_OK;
    cli_fail("%s", reason);
    free(reason);
    return CLI_FAILED;
}

void client_add_argument(struct buffer *query, const char *name, const char *value) {
    char *escaped = value != NULL ? curl_easy_escape(NULL, value, 0) : NULL;
    if (escaped != NULL)
        buffer_add_format(query, "%c%s=%s", query->length == 0 ? '?' : '&', name, escaped);
    curl_free(escaped);
}

const char *client_member(const json_t *answer, const char *name) {
    const char *text = json_string_value(json_object_get(answer, name));
    return text != NULL ? text : "";
}

void client_print(const json_t *json) {
    char *text = json_dumps(json, JSON_COMPACT);
    puts(text != NULL ? text : "null");
    free(text);
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
