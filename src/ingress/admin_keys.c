/*
 * /admin/keys
 */
#include <stdlib.h>

#include "ingress/admin.h"

/* ---- what a key may do ---- */

static const char *const permission_members[] = {"role", "cache", "topic", "topic_prefix", NULL};

/* One grant; its strings are borrowed from the JSON. */
static bool read_grant(const json_t *object, struct grant *g, struct error *e) {
    const char *role, *cache, *topic, *prefix;
    if (!members_string(object, "role", true, &role, e) ||
        !members_string(object, "cache", false, &cache, e) ||
        !members_string(object, "topic", false, &topic, e) ||
        !members_string(object, "topic_prefix", false, &prefix, e))
        return false;
    if (topic != NULL && prefix != NULL)
        return error_set(e, ERROR_INVALID, "topic and topic_prefix exclude each other");
    *g = (struct grant){
        .role = role_parse(role),
        .cache = (char *)(uintptr_t)cache,
        .topic = (char *)(uintptr_t)(topic != NULL ? topic : prefix),
        .prefix = prefix != NULL,
    };
    if (g->role == ROLE_NONE)
        return error_set(e, ERROR_INVALID,
                         "role must be \"publishsubscribe\", \"publishonly\", \"subscribeonly\" or "
                         "\"admin\"");
    if (g->role == ROLE_ADMIN && (g->cache != NULL || g->topic != NULL))
        return error_set(e, ERROR_INVALID, "the role \"admin\" is for everything");
    return true;
}

static bool read_list(const json_t *array, struct grant *grants, size_t *count, struct error *e) {
    if (!json_is_array(array) || json_array_size(array) > KEY_GRANTS)
        return error_set(e, ERROR_INVALID, "permissions must be a list of at most %d", KEY_GRANTS);
    for (*count = 0; *count < json_array_size(array); ++*count) {
        const json_t *item = json_array_get(array, *count);
        struct grant *g = &grants[*count];
        if (!json_is_object(item))
            return error_set(e, ERROR_INVALID, "a permission must be an object");
        if (!members_check(item, permission_members, e) || !read_grant(item, g, e))
            return false;
        if (g->role == ROLE_ADMIN)
            return error_set(e, ERROR_INVALID, "\"admin\" is no permission but a role of a key");
    }
    return true;
}

/* Either one grant in the request itself, or a list. */
static bool read_grants(const json_t *body, struct key_request *request, struct grant *grants,
                        struct error *e) {
    const json_t *list = json_object_get(body, "permissions");
    request->grants = grants;
    if (list != NULL) {
        for (size_t i = 0; permission_members[i] != NULL; i++) {
            if (json_object_get(body, permission_members[i]) != NULL)
                return error_set(e, ERROR_INVALID, "permissions and %s exclude each other",
                                 permission_members[i]);
        }
        return read_list(list, grants, &request->grant_count, e);
    }
    if (!read_grant(body, &grants[0], e))
        return false;
    request->admin = grants[0].role == ROLE_ADMIN;
    request->grant_count = request->admin ? 0 : 1;
    return true;
}

static bool read_request(const json_t *body, struct key_request *request, struct grant *grants,
                         struct error *e) {
    const json_t *valid_for = json_object_get(body, "valid_for");
    const json_t *disposable = json_object_get(body, "disposable");
    if (!members_string(body, "id", false, &request->id, e) ||
        !members_string(body, "description", false, &request->description, e) ||
        !read_grants(body, request, grants, e))
        return false;
    if (valid_for != NULL && !json_is_null(valid_for) &&
        (!json_is_integer(valid_for) || json_integer_value(valid_for) <= 0))
        return error_set(e, ERROR_INVALID, "valid_for must be a number of seconds, or null");
    if (disposable != NULL && !json_is_boolean(disposable))
        return error_set(e, ERROR_INVALID, "disposable must be true or false");
    request->valid_for_s = json_integer_value(valid_for);
    request->disposable = json_is_true(disposable);
    request->id = request->id != NULL ? request->id : "";
    request->description = request->description != NULL ? request->description : "";
    return true;
}

/* ---- operations ---- */

static void reply_key(struct admin_request *r, unsigned status, struct key_result *result) {
    const struct ingress_shared *shared = r->ingress->shared;
    const char *url = shared->config->public_url != NULL ? shared->config->public_url : shared->url;
    const char *host = strstr(url, "://") + 3;
    char *endpoint = xstrndup(host, strcspn(host, "/"));
    char *wrapped = keys_wrap(endpoint, result->token);
    json_t *answer =
        json_pack("{s:s, s:s, s:s, s:o, s:s?}", "token", result->token, "base64", wrapped, "serial",
                  result->serial, "expires", admin_time(result->expires_s), "refresh_token",
                  result->refresh_token);
    free(endpoint);
    free(wrapped);
    key_result_free(result);
    admin_reply(r, status, answer);
}

static bool create(struct admin_request *r, struct error *e) {
    struct grant grants[KEY_GRANTS] = {0};
    struct key_request request = {0};
    struct key_result result;
    if (!read_request(r->body, &request, grants, e) ||
        !control_make_key(r->control, &request, &result, e))
        return false;
    reply_key(r, 201, &result);
    return true;
}

static bool refresh(struct admin_request *r, struct error *e) {
    const char *token, *refresh_token;
    struct key_result result;
    if (!members_string(r->body, "token", true, &token, e) ||
        !members_string(r->body, "refresh_token", true, &refresh_token, e) ||
        !control_refresh_key(r->control, token, refresh_token, &result, e))
        return false;
    reply_key(r, 200, &result);
    return true;
}

static bool list(struct admin_request *r, struct error *e) {
    struct key_record *keys;
    size_t count;
    if (!control_list_keys(r->control, &keys, &count, e))
        return false;
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "serial",
                                               keys[i].serial, "id", keys[i].id, "description",
                                               keys[i].description, "rights", keys[i].rights,
                                               "created", admin_time(keys[i].created_s), "expires",
                                               admin_time(keys[i].expires_s)));
    key_list_free(keys, count);
    admin_reply(r, 200, json_pack("{s:o}", "keys", array));
    return true;
}

static bool revoke_serial(struct admin_request *r, struct error *e) {
    if (!control_revoke_key(r->control, r->names[0], e))
        return false;
    admin_reply_done(r);
    return true;
}

static bool revoke_token(struct admin_request *r, struct error *e) {
    const char *token;
    if (!members_string(r->body, "token", true, &token, e) ||
        !control_revoke_key(r->control, token, e))
        return false;
    admin_reply_done(r);
    return true;
}

static const char *const create_members[] = {
    "id",           "description", "role",       "cache",       "topic",
    "topic_prefix", "valid_for",   "disposable", "permissions", NULL};
static const char *const refresh_members[] = {"token", "refresh_token", NULL};
static const char *const revoke_members[] = {"token", NULL};

const struct admin_route admin_keys[] = {
    {"GET", "/admin/keys", NULL, list},
    {"POST", "/admin/keys", create_members, create},
    {"POST", "/admin/keys/refresh", refresh_members, refresh},
    {"POST", "/admin/keys/revoke", revoke_members, revoke_token},
    {"DELETE", "/admin/keys/*", NULL, revoke_serial},
    {0},
};
