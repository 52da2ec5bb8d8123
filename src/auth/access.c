#include "auth/access.h"

#include <pthread.h>
#include <stdlib.h>

#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <uthash.h>

/* Keys are looked up by their digest, so neither the search nor its duration depends on the key. */
struct entry {
    UT_hash_handle hh;
    unsigned char digest[SHA256_DIGEST_LENGTH];
    struct identity *identity;
};

struct revoked {
    UT_hash_handle hh;
    unsigned char serial[IDENTITY_SERIAL_BYTES];
    int64_t expires_s;
};

struct access {
    const struct token_key *key;
    struct identity *anonymous; /* while open: whoever presents nothing that we know */
    struct entry *entries;
    pthread_rwlock_t lock; /* guards the revoked */
    struct revoked *revoked;
    _Atomic bool any_revoked; /* so that mostly no lock is taken */
};

static struct identity *identity_of(const struct config_key *k) {
    struct identity *i = identity_new(k->id != NULL ? k->id : "");
    const char *topic = k->topic != NULL ? k->topic : k->topic_prefix;
    i->admin = k->role == ROLE_ADMIN;
    identity_add(i, k->role, k->cache, topic, k->topic == NULL && k->topic_prefix != NULL);
    return i;
}

struct access *access_new(const struct config *c, const struct token_key *key) {
    struct access *a = xcalloc(1, sizeof *a);
    a->key = key;
    pthread_rwlock_init(&a->lock, NULL);
    if (c->open) {
        a->anonymous = identity_new("");
        a->anonymous->admin = true;
    }
    for (size_t i = 0; i < c->key_count; i++) {
        struct entry *entry = xcalloc(1, sizeof *entry);
        const char *text = c->keys[i].key;
        entry->identity = identity_of(&c->keys[i]);
        SHA256((const unsigned char *)text, strlen(text), entry->digest);
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
        identity_unref(entry->identity);
        free(entry);
    }
    struct revoked *revoked, *after;
    HASH_ITER(hh, a->revoked, revoked, after) {
        HASH_DEL(a->revoked, revoked);
        free(revoked);
    }
    pthread_rwlock_destroy(&a->lock);
    identity_unref(a->anonymous);
    free(a);
}

/* ---- finding ---- */

static struct identity *find(const struct access *a, const char *credential) {
    if (token_looks_like(credential))
        return token_verify(a->key, credential);
    unsigned char digest[SHA256_DIGEST_LENGTH];
    struct entry *entry = NULL;
    SHA256((const unsigned char *)credential, strlen(credential), digest);
    HASH_FIND(hh, a->entries, digest, sizeof digest, entry);
    if (entry == NULL || CRYPTO_memcmp(entry->digest, digest, sizeof digest) != 0)
        return NULL;
    return identity_ref(entry->identity);
}

char *access_unwrap(const char *credential) {
    struct buffer text = {0};
    char *inner = NULL;
    size_t length = strlen(credential);
    if (length <= 2 * TOKEN_BYTES && buffer_add_from_base64(&text, credential, length)) {
        json_t *json = json_loadb(text.data, text.length, 0, NULL);
        const char *key = json_string_value(json_object_get(json, "api_key"));
        inner = key != NULL ? xstrdup(key) : NULL;
        json_decref(json);
    }
    if (text.data != NULL)
        OPENSSL_cleanse(text.data, text.length);
    buffer_free(&text);
    return inner;
}

static struct identity *find_wrapped(const struct access *a, const char *credential) {
    char *inner = access_unwrap(credential);
    struct identity *i = inner != NULL ? find(a, inner) : NULL;
    if (inner != NULL)
        OPENSSL_cleanse(inner, strlen(inner));
    free(inner);
    return i;
}

struct identity *access_identify(struct access *a, const char *credential, struct error *e) {
    struct identity *i = NULL;
    bool given = credential != NULL && credential[0] != '\0';
    if (given) {
        i = find(a, credential);
        if (i == NULL)
            i = find_wrapped(a, credential);
    }
    if (i == NULL && a->anonymous != NULL)
        return identity_ref(a->anonymous);
    if (i != NULL) {
        if (access_still_valid(a, i, e))
            return i;
        identity_unref(i);
    } else if (!given) {
        error_set(e, ERROR_UNAUTHENTICATED,
                  "a key is needed: send it as the Authorization header or as ?token=");
    } else if (strncasecmp(credential, "Bearer ", 7) == 0) {
        error_set(e, ERROR_UNAUTHENTICATED,
                  "send the key itself in Authorization, without \"Bearer\"");
    } else {
        error_set(e, ERROR_UNAUTHENTICATED, "the key is not known here");
    }
    return NULL;
}

/* ---- validity ---- */

static bool is_revoked(struct access *a, const struct identity *i) {
    struct revoked *found = NULL;
    if (!atomic_load_explicit(&a->any_revoked, memory_order_acquire))
        return false;
    pthread_rwlock_rdlock(&a->lock);
    HASH_FIND(hh, a->revoked, i->serial, sizeof i->serial, found);
    pthread_rwlock_unlock(&a->lock);
    return found != NULL;
}

bool access_still_valid(struct access *a, const struct identity *i, struct error *e) {
    if (!i->is_token)
        return true;
    if (i->expires_s != 0 && clock_wall_ms() / 1000 >= i->expires_s)
        return error_set(e, ERROR_UNAUTHENTICATED, "the key has expired");
    if (is_revoked(a, i))
        return error_set(e, ERROR_UNAUTHENTICATED, "the key was revoked");
    return true;
}

void access_revoke(struct access *a, const unsigned char serial[IDENTITY_SERIAL_BYTES],
                   int64_t expires_s) {
    struct revoked *revoked = NULL, *next;
    int64_t now = clock_wall_ms() / 1000;
    pthread_rwlock_wrlock(&a->lock);
    HASH_FIND(hh, a->revoked, serial, IDENTITY_SERIAL_BYTES, revoked);
    if (revoked == NULL) {
        struct revoked *old;
        HASH_ITER(hh, a->revoked, old, next) {
            if (old->expires_s != 0 && old->expires_s < now) {
                HASH_DEL(a->revoked, old);
                free(old);
            }
        }
        revoked = xcalloc(1, sizeof *revoked);
        memcpy(revoked->serial, serial, IDENTITY_SERIAL_BYTES);
        revoked->expires_s = expires_s;
        HASH_ADD(hh, a->revoked, serial, IDENTITY_SERIAL_BYTES, revoked);
    }
    atomic_store_explicit(&a->any_revoked, true, memory_order_release);
    pthread_rwlock_unlock(&a->lock);
}
