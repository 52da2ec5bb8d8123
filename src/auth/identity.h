/*
 * identity: who asks, what that holder may do, and until when.
 *
 * Made from a configured key or from a token. Immutable and shared by reference; any thread.
 */
#ifndef HOOKMOON_AUTH_IDENTITY_H
#define HOOKMOON_AUTH_IDENTITY_H

#include <stdatomic.h>

#include "base/base.h"

/* What may be done with a topic; bits. */
enum role {
    ROLE_NONE = 0,
    ROLE_PUBLISH = 1,
    ROLE_SUBSCRIBE = 2,
    ROLE_PUBLISH_SUBSCRIBE = ROLE_PUBLISH | ROLE_SUBSCRIBE,
    ROLE_ADMIN = 4, /* everything: caches, webhooks, keys, and all topics */
};

/* Permits `role` on some topics. */
struct grant {
    enum role role;
    char *cache; /* NULL: all */
    char *topic; /* NULL: all */
    bool prefix; /* `topic` is what the names begin with */
};

#define IDENTITY_SERIAL_BYTES 12

struct identity {
    _Atomic unsigned references;
    bool admin;
    char *id; /* what its items carry as publisher_id; "" when it has none */
    bool is_token;
    bool is_disposable; /* a token that is not listed and cannot be refreshed */
    unsigned char serial[IDENTITY_SERIAL_BYTES]; /* of the token; unique */
    int64_t issued_s;
    int64_t expires_s; /* of the wall clock; 0: never */
    struct grant *grants;
    size_t grant_count;
};

/* With one reference, and the right to nothing. Copies `id`. */
struct identity *identity_new(const char *id);
/* Adds a grant; copies the strings. */
void identity_add(struct identity *i, enum role role, const char *cache, const char *topic,
                  bool prefix);
struct identity *identity_ref(struct identity *i);
void identity_unref(struct identity *i);

/* May it do `role` (one bit) on the topic? ERROR_PERMISSION. */
bool identity_may(const struct identity *i, enum role role, const char *cache, const char *topic,
                  struct error *e);
/* May it administer? ERROR_PERMISSION. */
bool identity_may_administer(const struct identity *i, struct error *e);

/* "publishsubscribe", "publishonly", "subscribeonly", "admin"; ROLE_NONE when it is none. */
enum role role_parse(const char *word);
const char *role_word(enum role role);

#endif
