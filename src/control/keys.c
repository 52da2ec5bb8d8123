#include "control/keys.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/crypto.h>

#include "auth/access.h"
#include "base/utf8.h"
#include "broker/broker.h"

/* ---- checks ---- */

static bool same(const char *a, const char *b) {
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool check_name(const char *what, const char *name, struct error *e) {
    const char *defect = name != NULL ? broker_name_defect(name, strlen(name)) : NULL;
    return defect == NULL || error_set(e, ERROR_INVALID, "a permission's %s %s", what, defect);
}

static bool check_grants(const struct key_request *r, struct error *e) {
    if (!r->admin && !r->without_topics && r->grant_count == 0)
        return error_set(e, ERROR_INVALID, "a key needs at least one permission");
    if (r->grant_count > KEY_GRANTS)
        return error_set(e, ERROR_INVALID, "a key has at most %d permissions", KEY_GRANTS);
    for (size_t i = 0; i < r->grant_count; i++) {
        const struct grant *g = &r->grants[i];
        if (!check_name("cache", g->cache, e) || !check_name("topic", g->topic, e))
            return false;
        for (size_t j = 0; j < i; j++) {
            const struct grant *other = &r->grants[j];
            if (same(g->cache, other->cache) && same(g->topic, other->topic) &&
                g->prefix == other->prefix)
                return error_set(e, ERROR_INVALID, "two permissions are for the same topics");
        }
    }
    return true;
}

static size_t count_characters(const char *text) {
    size_t count = 0;
    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static bool check_text(const char *what, const char *text, size_t most, struct error *e) {
    if (!utf8_valid(text, strlen(text)))
        return error_set(e, ERROR_INVALID, "the key's %s is not UTF-8", what);
    return count_characters(text) <= most ||
           error_set(e, ERROR_INVALID, "the key's %s has more than %zu characters", what, most);
}

static bool check(const struct key_request *r, struct error *e) {
    if (r->disposable && (r->valid_for_s <= 0 || r->valid_for_s > KEY_DISPOSABLE_MAX_S))
        return error_set(e, ERROR_INVALID,
                         "a disposable token is valid for 1 to %d seconds, not %lld",
                         KEY_DISPOSABLE_MAX_S, (long long)r->valid_for_s);
    if (r->valid_for_s < 0 || r->valid_for_s > UINT32_MAX)
        return error_set(e, ERROR_INVALID, "the key's duration is not possible");
    return check_grants(r, e) && check_text("id", r->id, KEY_ID_CHARACTERS, e) &&
           check_text("description", r->description, KEY_DESCRIPTION_BYTES, e);
}

/* ---- in words, for the list ---- */

static void add_quoted(struct buffer *b, const char *text) {
    buffer_add_json_string(b, text, strlen(text));
}

static char *rights_in_words(const struct identity *i) {
    struct buffer b = {0};
    if (i->admin || i->grant_count == 0)
        buffer_add_string(&b, i->admin ? role_word(ROLE_ADMIN) : "nothing on topics");
    for (size_t n = 0; n < i->grant_count; n++) {
        const struct grant *g = &i->grants[n];
        if (b.length > 0)
            buffer_add_string(&b, "; ");
        buffer_add_string(&b, role_word(g->role));
        buffer_add_string(&b, g->topic == NULL ? " on all topics"
                              : g->prefix      ? " on topics that begin with "
                                               : " on topic ");
        if (g->topic != NULL)
            add_quoted(&b, g->topic);
        if (g->cache != NULL) {
            buffer_add_string(&b, " of cache ");
            add_quoted(&b, g->cache);
        }
    }
    return buffer_take(&b);
}

static void write_serial(const unsigned char *serial, char *hex) {
    for (size_t i = 0; i < IDENTITY_SERIAL_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", serial[i]);
}

/* ---- making ---- */

static bool list_key(struct store *s, const struct identity *i, const char *description,
                     char *serial, struct error *e) {
    struct key_record record = {
        .serial = serial,
        .id = i->id,
        .description = (char *)(uintptr_t)description,
        .rights = rights_in_words(i),
        .created_s = i->issued_s,
        .expires_s = i->expires_s,
    };
    bool good = store_add_key(s, &record, e);
    free(record.rights);
    return good;
}

/* Signs and lists it. */
static bool issue(const struct token_key *k, struct store *s, struct identity *i,
                  const char *description, struct key_result *result, struct error *e) {
    *result = (struct key_result){0};
    result->token = token_sign(k, i, e);
    if (result->token == NULL)
        return false;
    result->expires_s = i->expires_s;
    write_serial(i->serial, result->serial);
    if (i->is_disposable)
        return true;
    result->refresh_token = token_refresh_sign(k, i);
    if (list_key(s, i, description, result->serial, e))
        return true;
    key_result_free(result);
    return false;
}

bool keys_make(const struct token_key *k, struct store *s, const struct key_request *r,
               struct key_result *result, struct error *e) {
    if (!check(r, e))
        return false;
    struct identity *i = identity_new(r->id);
    i->admin = r->admin;
    i->is_disposable = r->disposable;
    i->issued_s = clock_wall_ms() / 1000;
    i->expires_s = r->valid_for_s != 0 ? i->issued_s + r->valid_for_s : 0;
    for (size_t g = 0; g < r->grant_count; g++)
        identity_add(i, r->grants[g].role, r->grants[g].cache, r->grants[g].topic,
                     r->grants[g].prefix);
    bool good = issue(k, s, i, r->description, result, e);
    identity_unref(i);
    return good;
}

bool keys_refresh(const struct token_key *k, struct store *s, const struct identity *old,
                  const char *refresh_token, struct key_result *result, struct error *e) {
    if (!old->is_token || old->is_disposable || !token_refresh_verify(k, old, refresh_token))
        return error_set(e, ERROR_UNAUTHENTICATED, "the refresh token does not belong to the key");
    struct identity *i = identity_new(old->id);
    i->admin = old->admin;
    i->issued_s = clock_wall_ms() / 1000;
    i->expires_s = old->expires_s != 0 ? i->issued_s + old->expires_s - old->issued_s : 0;
    for (size_t g = 0; g < old->grant_count; g++)
        identity_add(i, old->grants[g].role, old->grants[g].cache, old->grants[g].topic,
                     old->grants[g].prefix);
    bool good = issue(k, s, i, "refreshed", result, e);
    identity_unref(i);
    return good;
}

void key_result_free(struct key_result *r) {
    if (r->token != NULL)
        OPENSSL_cleanse(r->token, strlen(r->token));
    if (r->refresh_token != NULL)
        OPENSSL_cleanse(r->refresh_token, strlen(r->refresh_token));
    free(r->token);
    free(r->refresh_token);
    *r = (struct key_result){0};
}

/* ---- revoking ---- */

bool keys_parse_serial(const char *hex, unsigned char serial[IDENTITY_SERIAL_BYTES]) {
    size_t length = 2 * IDENTITY_SERIAL_BYTES;
    if (strlen(hex) != length || strspn(hex, "0123456789abcdef") != length)
        return false;
    for (size_t i = 0; i < IDENTITY_SERIAL_BYTES; i++) {
        char byte[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        serial[i] = (unsigned char)strtoul(byte, NULL, 16);
    }
    return true;
}

/* The serial and the end of a token of ours. */
static bool read_token(const struct token_key *k, const char *token, unsigned char *serial,
                       int64_t *expires_s) {
    char *inner = token_looks_like(token) ? NULL : access_unwrap(token);
    struct identity *i = token_verify(k, inner != NULL ? inner : token);
    free(inner);
    if (i == NULL)
        return false;
    memcpy(serial, i->serial, IDENTITY_SERIAL_BYTES);
    *expires_s = i->expires_s;
    identity_unref(i);
    return true;
}

bool keys_revoke(const struct token_key *k, struct store *s, const char *serial_or_token,
                 unsigned char serial[IDENTITY_SERIAL_BYTES], int64_t *expires_s, struct error *e) {
    char hex[2 * IDENTITY_SERIAL_BYTES + 1];
    if (keys_parse_serial(serial_or_token, serial)) {
        bool found;
        if (!store_find_key(s, serial_or_token, &found, expires_s, e))
            return false;
        if (!found)
            return error_set(e, ERROR_NOT_FOUND, "there is no key with the serial %s",
                             serial_or_token);
    } else if (!read_token(k, serial_or_token, serial, expires_s)) {
        return error_set(e, ERROR_NOT_FOUND,
                         "that is neither the serial of a key nor a token of this gateway");
    }
    write_serial(serial, hex);
    return store_revoke(s, hex, *expires_s, e);
}

char *keys_wrap(const char *endpoint, const char *token) {
    struct buffer json = {0}, text = {0};
    buffer_add_string(&json, "{\"endpoint\":");
    buffer_add_json_string(&json, endpoint, strlen(endpoint));
    buffer_add_string(&json, ",\"api_key\":");
    buffer_add_json_string(&json, token, strlen(token));
    buffer_add_char(&json, '}');
    buffer_add_base64(&text, json.data, json.length);
    OPENSSL_cleanse(json.data, json.length);
    buffer_free(&json);
    return buffer_take(&text);
}
