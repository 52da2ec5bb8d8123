/*
 * token: keys that carry what they permit, signed, so that none needs looking up.
 *
 * A token is "hm1." + base64url of a protobuf message + "." + base64url of its HMAC-SHA256 under
 * the gateway's signing key. Any thread.
 */
#ifndef HOOKMOON_AUTH_TOKEN_H
#define HOOKMOON_AUTH_TOKEN_H

#include "auth/identity.h"

#define TOKEN_BYTES 2048 /* the longest token: it must fit into the headers */

struct token_key;

/* Reads the signing key from `path`; makes one (mode 0600) when there is none and `create`. */
struct token_key *token_key_open(const char *path, bool create, struct error *e);
/* One that is gone with the process. */
struct token_key *token_key_random(void);
void token_key_free(struct token_key *k);

/* Gives the identity a fresh serial and signs it; the caller frees. NULL: ERROR_INVALID, when it
 * would be longer than TOKEN_BYTES. */
char *token_sign(const struct token_key *k, struct identity *i, struct error *e);
/* The identity of a token whose signature is ours, expired or not. NULL: it is none. The time taken
 * does not depend on how much of the signature is right. */
struct identity *token_verify(const struct token_key *k, const char *token);

/* What refreshes a token: bound to its serial. */
char *token_refresh_sign(const struct token_key *k, const struct identity *i);
bool token_refresh_verify(const struct token_key *k, const struct identity *i, const char *refresh);

/* True when `text` has the look of a token. */
bool token_looks_like(const char *text);

#endif
