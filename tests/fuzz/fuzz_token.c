/* What a client presents to say who it is. */
#include <stdlib.h>

#include "auth/access.h"
#include "control/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct token_key *key;
    static struct access *access;
    static struct config config;
    static struct config_key configured = {.role = ROLE_PUBLISH_SUBSCRIBE};
    static char secret[] = "configured-key-1", id[] = "a";
    if (key == NULL) {
        key = token_key_random();
        configured.key = secret;
        configured.id = id;
        config.keys = &configured;
        config.key_count = 1;
        access = access_new(&config, key);
    }
    char *text = xstrndup((const char *)data, size);
    struct error e = {0};
    unsigned char serial[IDENTITY_SERIAL_BYTES];
    /* Nobody can know the signing key, so whoever gets in has the configured one. */
    struct identity *who = access_identify(access, text, &e);
    char *inner = access_unwrap(text);
    if (who != NULL && strcmp(text, secret) != 0 && (inner == NULL || strcmp(inner, secret) != 0))
        abort();
    if (who == NULL && e.code != ERROR_UNAUTHENTICATED)
        abort();
    if (token_verify(key, text) != NULL)
        abort();
    keys_parse_serial(text, serial);
    free(inner);
    identity_unref(who);
    free(text);
    return 0;
}
