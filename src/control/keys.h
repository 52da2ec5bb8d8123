/*
 * keys: making, refreshing and revoking keys: what the gateway and `hookmoon key` both do. Any
 * thread.
 */
#ifndef HOOKMOON_CONTROL_KEYS_H
#define HOOKMOON_CONTROL_KEYS_H

#include "auth/token.h"
#include "store/store.h"

#define KEY_ID_CHARACTERS     64
#define KEY_GRANTS            20
#define KEY_DISPOSABLE_MAX_S  3600
#define KEY_DESCRIPTION_BYTES 1024

struct key_request {
    const char *id;          /* the token_id; "" for none */
    const char *description; /* for the list; "" for none */
    bool admin;
    const struct grant *grants;
    size_t grant_count;
    bool without_topics; /* no grant is no mistake: it is a key for caches alone */
    int64_t valid_for_s; /* 0: for ever */
    bool disposable;     /* not listed, cannot be refreshed, an hour at most */
};

struct key_result {
    char *token;
    char *refresh_token; /* NULL: disposable */
    int64_t expires_s;   /* 0: never */
    char serial[2 * IDENTITY_SERIAL_BYTES + 1];
};

/* ERROR_INVALID: no rights, two for the same topic, a bad name, a bad duration, too many. */
bool keys_make(const struct token_key *k, struct store *s, const struct key_request *r,
               struct key_result *result, struct error *e);
/* A new key with the rights of `old`, which `refresh_token` belongs to, and the same duration from
 * now. ERROR_UNAUTHENTICATED. */
bool keys_refresh(const struct token_key *k, struct store *s, const struct identity *old,
                  const char *refresh_token, struct key_result *result, struct error *e);
void key_result_free(struct key_result *r);

/* By the serial of a listed key, or by a token of ours, in either form, listed or not. Fills
 * `serial` and `*expires_s`. ERROR_NOT_FOUND. */
bool keys_revoke(const struct token_key *k, struct store *s, const char *serial_or_token,
                 unsigned char serial[IDENTITY_SERIAL_BYTES], int64_t *expires_s, struct error *e);

/* The bytes of a serial in hexadecimal; false when it is none. */
bool keys_parse_serial(const char *hex, unsigned char serial[IDENTITY_SERIAL_BYTES]);
/* The v1 form for the SDKs: base64 of {"endpoint":..,"api_key":..}. The caller frees. */
char *keys_wrap(const char *endpoint, const char *token);

#endif
