/*
 * buffer: a byte buffer that grows, always NUL-terminated behind its last byte.
 *
 * A zeroed struct is an empty buffer. The owner frees it with buffer_free. Not thread-safe.
 */
#ifndef HOOKMOON_BASE_BUFFER_H
#define HOOKMOON_BASE_BUFFER_H

struct buffer {
    char *data; /* NULL while nothing was ever added */
    size_t length;
    size_t capacity;
};

void buffer_free(struct buffer *b);
/* Empties it but keeps the memory. */
void buffer_clear(struct buffer *b);
/* Makes room for `extra` bytes more and returns where they go; follow with `b->length += n`. */
char *buffer_reserve(struct buffer *b, size_t extra);
void buffer_add(struct buffer *b, const void *bytes, size_t length);
void buffer_add_string(struct buffer *b, const char *text);
void buffer_add_char(struct buffer *b, char c);
void buffer_add_u64(struct buffer *b, uint64_t number);
void buffer_add_format(struct buffer *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Drops the first `length` bytes. */
void buffer_consume(struct buffer *b, size_t length);
/* The content as a string ("" when empty); valid until the next change. */
const char *buffer_string(const struct buffer *b);
/* Gives the bytes away (never NULL); the buffer is empty afterwards and the caller frees. */
char *buffer_take(struct buffer *b);

/*
 * Adds `text` as a JSON string with its quotes, escaped as serde_json does, because receivers check
 * signatures over exactly these bytes: only '"', '\\' and control characters, \b \t \n \f \r
 * short, the others \u00xx in lower case, '/' and UTF-8 as they are.
 */
void buffer_add_json_string(struct buffer *b, const char *text, size_t length);
/* Adds standard base64 with padding. */
void buffer_add_base64(struct buffer *b, const void *bytes, size_t length);
/* Decodes NUL-terminated base64; false and nothing added when it is anything else. */
bool buffer_add_from_base64(struct buffer *b, const char *text, size_t length);

#endif
