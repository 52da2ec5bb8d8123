/*
 * event: the JSON that a Momento webhook delivers, decoded and checked.
 */
#ifndef HOOKMOON_INGRESS_EVENT_H
#define HOOKMOON_INGRESS_EVENT_H

#include <jansson.h>

#include "base/base.h"

/* The fields that the gateway itself reads; borrowed from `json`. */
struct event {
    json_t *json; /* the whole object, extra fields included; event_clear drops it */
    const char *cache;
    const char *topic;
    const char *token_id;
    const char *text;
    int64_t event_timestamp;
    int64_t publish_timestamp;
    int64_t sequence_number;
};

/*
 * Once, before the first event and before other threads start: gives jansson a memory of its own
 * for events. Decoding one takes some thirty small blocks, and malloc was a tenth of a hook's time.
 */
void event_setup(void);

/*
 * Decodes `body`: UTF-8 JSON, an object with cache, topic, token_id and text (strings),
 * event_timestamp, publish_timestamp and topic_sequence_number (whole numbers >= 0), each key once,
 * nested at most `max_depth` deep, without NUL characters. ERROR_INVALID says what is wrong. A
 * thread has one event at a time.
 */
bool event_parse(struct event *ev, const char *body, size_t length, unsigned max_depth,
                 struct error *e);
void event_clear(struct event *ev);

#endif
