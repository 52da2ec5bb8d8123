#include "ingress/envelope.h"

#include <stdlib.h>
#include <strings.h>

static bool is_private(const char *name) {
    static const char *const names[] = {"authorization", "proxy-authorization", "cookie",
                                        "momento-signature"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strcasecmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static void add_pair(void *context, const char *name, const char *value) {
    json_t *list = context;
    if (!is_private(name))
        json_array_append_new(list, json_pack("[s, s]", name, value));
}

static void add_argument(void *context, const char *name, const char *value) {
    if (strcmp(name, "token") != 0)
        add_pair(context, name, value);
}

char *envelope_write(const struct http_request *r) {
    json_t *headers = json_array(), *arguments = json_array();
    http_request_each_header(r, add_pair, headers);
    http_request_each_argument(r, add_argument, arguments);
    json_t *json = json_pack("{s:s, s:s, s:s, s:o, s:o}", "id", http_request_id(r), "method",
                             http_request_method(r), "path", http_request_path(r), "headers",
                             headers, "arguments", arguments);
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    return text != NULL ? text : xstrdup("{}");
}

static void each_pair(const json_t *list, void (*each)(void *, const char *, const char *),
                      void *context) {
    size_t i;
    json_t *pair;
    json_array_foreach((json_t *)(uintptr_t)list, i, pair) {
        const char *name = json_string_value(json_array_get(pair, 0));
        const char *value = json_string_value(json_array_get(pair, 1));
        if (name != NULL && value != NULL)
            each(context, name, value);
    }
}

static void each_header(const void *source, void (*each)(void *, const char *, const char *),
                        void *context) {
    each_pair(json_object_get(source, "headers"), each, context);
}

static void each_argument(const void *source, void (*each)(void *, const char *, const char *),
                          void *context) {
    each_pair(json_object_get(source, "arguments"), each, context);
}

static const char *member(const json_t *json, const char *name) {
    const char *value = json_string_value(json_object_get(json, name));
    return value != NULL ? value : "";
}

bool envelope_read(struct envelope *v, const char *text, const char *hook, struct error *e) {
    v->json = json_loads(text, 0, NULL);
    if (!json_is_object(v->json)) {
        json_decref(v->json);
        v->json = NULL;
        return error_set(e, ERROR_INVALID, "the stored request cannot be read");
    }
    v->request = (struct script_request){
        .id = member(v->json, "id"),
        .method = member(v->json, "method"),
        .path = member(v->json, "path"),
        .hook = hook,
        .each_header = each_header,
        .each_argument = each_argument,
        .source = v->json,
    };
    return true;
}

void envelope_clear(struct envelope *v) {
    json_decref(v->json);
    v->json = NULL;
}
