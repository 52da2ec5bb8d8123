#include "base/base.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>

void buffer_free(struct buffer *b) {
    free(b->data);
    *b = (struct buffer){0};
}

void buffer_clear(struct buffer *b) {
    b->length = 0;
    if (b->data != NULL)
        b->data[0] = '\0';
}

char *buffer_reserve(struct buffer *b, size_t extra) {
    size_t needed = b->length + extra + 1;
    if (needed > b->capacity) {
        size_t capacity = b->capacity < 64 ? 64 : b->capacity * 2;
        if (capacity < needed)
            capacity = needed;
        b->data = xrealloc(b->data, capacity);
        b->capacity = capacity;
    }
    return b->data + b->length;
}

void buffer_add(struct buffer *b, const void *bytes, size_t length) {
    char *to = buffer_reserve(b, length);
    if (length > 0)
        memcpy(to, bytes, length);
    b->length += length;
    b->data[b->length] = '\0';
}

void buffer_add_string(struct buffer *b, const char *text) {
    buffer_add(b, text, strlen(text));
}

void buffer_add_char(struct buffer *b, char c) {
    buffer_add(b, &c, 1);
}

void buffer_add_u64(struct buffer *b, uint64_t number) {
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    buffer_add(b, digits + at, sizeof digits - at);
}

void buffer_add_format(struct buffer *b, const char *format, ...) {
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length > 0) {
        vsnprintf(buffer_reserve(b, (size_t)length), (size_t)length + 1, format, again);
        b->length += (size_t)length;
    }
    va_end(again);
}

void buffer_consume(struct buffer *b, size_t length) {
    if (length == 0)
        return;
    b->length -= length;
    memmove(b->data, b->data + length, b->length);
    b->data[b->length] = '\0';
}

const char *buffer_string(const struct buffer *b) {
    return b->data != NULL ? b->data : "";
}

char *buffer_take(struct buffer *b) {
    char *data = b->data != NULL ? b->data : xstrdup("");
    *b = (struct buffer){0};
    return data;
}

void buffer_add_json_string(struct buffer *b, const char *text, size_t length) {
    static const char hex[] = "0123456789abcdef";
    static const char short_escape[128] = {['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\t'] = 't',
                                           ['\n'] = 'n', ['\f'] = 'f',  ['\r'] = 'r'};
    buffer_reserve(b, length + 2);
    buffer_add_char(b, '"');
    size_t start = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buffer_add(b, text + start, i - start);
        start = i + 1;
        if (short_escape[c] != 0) {
            buffer_add(b, (char[]){'\\', short_escape[c]}, 2);
        } else {
            buffer_add(b, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
        }
    }
    buffer_add(b, text + start, length - start);
    buffer_add_char(b, '"');
}

void buffer_add_base64(struct buffer *b, const void *bytes, size_t length) {
    char *to = buffer_reserve(b, (length + 2) / 3 * 4 + 1);
    b->length += (size_t)EVP_EncodeBlock((unsigned char *)to, bytes, (int)length);
}

bool buffer_add_from_base64(struct buffer *b, const char *text, size_t length) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (length == 0 || length % 4 != 0 || length > INT_MAX)
        return false;
    /* EVP_DecodeBlock would take white space around it and '=' anywhere. */
    size_t padding = text[length - 1] != '=' ? 0 : text[length - 2] != '=' ? 1 : 2;
    if (strspn(text, digits) != length - padding)
        return false;
    char *to = buffer_reserve(b, length / 4 * 3);
    int decoded = EVP_DecodeBlock((unsigned char *)to, (const unsigned char *)text, (int)length);
    if (decoded < 0) {
        to[0] = '\0';
        return false;
    }
    b->length += (size_t)decoded - padding; /* it counts the padding as zero bytes */
    b->data[b->length] = '\0';
    return true;
}
