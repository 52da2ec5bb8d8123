/*
 * /admin/...: caches, webhooks and keys over JSON.
 */
#include "ingress/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/json.h"
#include "ingress/query.h"
#include "ingress/reply.h"

#define BODY_BYTES (64 * 1024)
#define BODY_DEPTH 8

static const char description_path[] = "/admin/openapi.json";

/* The description, as it is in the source. */
__asm__(".section .rodata\n"
        ".global hookmoon_openapi, hookmoon_openapi_end\n"
        "hookmoon_openapi:\n"
        ".incbin \"src/ingress/openapi.json\"\n"
        "hookmoon_openapi_end:\n"
        ".previous\n");
extern const char hookmoon_openapi[], hookmoon_openapi_end[];

static const struct admin_route *const tables[] = {admin_caches, admin_webhooks, admin_keys,
                                                   admin_deadletters};

/* ---- answers ---- */

void admin_reply(struct admin_request *r, unsigned status, json_t *json) {
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    http_request_set_header(r->request, "Cache-Control", "no-store");
    reply_json(r->request, status, text != NULL ? text : "{}");
    free(text);
}

void admin_reply_done(struct admin_request *r) {
    http_request_reply(r->request, 204, NULL, NULL, 0);
}

json_t *admin_time(int64_t seconds) {
    char text[32];
    struct tm tm;
    time_t t = (time_t)seconds;
    if (seconds == 0 || gmtime_r(&t, &tm) == NULL)
        return json_null();
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return json_string(text);
}

/* ---- paths ---- */

/* How far the part of a path goes. */
static size_t part_length(const char *path) {
    return strcspn(path, "/");
}

/* True when the path has the route's form; its names are then at `names`. */
static bool path_matches(const char *pattern, const char *path, const char *names[ADMIN_NAMES]) {
    size_t count = 0;
    while (*pattern != '\0' && *path != '\0') {
        if (*pattern == '*') {
            if (part_length(path) == 0 || count == ADMIN_NAMES)
                return false;
            names[count++] = path;
            path += part_length(path);
            pattern++;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return *pattern == '\0' && *path == '\0';
}

/* The route; NULL, and `methods` (of size bytes) lists what the path takes, or is "". */
static const struct admin_route *find_route(const char *method, const char *path,
                                            const char *names[ADMIN_NAMES], char *methods,
                                            size_t size) {
    methods[0] = '\0';
    for (size_t i = 0; i < COUNT_OF(tables); i++) {
        for (const struct admin_route *r = tables[i]; r->method != NULL; r++) {
            if (!path_matches(r->path, path, names))
                continue;
            if (strcmp(r->method, method) == 0)
                return r;
            size_t length = strlen(methods);
            snprintf(methods + length, size - length, "%s%s", length > 0 ? ", " : "", r->method);
        }
    }
    return NULL;
}

/* ---- the checks ---- */

/* A page in a browser can send some requests without asking; it says where it is from, though. */
static bool check_origin(struct http_request *r, struct error *e) {
    const char *origin = http_request_header(r, "Origin");
    const char *host = http_request_header(r, "Host");
    const char *from = origin != NULL ? strstr(origin, "://") : NULL;
    if (origin == NULL || (from != NULL && host != NULL && strcasecmp(from + 3, host) == 0))
        return true;
    return error_set(e, ERROR_PERMISSION, "pages of other origins may not administer");
}

static bool check_key(struct ingress *in, struct http_request *r, struct error *e) {
    struct identity *who = topics_identify(in, r, e);
    bool good = who != NULL && identity_may_administer(who, e);
    identity_unref(who);
    return good;
}

static bool is_json(const struct http_request *r) {
    const char *type = http_request_header(r, "Content-Type");
    size_t length = type != NULL ? strcspn(type, "; ") : 0;
    return length == 16 && strncasecmp(type, "application/json", length) == 0;
}

size_t admin_headers(struct ingress *in, struct http_request *r) {
    const char *names[ADMIN_NAMES], *path = http_request_path(r);
    char methods[64];
    struct error e;
    if (strcmp(path, description_path) == 0 && strcmp(http_request_method(r), "GET") == 0)
        return 0;
    if (!check_origin(r, &e) || !check_key(in, r, &e)) {
        reply_error(r, &e);
        return 0;
    }
    const struct admin_route *route =
        find_route(http_request_method(r), path, names, methods, sizeof methods);
    if (route == NULL && methods[0] != '\0') {
        http_request_set_header(r, "Allow", methods);
        reply_refuse(r, 405, "method_not_allowed", "the method must be %s", methods);
    } else if (route == NULL) {
        reply_refuse(r, 404, "not_found", "there is nothing here; see %s", description_path);
    } else if (route->members != NULL && !is_json(r)) {
        reply_refuse(r, 415, "unsupported_media_type", "the Content-Type must be application/json");
    }
    return BODY_BYTES;
}

/* ---- bodies ---- */

static bool read_body(struct admin_request *r, const struct admin_route *route, struct error *e) {
    size_t length;
    const char *text = http_request_body(r->request, &length);
    json_error_t why;
    if (route->members == NULL)
        return true;
    if (json_nested_deeper(text, length, BODY_DEPTH))
        return error_set(e, ERROR_INVALID, "the body is nested too deep");
    r->body = json_loadb(text, length, JSON_REJECT_DUPLICATES, &why);
    if (r->body == NULL)
        return error_set(e, ERROR_INVALID, "the body is no JSON: %s", why.text);
    if (!json_is_object(r->body))
        return error_set(e, ERROR_INVALID, "the body must be an object");
    return members_check(r->body, route->members, e);
}

static bool read_names(struct admin_request *r, const char *names[ADMIN_NAMES], struct error *e) {
    for (size_t i = 0; i < ADMIN_NAMES && names[i] != NULL; i++) {
        const char *defect = query_decode(names[i], part_length(names[i]), &r->names[i]);
        if (defect != NULL)
            return error_set(e, ERROR_INVALID, "%s", defect);
    }
    return true;
}

static void serve_description(struct http_request *r) {
    http_request_reply(r, 200, "application/json", hookmoon_openapi,
                       (size_t)(hookmoon_openapi_end - hookmoon_openapi));
}

void admin_request(struct ingress *in, struct http_request *request) {
    struct admin_request r = {.ingress = in, .request = request, .control = in->shared->control};
    const char *names[ADMIN_NAMES] = {0}, *path = http_request_path(request);
    char methods[64];
    struct error e;
    if (strcmp(path, description_path) == 0) {
        serve_description(request);
        return;
    }
    const struct admin_route *route =
        find_route(http_request_method(request), path, names, methods, sizeof methods);
    bool good = read_names(&r, names, &e) && read_body(&r, route, &e) && route->run(&r, &e);
    if (!good)
        reply_error(request, &e);
    json_decref(r.body);
    for (size_t i = 0; i < ADMIN_NAMES; i++)
        free(r.names[i]);
}
