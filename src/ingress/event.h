/*
 * event: the JSON that a Momento webhook delivers, decoded and checked.
 */
#ifndef HOOKMOON_INGRESS_EVENT_H
#define HOOKMOON_INGRESS_EVENT_H

#include "script/script.h"

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
 *
 * The bytes that Momento itself and this gateway's own webhooks send (compact, in their order, no
 * escapes) are taken apart directly, and `json` is NULL then; all others are jansson's.
 */
bool event_parse(struct event *ev, const char *body, size_t length, unsigned max_depth,
                 struct error *e);
void event_clear(struct event *ev);

/* The direct way alone: false when the body has not exactly that form, whatever else it is. For
 * event_parse and the tests. */
bool event_parse_compact(struct event *ev, const char *body, size_t length);

#endif
