#include "config/config_url.h"

#include <stdio.h>
#include <stdlib.h>

#include <curl/curl.h>

#include "config/config_schema.h"

static const char hooks[] = "/hooks/";

bool config_url_is_valid(const char *url) {
    CURLU *parsed = curl_url();
    char *scheme = NULL;
    bool valid = parsed != NULL && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
                 curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                 (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    curl_free(scheme);
    curl_url_cleanup(parsed);
    return valid;
}

bool config_webhook_url_is_valid(const char *url) {
    if (strncmp(url, hooks, sizeof hooks - 1) == 0)
        return config_hook_name_is_valid(url + sizeof hooks - 1);
    return config_url_is_valid(url);
}

char *config_url_complete(const char *url, const char *base) {
    return url[0] == '/' ? xasprintf("%s%s", base, url) : xstrdup(url);
}

static char *part(CURLU *url, CURLUPart which) {
    char *text = NULL;
    return curl_url_get(url, which, &text, CURLU_DEFAULT_PORT) == CURLUE_OK ? text : NULL;
}

static bool is_loopback(const char *host) {
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           strncmp(host, "127.", 4) == 0;
}

static bool same_part(CURLU *a, CURLU *b, CURLUPart which) {
    char *left = part(a, which), *right = part(b, which);
    bool same = left != NULL && right != NULL &&
                (strcasecmp(left, right) == 0 ||
                 (which == CURLUPART_HOST && is_loopback(left) && is_loopback(right)));
    curl_free(left);
    curl_free(right);
    return same;
}

/* True when both have the same scheme, host and port. */
static bool same_server(CURLU *url, const char *base) {
    CURLU *own = curl_url();
    bool same = own != NULL && curl_url_set(own, CURLUPART_URL, base, 0) == CURLUE_OK &&
                same_part(url, own, CURLUPART_SCHEME) && same_part(url, own, CURLUPART_HOST) &&
                same_part(url, own, CURLUPART_PORT);
    curl_url_cleanup(own);
    return same;
}

char *config_url_own_hook(const char *url, const char *base, const char *public_url) {
    CURLU *parsed = curl_url();
    char *path = NULL, *name = NULL;
    if (parsed != NULL && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
        (same_server(parsed, base) || (public_url != NULL && same_server(parsed, public_url))))
        path = part(parsed, CURLUPART_PATH);
    if (path != NULL && strncmp(path, hooks, sizeof hooks - 1) == 0)
        name = xstrdup(path + sizeof hooks - 1);
    curl_free(path);
    curl_url_cleanup(parsed);
    return name;
}
