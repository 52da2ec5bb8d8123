/*
 * frame: items as subscribers over HTTP see them: elements of a long poll's JSON and events of a
 * stream, members of a WebSocket's messages.
 */
#ifndef HOOKMOON_INGRESS_FRAME_H
#define HOOKMOON_INGRESS_FRAME_H

#include "base/base.h"
#include "broker/broker.h"

/* {"item":{"topic_sequence_number":..,"sequence_page":..,"value":{"text":..}}}; a binary value is
 * {"binary":base64}; "publisher_id" follows when there is one. */
void frame_item(struct buffer *b, const struct item *item);
/* {"discontinuity":{"last_topic_sequence":..,"new_topic_sequence":..,"new_sequence_page":..}} */
void frame_discontinuity(struct buffer *b, const struct discontinuity *d);
/* The same without the outer braces: a member of a larger object. */
void frame_item_member(struct buffer *b, const struct item *item);
void frame_discontinuity_member(struct buffer *b, const struct discontinuity *d);
/* "id: page:number\n" */
void frame_id(struct buffer *b, uint64_t page, uint64_t number);
/* The same as an event named "discontinuity". */
void frame_stream_gap(struct buffer *b, const struct discontinuity *d);

/*
 * The events of a batch of neighbouring items of one topic. Subscribers of a topic mostly take the
 * same batches, so the last one is kept: it is formatted once and sent to all. One cache a worker,
 * on its thread. The result is valid until the next call.
 */
struct frame_cache;
struct frame_cache *frame_cache_new(void);
void frame_cache_free(struct frame_cache *c);
const struct buffer *frame_batch(struct frame_cache *c, struct item **items, size_t count);
/* Lets go of the kept batch. */
void frame_cache_clear(struct frame_cache *c);

#endif
