/*
 * momento_event: the body of a webhook delivery, byte-exact as Momento writes it.
 */
#ifndef HOOKMOON_EGRESS_MOMENTO_EVENT_H
#define HOOKMOON_EGRESS_MOMENTO_EVENT_H

#include "base/base.h"
#include "broker/item.h"

/*
 * Appends {"cache":..,"topic":..,"event_timestamp":..,"publish_timestamp":..,
 * "topic_sequence_number":..,"token_id":..,"text":..}, compact and in this order. A binary item
 * that is not UTF-8 has an empty text and one more key, "binary", with its base64.
 */
void momento_event_write(struct buffer *body, const char *cache, const char *topic,
                         const struct item *item, int64_t publish_timestamp_ms);

#endif
