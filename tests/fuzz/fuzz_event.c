/* The decoder of a hook's body: whatever comes, it answers, and what it accepts is whole. */
#include <stdlib.h>

#include "ingress/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_equal(const char *a, const json_t *object, const char *name) {
    if (strcmp(a, json_string_value(json_object_get(object, name))) != 0)
        abort();
}

/* What is taken apart directly is what jansson makes of it. */
static void compare(const char *body, size_t length) {
    struct event ev;
    if (!event_parse_compact(&ev, body, length))
        return;
    json_t *json = json_loadb(body, length, JSON_REJECT_DUPLICATES, NULL);
    if (json_object_size(json) != 7)
        abort();
    must_equal(ev.cache, json, "cache");
    must_equal(ev.topic, json, "topic");
    must_equal(ev.token_id, json, "token_id");
    must_equal(ev.text, json, "text");
    if (ev.event_timestamp != json_integer_value(json_object_get(json, "event_timestamp")) ||
        ev.publish_timestamp != json_integer_value(json_object_get(json, "publish_timestamp")) ||
        ev.sequence_number != json_integer_value(json_object_get(json, "topic_sequence_number")))
        abort();
    json_decref(json);
    event_clear(&ev);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    compare((const char *)data, size);
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
