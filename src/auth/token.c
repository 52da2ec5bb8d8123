#include "auth/token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "token.pb-c.h"

#define KEY_BYTES    32
#define DIGEST_BYTES 32

static const char prefix[] = "hm1.";

struct token_key {
    unsigned char bytes[KEY_BYTES];
};

/* ---- the signing key ---- */

static bool read_all(int fd, unsigned char *bytes, size_t size) {
    size_t have = 0;
    while (have < size) {
        ssize_t n = read(fd, bytes + have, size - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        have += (size_t)n;
    }
    return true;
}

/* Written aside and linked into place, so that of two makers one wins and nobody reads half. */
static bool make_file(const char *path, struct error *e) {
    unsigned char bytes[KEY_BYTES];
    char *draft = xasprintf("%s.XXXXXX", path);
    int fd = mkstemp(draft); /* mode 0600 */
    bool good = fd >= 0 && RAND_bytes(bytes, sizeof bytes) == 1 &&
                write(fd, bytes, sizeof bytes) == sizeof bytes && fsync(fd) == 0 &&
                (link(draft, path) == 0 || errno == EEXIST);
    if (!good)
        error_set(e, ERROR_UNAVAILABLE, "cannot make the signing key %s: %s", path,
                  strerror(errno));
    OPENSSL_cleanse(bytes, sizeof bytes);
    if (fd >= 0) {
        close(fd);
        unlink(draft);
    }
    free(draft);
    return good;
}

struct token_key *token_key_open(const char *path, bool create, struct error *e) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && create) {
        if (!make_file(path, e))
            return NULL;
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0) {
        error_set(e, ERROR_UNAVAILABLE, "cannot read the signing key %s: %s", path,
                  strerror(errno));
        return NULL;
    }
    struct token_key *k = xcalloc(1, sizeof *k);
    if (!read_all(fd, k->bytes, sizeof k->bytes)) {
        error_set(e, ERROR_UNAVAILABLE,
                  "the signing key %s is not whole: put the file back from a backup, or remove it "
                  "to make a new one, which voids all tokens",
                  path);
        token_key_free(k);
        k = NULL;
    }
    close(fd);
    return k;
}

struct token_key *token_key_random(void) {
    struct token_key *k = xcalloc(1, sizeof *k);
    RAND_bytes(k->bytes, sizeof k->bytes);
    return k;
}

void token_key_free(struct token_key *k) {
    if (k == NULL)
        return;
    OPENSSL_cleanse(k, sizeof *k);
    free(k);
}

/* ---- base64url ---- */

static void add_base64url(struct buffer *b, const void *bytes, size_t length) {
    size_t start = b->length;
    buffer_add_base64(b, bytes, length);
    while (b->length > start && b->data[b->length - 1] == '=')
        b->data[--b->length] = '\0';
    for (size_t i = start; i < b->length; i++)
        b->data[i] = b->data[i] == '+' ? '-' : b->data[i] == '/' ? '_' : b->data[i];
}

static bool add_from_base64url(struct buffer *b, const char *text, size_t length) {
    struct buffer plain = {0};
    bool good = length % 4 != 1 && memchr(text, '+', length) == NULL &&
                memchr(text, '/', length) == NULL && memchr(text, '=', length) == NULL;
    for (size_t i = 0; i < length; i++)
        buffer_add_char(&plain, text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i]);
    while (plain.length % 4 != 0)
        buffer_add_char(&plain, '=');
    good = good && buffer_add_from_base64(b, buffer_string(&plain), plain.length);
    buffer_free(&plain);
    return good;
}

/* ---- tokens ---- */

static bool digest(const struct token_key *k, const void *bytes, size_t length,
                   unsigned char out[DIGEST_BYTES]) {
    unsigned size = 0;
    return HMAC(EVP_sha256(), k->bytes, KEY_BYTES, bytes, length, out, &size) != NULL &&
           size == DIGEST_BYTES;
}

static void pack(struct buffer *b, const struct identity *i) {
    Hookmoon__Token message = HOOKMOON__TOKEN__INIT;
    Hookmoon__TokenGrant *grants = xcalloc(i->grant_count + 1, sizeof *grants);
    Hookmoon__TokenGrant **list = xcalloc(i->grant_count + 1, sizeof(Hookmoon__TokenGrant *));
    char empty[] = "";
    for (size_t g = 0; g < i->grant_count; g++) {
        const struct grant *grant = &i->grants[g];
        hookmoon__token_grant__init(&grants[g]);
        grants[g].role = grant->role;
        grants[g].cache = grant->cache != NULL ? grant->cache : empty;
        grants[g].topic = grant->topic != NULL ? grant->topic : empty;
        grants[g].prefix = grant->prefix;
        list[g] = &grants[g];
    }
    message.serial = (ProtobufCBinaryData){sizeof i->serial, (uint8_t *)(uintptr_t)i->serial};
    message.issued = (uint64_t)i->issued_s;
    message.expires = (uint64_t)i->expires_s;
    message.id = i->id;
    message.admin = i->admin;
    message.disposable = i->is_disposable;
    message.n_grants = i->grant_count;
    message.grants = list;
    size_t size = hookmoon__token__get_packed_size(&message);
    b->length += hookmoon__token__pack(&message, (uint8_t *)buffer_reserve(b, size));
    free(list);
    free(grants);
}

