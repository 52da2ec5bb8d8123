/* The client's parser of event streams: the same events, wherever the bytes are cut. */
#include <stdlib.h>

#include "cli/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_event(void *context, const char *name, const char *text, size_t length) {
    struct buffer *all = context;
    buffer_add_string(all, name);
    buffer_add_char(all, '|');
    buffer_add(all, text, length);
    buffer_add_char(all, '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buffer whole = {0}, cut = {0};
    struct sse a, b;
    sse_init(&a, on_event, &whole);
    sse_init(&b, on_event, &cut);
    sse_feed(&a, (const char *)data, size);
    for (size_t i = 0; i < size; i++)
        sse_feed(&b, (const char *)data + i, 1);
    if (whole.length != cut.length || a.id.length != b.id.length ||
        (whole.length > 0 && memcmp(whole.data, cut.data, whole.length) != 0))
        abort();
    sse_free(&a);
    sse_free(&b);
    buffer_free(&whole);
    buffer_free(&cut);
    return 0;
}
