/* The decoder of a hook's body: whatever comes, it answers, and what it accepts is whole. */
#include <stdlib.h>

#include "ingress/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct event ev;
    struct error e = {0};
    if (event_parse(&ev, (const char *)data, size, 64, &e)) {
        if (ev.cache == NULL || ev.topic == NULL || ev.token_id == NULL || ev.text == NULL ||
            ev.event_timestamp < 0 || ev.publish_timestamp < 0 || ev.sequence_number < 0)
            abort();
        event_clear(&ev);
    } else if (e.code != ERROR_INVALID || e.message[0] == '\0' || ev.json != NULL) {
        abort();
    }
    return 0;
}
