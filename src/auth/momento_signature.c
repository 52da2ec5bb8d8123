#include "auth/momento_signature.h"

#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#define DIGEST_BYTES (MOMENTO_SIGNATURE_HEX / 2)

struct signer {
    EVP_MAC_CTX *context;
};

struct signer *signer_new(const char *secret, struct error *e) {
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *context = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac);
    char digest[] = "SHA3-256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    if (context == NULL ||
        EVP_MAC_init(context, (const unsigned char *)secret, strlen(secret), params) != 1) {
        EVP_MAC_CTX_free(context);
        error_set(e, ERROR_INTERNAL, "the crypto library offers no HMAC-SHA3-256");
        return NULL;
    }
    struct signer *s = xcalloc(1, sizeof *s);
    s->context = context;
    return s;
}

void signer_free(struct signer *s) {
    if (s == NULL)
        return;
    EVP_MAC_CTX_free(s->context);
    free(s);
}

bool signer_sign(struct signer *s, const void *body, size_t length,
                 char hex[MOMENTO_SIGNATURE_HEX + 1]) {
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[DIGEST_BYTES];
    size_t size = 0;
    hex[0] = '\0';
    if (EVP_MAC_init(s->context, NULL, 0, NULL) != 1 ||
        EVP_MAC_update(s->context, body, length) != 1 ||
        EVP_MAC_final(s->context, digest, &size, sizeof digest) != 1 || size != DIGEST_BYTES)
        return false;
    for (size_t i = 0; i < size; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[MOMENTO_SIGNATURE_HEX] = '\0';
    return true;
}

bool signer_verify(struct signer *s, const void *body, size_t length, const char *hex) {
    char expected[MOMENTO_SIGNATURE_HEX + 1];
    return strlen(hex) == MOMENTO_SIGNATURE_HEX && signer_sign(s, body, length, expected) &&
           CRYPTO_memcmp(expected, hex, MOMENTO_SIGNATURE_HEX) == 0;
}

const char *momento_signature_defect(const char *hex) {
    size_t length = strlen(hex);
    if (length == 0)
        return "the signature is empty";
    if (length != MOMENTO_SIGNATURE_HEX)
        return "the signature is not 64 characters long";
    if (strspn(hex, "0123456789abcdef") != length)
        return strspn(hex, "0123456789abcdefABCDEF") == length
                   ? "the signature has upper-case digits"
                   : "the signature is not hexadecimal";
    return NULL;
}
