/*
 * momento_signature: HMAC-SHA3-256 over a raw body, lower-case hex (the `momento-signature`
 * header).
 *
 * A signer holds one keyed context per secret, re-initialised for each body, which costs a fraction
 * of keying anew. One signer belongs to one thread.
 */
#ifndef HOOKMOON_AUTH_MOMENTO_SIGNATURE_H
#define HOOKMOON_AUTH_MOMENTO_SIGNATURE_H

#include "base/base.h"

#define MOMENTO_SIGNATURE_HEX 64 /* characters, without the NUL */

struct signer;

struct signer *signer_new(const char *secret, struct error *e);
void signer_free(struct signer *s);

/* Writes the signature of `body` in hex, NUL-terminated. False only when the crypto library fails.
 */
bool signer_sign(struct signer *s, const void *body, size_t length,
                 char hex[MOMENTO_SIGNATURE_HEX + 1]);

/* Constant time over the digest: true when `hex` is exactly the signature of `body`. */
bool signer_verify(struct signer *s, const void *body, size_t length, const char *hex);

/* NULL when `hex` has the form of a signature, else what is wrong with it (for the log). */
const char *momento_signature_defect(const char *hex);

#endif
