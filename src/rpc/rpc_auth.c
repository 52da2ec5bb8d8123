/*
 * auth.Auth and token.Token: keys. The caller's own key is in the message.
 */
#include <stdlib.h>

#include "auth.pb-c.h"
#include "rpc/rpc_internal.h"

#define CREDENTIAL_BYTES (2 * TOKEN_BYTES)
#define ID_BYTES         1024

/* ---- permissions ---- */

static enum role role_of(uint32_t wire) {
    switch (wire) {
    case 1:
        return ROLE_PUBLISH_SUBSCRIBE;
    case 2:
        return ROLE_SUBSCRIBE;
    case 3:
        return ROLE_PUBLISH;
    default:
        return ROLE_NONE;
    }
}

/* The grants of a request, as an identity that is used for nothing else. */
static bool add_topic_permission(struct identity *to, const Hookmoon__TopicPermissions *p,
                                 struct error *e) {
    char cache[NAME_SIZE], topic[NAME_SIZE];
    bool one_cache = p->cache_case == HOOKMOON__TOPIC_PERMISSIONS__CACHE_CACHE_SELECTOR;
    bool some_topics = p->topic_case == HOOKMOON__TOPIC_PERMISSIONS__TOPIC_TOPIC_SELECTOR;
    bool prefix = false;
    if (p->cache_case == HOOKMOON__TOPIC_PERMISSIONS__CACHE__NOT_SET ||
        p->topic_case == HOOKMOON__TOPIC_PERMISSIONS__TOPIC__NOT_SET)
        return error_set(e, ERROR_INVALID, "a permission does not say which cache and topic");
    if (role_of(p->role) == ROLE_NONE)
        return error_set(e, ERROR_INVALID, "a permission has no role that is known here");
    if (one_cache && !call_name(cache, &p->cache_selector->cache_name, "cache", e))
        return false;
    if (some_topics) {
        const Hookmoon__TopicSelector *s = p->topic_selector;
        prefix = s->kind_case == HOOKMOON__TOPIC_SELECTOR__KIND_TOPIC_NAME_PREFIX;
        if (!call_name(topic, prefix ? &s->topic_name_prefix : &s->topic_name, "topic", e))
            return false;
    }
    identity_add(to, role_of(p->role), one_cache ? cache : NULL, some_topics ? topic : NULL,
                 prefix);
    return true;
}

/* What a cache permission is for, packed, whatever its role is. */
static void pack_subject(struct buffer *b, const Hookmoon__CachePermissions *p) {
    Hookmoon__CachePermissions subject = *p;
    subject.role = 0;
    size_t size = hookmoon__cache_permissions__get_packed_size(&subject);
    b->length +=
        hookmoon__cache_permissions__pack(&subject, (uint8_t *)buffer_reserve(b, size + 1));
}

/* Two for the same items of the same cache contradict each other, even if they permit nothing here.
 */
static bool same_subject(const Hookmoon__CachePermissions *left,
                         const Hookmoon__CachePermissions *right) {
    struct buffer a = {0}, b = {0};
    pack_subject(&a, left);
    pack_subject(&b, right);
    bool same = a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
    buffer_free(&a);
    buffer_free(&b);
    return same;
}

/* Is there an earlier one for the same? */
static bool is_repeated(const Hookmoon__ExplicitPermissions *given, size_t i) {
    const Hookmoon__PermissionsType *p = given->permissions[i];
    if (p->kind_case != HOOKMOON__PERMISSIONS_TYPE__KIND_CACHE_PERMISSIONS)
        return false; /* topics are compared when the key is made */
    for (size_t j = 0; j < i; j++) {
        const Hookmoon__PermissionsType *other = given->permissions[j];
        if (other->kind_case == p->kind_case &&
            same_subject(p->cache_permissions, other->cache_permissions))
            return true;
    }
    return false;
}

/* Caches and functions hold no data here: what is permitted on them is taken note of, and that is
 * all. */