char *token_sign(const struct token_key *k, struct identity *i, struct error *e) {
    struct buffer message = {0}, text = {0};
    unsigned char signature[DIGEST_BYTES];
    RAND_bytes(i->serial, sizeof i->serial);
    i->is_token = true;
    pack(&message, i);
    buffer_add_string(&text, prefix);
    add_base64url(&text, message.data, message.length);
    bool good = digest(k, text.data, text.length, signature);
    buffer_add_char(&text, '.');
    add_base64url(&text, signature, sizeof signature);
    buffer_free(&message);
    if (!good)
        error_set(e, ERROR_INTERNAL, "the crypto library offers no HMAC-SHA256");
    else if (text.length > TOKEN_BYTES)
        good = error_set(e, ERROR_INVALID,
                         "the token would have %zu characters, %d fit into the headers: give fewer "
                         "permissions",
                         text.length, TOKEN_BYTES);
    if (good)
        return buffer_take(&text);
    buffer_free(&text);
    return NULL;
}

static struct identity *unpack(const struct buffer *b) {
    Hookmoon__Token *message =
        hookmoon__token__unpack(NULL, b->length, (const uint8_t *)buffer_string(b));
    struct identity *i = NULL;
    if (message == NULL)
        return NULL;
    if (message->serial.len == IDENTITY_SERIAL_BYTES) {
        i = identity_new(message->id);
        i->is_token = true;
        i->is_disposable = message->disposable;
        i->admin = message->admin;
        i->issued_s = (int64_t)message->issued;
        i->expires_s = (int64_t)message->expires;
        memcpy(i->serial, message->serial.data, IDENTITY_SERIAL_BYTES);
        for (size_t g = 0; g < message->n_grants; g++) {
            const Hookmoon__TokenGrant *grant = message->grants[g];
            identity_add(i, (enum role)grant->role, grant->cache[0] != '\0' ? grant->cache : NULL,
                         grant->topic[0] != '\0' ? grant->topic : NULL, grant->prefix);
        }
    }
    hookmoon__token__free_unpacked(message, NULL);
    return i;
}

bool token_looks_like(const char *text) {
    return strncmp(text, prefix, sizeof prefix - 1) == 0;
}

struct identity *token_verify(const struct token_key *k, const char *token) {
    const char *dot = strrchr(token, '.');
    if (!token_looks_like(token) || strlen(token) > TOKEN_BYTES || dot < token + sizeof prefix - 1)
        return NULL;
    struct buffer expected = {0}, message = {0};
    unsigned char signature[DIGEST_BYTES];
    struct identity *i = NULL;
    size_t signed_length = (size_t)(dot - token), head = sizeof prefix - 1;
    /* As text: several texts of base64 stand for the same bytes, but a token has one form. */
    if (digest(k, token, signed_length, signature))
        add_base64url(&expected, signature, sizeof signature);
    if (expected.length > 0 && strlen(dot + 1) == expected.length &&
        CRYPTO_memcmp(expected.data, dot + 1, expected.length) == 0 &&
        add_from_base64url(&message, token + head, signed_length - head))
        i = unpack(&message);
    buffer_free(&expected);
    buffer_free(&message);
    return i;
}

/* ---- refreshing ---- */

char *token_refresh_sign(const struct token_key *k, const struct identity *i) {
    struct buffer text = {0}, message = {0};
    unsigned char signature[DIGEST_BYTES];
    buffer_add_string(&message, "refresh ");
    buffer_add(&message, i->serial, sizeof i->serial);
    if (digest(k, message.data, message.length, signature))
        add_base64url(&text, signature, sizeof signature);
    buffer_free(&message);
    return buffer_take(&text);
}

bool token_refresh_verify(const struct token_key *k, const struct identity *i,
                          const char *refresh) {
    char *expected = token_refresh_sign(k, i);
    size_t length = strlen(expected);
    bool good =
        length > 0 && strlen(refresh) == length && CRYPTO_memcmp(expected, refresh, length) == 0;
    free(expected);
    return good;
}
