/*
 * access: from what a client presents to who it is.
 *
 * Shared by all workers; any thread. Configured keys are read-only; the set of revoked tokens locks
 * itself.
 */
#ifndef HOOKMOON_AUTH_ACCESS_H
#define HOOKMOON_AUTH_ACCESS_H

#include "auth/identity.h"
#include "auth/token.h"
#include "config/config.h"

struct access;

/* Borrows `c` and `key`. */
struct access *access_new(const struct config *c, const struct token_key *key);
void access_free(struct access *a);

/*
 * Who presents `credential` (NULL or "": none was given): a configured key, a token, or the base64
 * form of {"endpoint":..,"api_key":..} around one of them, which Momento's SDKs are given. While
 * the gateway is open, whoever presents neither is an administrator. The caller unrefs the result.
 * NULL: ERROR_UNAUTHENTICATED.
 */
struct identity *access_identify(struct access *a, const char *credential, struct error *e);

/* The key inside of the base64 form, or NULL; the caller frees. */
char *access_unwrap(const char *credential);

/*
 * Is an identity that was found earlier still good: not expired, not revoked? Asked before each use
 * on a connection that lasts, and every second of a subscription. ERROR_UNAUTHENTICATED.
 */
bool access_still_valid(struct access *a, const struct identity *i, struct error *e);

/* From now on tokens of this serial are refused. `expires_s` (0: never) is when it may be
 * forgotten.
 */
void access_revoke(struct access *a, const unsigned char serial[IDENTITY_SERIAL_BYTES],
                   int64_t expires_s);

#endif
