/*
 * The opening handshake (RFC 6455, section 4.2).
 */
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "net/websocket.h"

#define KEY_BYTES 16
#define KEY_TEXT  24

/* True when the comma-separated list has the word, in any case. */
static bool has_word(const char *list, const char *word) {
    size_t length = strlen(word);
    while (list != NULL && *list != '\0') {
        list += strspn(list, ", \t");
        size_t n = strcspn(list, ", \t");
        if (n == length && strncasecmp(list, word, n) == 0)
            return true;
        list += n;
    }
    return false;
}

bool websocket_accept_key(const char *key, char accept[WEBSOCKET_ACCEPT_SIZE]) {
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[KEY_TEXT + sizeof guid];
    unsigned char digest[SHA_DIGEST_LENGTH];
    struct buffer bytes = {0};
    bool good = strlen(key) == KEY_TEXT && buffer_add_from_base64(&bytes, key, KEY_TEXT) &&
                bytes.length == KEY_BYTES;
    buffer_free(&bytes);
    if (!good)
        return false;
    memcpy(text, key, KEY_TEXT);
    memcpy(text + KEY_TEXT, guid, sizeof guid);
    SHA1((const unsigned char *)text, KEY_TEXT + sizeof guid - 1, digest);
    EVP_EncodeBlock((unsigned char *)accept, digest, sizeof digest);
    return true;
}

bool websocket_check(const struct http_request *r, unsigned *status, const char **defect) {
    const char *version = http_request_header(r, "Sec-WebSocket-Version");
    const char *key = http_request_header(r, "Sec-WebSocket-Key");
    char accept[WEBSOCKET_ACCEPT_SIZE];
    *status = 426;
    *defect = NULL;
    if (!has_word(http_request_header(r, "Upgrade"), "websocket") ||
        !has_word(http_request_header(r, "Connection"), "upgrade")) {
        *defect = "this is a WebSocket: send Connection: Upgrade and Upgrade: websocket";
    } else if (version == NULL || strcmp(version, "13") != 0) {
        *defect = "the Sec-WebSocket-Version must be 13";
    } else if (key == NULL || !websocket_accept_key(key, accept) ||
               http_request_header_count(r, "Sec-WebSocket-Key") != 1) {
        *status = 400;
        *defect = "the Sec-WebSocket-Key must be 16 bytes in base64";
    }
    return *defect == NULL;
}