static bool read_explicit(struct identity *to, const Hookmoon__ExplicitPermissions *given,
                          struct error *e) {
    if (given->n_permissions == 0)
        return error_set(e, ERROR_INVALID, "a key needs at least one permission");
    if (given->n_permissions > KEY_GRANTS)
        return error_set(e, ERROR_INVALID, "a key has at most %d permissions", KEY_GRANTS);
    for (size_t i = 0; i < given->n_permissions; i++) {
        const Hookmoon__PermissionsType *p = given->permissions[i];
        if (p->kind_case == HOOKMOON__PERMISSIONS_TYPE__KIND_TOPIC_PERMISSIONS &&
            !add_topic_permission(to, p->topic_permissions, e))
            return false;
        if (p->kind_case == HOOKMOON__PERMISSIONS_TYPE__KIND__NOT_SET)
            return error_set(e, ERROR_INVALID, "a permission is of no kind that is known here");
        if (is_repeated(given, i))
            return error_set(e, ERROR_INVALID, "two permissions are for the same cache");
    }
    return true;
}

static struct identity *read_permissions(const Hookmoon__Permissions *given, struct error *e) {
    if (given == NULL || given->kind_case == HOOKMOON__PERMISSIONS__KIND__NOT_SET) {
        error_set(e, ERROR_INVALID, "the key's permissions are missing");
        return NULL;
    }
    if (given->kind_case == HOOKMOON__PERMISSIONS__KIND_SUPER_USER) {
        error_set(e, ERROR_PERMISSION,
                  "keys that administer are made by the admin API or `hookmoon key create`");
        return NULL;
    }
    struct identity *to = identity_new("");
    if (read_explicit(to, given->explicit_permissions, e))
        return to;
    identity_unref(to);
    return NULL;
}

/* ---- making keys ---- */

/* The caller must administer. */
static bool check_caller(struct call *c, const ProtobufCBinaryData *credential, struct error *e) {
    char *text = call_text(credential, "key", CREDENTIAL_BYTES, e);
    if (text == NULL)
        return false;
    struct identity *i = access_identify(c->rpc->shared->access, text, e);
    bool good = i != NULL && identity_may_administer(i, e);
    identity_unref(i);
    free(text);
    return good;
}

/* A key that permits nothing on topics is a key of Momento's caches. */
static bool make(struct call *c, const Hookmoon__Permissions *permissions,
                 const ProtobufCBinaryData *id, const ProtobufCBinaryData *description,
                 int64_t valid_for_s, bool disposable, struct key_result *result, struct error *e) {
    static const ProtobufCBinaryData none = {0, NULL};
    struct identity *rights = read_permissions(permissions, e);
    char *id_text = rights != NULL ? call_text(id, "token id", ID_BYTES, e) : NULL;
    char *words = id_text != NULL ? call_text(description != NULL ? description : &none,
                                              "description", ID_BYTES, e)
                                  : NULL;
    bool good = false;
    if (words != NULL) {
        struct key_request request = {
            .id = id_text,
            .description = words,
            .grants = rights->grants,
            .grant_count = rights->grant_count,
            .without_topics = rights->grant_count == 0,
            .valid_for_s = valid_for_s,
            .disposable = disposable,
        };
        good = control_make_key(c->rpc->shared->control, &request, result, e);
    }
    free(words);
    free(id_text);
    identity_unref(rights);
    return good;
}

/* Where the key is for: as the client calls us, without what its SDK put in front. */
static char *endpoint(const struct call *c) {
    static const char *const prefixes[] = {"web.", "control.", "token.", "cache."};
    const struct ingress_shared *shared = c->rpc->shared;
    const char *url = shared->config->public_url != NULL ? shared->config->public_url : shared->url;
    const char *host =
        shared->config->public_url == NULL && c->host != NULL ? c->host : strstr(url, "://") + 3;
    for (size_t i = 0; i < COUNT_OF(prefixes); i++) {
        size_t length = strlen(prefixes[i]);
        if (strncmp(host, prefixes[i], length) == 0)
            host += length;
    }
    return xstrndup(host, strcspn(host, "/"));
}

