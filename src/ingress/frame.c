#include "ingress/frame.h"

#include <stdlib.h>

void frame_item_member(struct buffer *b, const struct item *item) {
    buffer_add_string(b, "\"item\":{\"topic_sequence_number\":");
    buffer_add_u64(b, item->number);
    buffer_add_string(b, ",\"sequence_page\":");
    buffer_add_u64(b, item->page);
    if (item->kind == ITEM_TEXT) {
        buffer_add_string(b, ",\"value\":{\"text\":");
        buffer_add_json_string(b, item->value, item->length);
    } else {
        buffer_add_string(b, ",\"value\":{\"binary\":\"");
        buffer_add_base64(b, item->value, item->length);
        buffer_add_char(b, '"');
    }
    buffer_add_char(b, '}');
    buffer_add_string(b, ",\"timestamp\":");
    buffer_add_u64(b, (uint64_t)item->timestamp_ms);
    if (item->publisher_id[0] != '\0') {
        buffer_add_string(b, ",\"publisher_id\":");
        buffer_add_json_string(b, item->publisher_id, strlen(item->publisher_id));
    }
    buffer_add_char(b, '}');
}

void frame_item(struct buffer *b, const struct item *item) {
    buffer_add_char(b, '{');
    frame_item_member(b, item);
    buffer_add_char(b, '}');
}

void frame_discontinuity_member(struct buffer *b, const struct discontinuity *d) {
    buffer_add_string(b, "\"discontinuity\":{\"last_topic_sequence\":");
    buffer_add_u64(b, d->last_number);
    buffer_add_string(b, ",\"new_topic_sequence\":");
    buffer_add_u64(b, d->new_number);
    buffer_add_string(b, ",\"new_sequence_page\":");
    buffer_add_u64(b, d->new_page);
    buffer_add_char(b, '}');
}

void frame_discontinuity(struct buffer *b, const struct discontinuity *d) {
    buffer_add_char(b, '{');
    frame_discontinuity_member(b, d);
    buffer_add_char(b, '}');
}

void frame_id(struct buffer *b, uint64_t page, uint64_t number) {
    buffer_add_string(b, "id: ");
    buffer_add_u64(b, page);
    buffer_add_char(b, ':');
    buffer_add_u64(b, number);
    buffer_add_char(b, '\n');
}

void frame_stream_gap(struct buffer *b, const struct discontinuity *d) {
    buffer_add_string(b, "event: discontinuity\ndata: ");
    frame_discontinuity(b, d);
    buffer_add_string(b, "\n\n");
}

struct frame_cache {
    struct item *first; /* held, so that its address stays its own */
    size_t count;
    struct buffer frame;
};

struct frame_cache *frame_cache_new(void) {
    return xcalloc(1, sizeof(struct frame_cache));
}

void frame_cache_clear(struct frame_cache *c) {
    if (c->first != NULL)
        item_unref(c->first);
    c->first = NULL;
    buffer_free(&c->frame);
}

void frame_cache_free(struct frame_cache *c) {
    if (c != NULL)
        frame_cache_clear(c);
    free(c);
}

const struct buffer *frame_batch(struct frame_cache *c, struct item **items, size_t count) {
    if (c->first == items[0] && c->count == count)
        return &c->frame;
    if (c->first != NULL)
        item_unref(c->first);
    c->first = item_ref(items[0]);
    c->count = count;
    buffer_clear(&c->frame);
    for (size_t i = 0; i < count; i++) {
        /* A text has no line ends once it is JSON, so one data line holds it. */
        frame_id(&c->frame, items[i]->page, items[i]->number);
        buffer_add_string(&c->frame, "data: ");
        frame_item(&c->frame, items[i]);
        buffer_add_string(&c->frame, "\n\n");
    }
    return &c->frame;
}
