#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void *checked(void *block, size_t size) {
    if (block == NULL && size > 0) {
        fprintf(stderr, "hookmoon: out of memory (asked for %zu bytes)\n", size);
        abort();
    }
    return block;
}

void *xmalloc(size_t size) {
    return checked(malloc(size), size);
}

void *xcalloc(size_t count, size_t size) {
    return checked(calloc(count, size), count * size);
}

void *xrealloc(void *block, size_t size) {
    return checked(realloc(block, size), size);
}

char *xstrdup(const char *text) {
    return xstrndup(text, strlen(text));
}

char *xstrndup(const char *text, size_t length) {
    char *copy = xmalloc(length + 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *xasprintf(const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int length = vasprintf(&text, format, args);
    va_end(args);
    return checked(length < 0 ? NULL : text, 1);
}