static void reply_key(struct call *c, struct key_result *result) {
    Hookmoon__ApiTokenResponse answer = HOOKMOON__API_TOKEN_RESPONSE__INIT;
    char *host = endpoint(c);
    answer.api_key = call_bytes(result->token);
    answer.refresh_token = call_bytes(result->refresh_token);
    answer.endpoint = call_bytes(host);
    answer.valid_until = (uint64_t)result->expires_s;
    call_reply(c, &answer.base);
    free(host);
    key_result_free(result);
}

static bool generate(struct call *c, const uint8_t *message, size_t length, struct error *e) {
    struct key_result result = {0};
    Hookmoon__GenerateApiTokenRequest *m =
        call_unpack(&hookmoon__generate_api_token_request__descriptor, message, length, e);
    bool good = m != NULL && check_caller(c, &m->auth_token, e);
    if (good && m->expiry_case == HOOKMOON__GENERATE_API_TOKEN_REQUEST__EXPIRY__NOT_SET)
        good = error_set(e, ERROR_INVALID, "the key's expiry is missing");
    if (good) {
        bool expires = m->expiry_case == HOOKMOON__GENERATE_API_TOKEN_REQUEST__EXPIRY_EXPIRES;
        int64_t seconds = expires ? (int64_t)m->expires->valid_for_seconds : 0;
        if (expires && seconds == 0)
            good = error_set(e, ERROR_INVALID, "the key would be valid for 0 seconds");
        else
            good =
                make(c, m->permissions, &m->token_id, &m->description, seconds, false, &result, e);
    }
    call_drop(m);
    if (good)
        reply_key(c, &result);
    return good;
}

static bool refresh(struct call *c, const uint8_t *message, size_t length, struct error *e) {
    struct key_result result = {0};
    Hookmoon__RefreshApiTokenRequest *m =
        call_unpack(&hookmoon__refresh_api_token_request__descriptor, message, length, e);
    char *key = m != NULL ? call_text(&m->api_key, "key", CREDENTIAL_BYTES, e) : NULL;
    char *refresh_token =
        key != NULL ? call_text(&m->refresh_token, "refresh token", CREDENTIAL_BYTES, e) : NULL;
    bool good = refresh_token != NULL &&
                control_refresh_key(c->rpc->shared->control, key, refresh_token, &result, e);
    free(key);
    free(refresh_token);
    call_drop(m);
    if (good)
        reply_key(c, &result);
    return good;
}

static bool generate_disposable(struct call *c, const uint8_t *message, size_t length,
                                struct error *e) {
    struct key_result result = {0};
    Hookmoon__GenerateDisposableTokenRequest *m =
        call_unpack(&hookmoon__generate_disposable_token_request__descriptor, message, length, e);
    bool good =
        m != NULL && check_caller(c, &m->auth_token, e) &&
        make(c, m->permissions, &m->token_id, NULL,
             m->expires != NULL ? (int64_t)m->expires->valid_for_seconds : 0, true, &result, e);
    call_drop(m);
    if (!good)
        return false;
    Hookmoon__DisposableTokenResponse answer = HOOKMOON__DISPOSABLE_TOKEN_RESPONSE__INIT;
    char *host = endpoint(c);
    answer.api_key = call_bytes(result.token);
    answer.endpoint = call_bytes(host);
    answer.valid_until = (uint64_t)result.expires_s;
    call_reply(c, &answer.base);
    free(host);
    key_result_free(&result);
    return true;
}

const struct method auth_methods[] = {
    {"/auth.Auth/GenerateApiToken", "GenerateApiToken", METHOD_ANYONE, false, generate},
    {"/auth.Auth/RefreshApiToken", "RefreshApiToken", METHOD_ANYONE, false, refresh},
    {"/token.Token/GenerateDisposableToken", "GenerateDisposableToken", METHOD_ANYONE, false,
     generate_disposable},
    {0},
};
