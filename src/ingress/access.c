#include "ingress/access.h"

#include <stdlib.h>

#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <uthash.h>

#define TOKEN_BYTES 4096

/* Keys are looked up by their digest, so neither the search nor its duration depends on the key. */
struct entry {
    UT_hash_handle hh;
    unsigned char digest[SHA256_DIGEST_LENGTH];
    const struct config_key *key;
};

struct access {
    bool open;
    struct entry *entries;
};

struct access *access_new(const struct config *c) {
    struct access *a = xcalloc(1, sizeof *a);
    a->open = c->open;
    for (size_t i = 0; i < c->key_count; i++) {
        struct entry *entry = xcalloc(1, sizeof *entry);
        entry->key = &c->keys[i];
        SHA256((const unsigned char *)entry->key->key, strlen(entry->key->key), entry->digest);
        HASH_ADD(hh, a->entries, digest, sizeof entry->digest, entry);
    }
    return a;
}

void access_free(struct access *a) {
    if (a == NULL)
        return;
    struct entry *entry, *next;
    HASH_ITER(hh, a->entries, entry, next) {
        HASH_DEL(a->entries, entry);
        free(entry);
    }
    free(a);
}

static const struct config_key *find(const struct access *a, const char *token) {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    struct entry *entry = NULL;
    SHA256((const unsigned char *)token, strlen(token), digest);
    HASH_FIND(hh, a->entries, digest, sizeof digest, entry);
    if (entry == NULL || CRYPTO_memcmp(entry->digest, digest, sizeof digest) != 0)
        return NULL;
    return entry->key;
}

/* The key inside of the base64 form. */
static const struct config_key *find_wrapped(const struct access *a, const char *token) {
    struct buffer text = {0};
    const struct config_key *key = NULL;
    if (strlen(token) > TOKEN_BYTES || !buffer_add_from_base64(&text, token, strlen(token)))
        goto done;
    json_t *json = json_loadb(text.data, text.length, 0, NULL);
    const char *inner = json_string_value(json_object_get(json, "api_key"));
    if (inner != NULL)
        key = find(a, inner);
    json_decref(json);
done:
    if (text.data != NULL)
        OPENSSL_cleanse(text.data, text.length);
    buffer_free(&text);
    return key;
}

static bool matches(const char *allowed, const char *name) {
    return allowed == NULL || strcmp(allowed, name) == 0;
}

bool access_check(const struct access *a, const char *token, enum config_role role,
                  const char *cache, const char *topic, const char **id, struct error *e) {
    *id = "";
    if (a->open)
        return true;
    if (token == NULL || token[0] == '\0')
        return error_set(e, ERROR_UNAUTHENTICATED,
                         "a key is needed: send it as the Authorization header or as ?token=");
    const struct config_key *key = find(a, token);
    if (key == NULL)
        key = find_wrapped(a, token);
    if (key == NULL && strncasecmp(token, "Bearer ", 7) == 0)
        return error_set(e, ERROR_UNAUTHENTICATED,
                         "send the key itself in Authorization, without \"Bearer\"");
    if (key == NULL)
        return error_set(e, ERROR_UNAUTHENTICATED, "the key is not known here");
    if ((key->role & role) == 0 || !matches(key->cache, cache) || !matches(key->topic, topic))
        return error_set(e, ERROR_PERMISSION, "the key does not permit to %s there",
                         role == CONFIG_ROLE_PUBLISH ? "publish" : "subscribe");
    *id = key->id != NULL ? key->id : "";
    return true;
}
