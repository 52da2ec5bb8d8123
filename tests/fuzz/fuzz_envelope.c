/* A request as it is kept with its event: what is read from the disk is not trusted. */
#include <stdlib.h>

#include "ingress/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count(void *context, const char *name, const char *value) {
    *(size_t *)context += strlen(name) + strlen(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = xstrndup((const char *)data, size);
    struct envelope v;
    struct error e = {0};
    size_t total = 0;
    if (envelope_read(&v, text, "h", &e)) {
        v.request.each_header(v.request.source, count, &total);
        v.request.each_argument(v.request.source, count, &total);
        total += strlen(v.request.id) + strlen(v.request.method) + strlen(v.request.path);
        if (total > size * 6) /* an escape makes no more than it is long */
            abort();
        envelope_clear(&v);
    } else if (e.code != ERROR_INVALID) {
        abort();
    }
    free(text);
    return 0;
}
