#include "rpc/grpc_frame.h"

#include <stdlib.h>

#include "pubsub.pb-c.h"

struct grpc_frame *grpc_frame_ref(struct grpc_frame *f) {
    f->references++;
    return f;
}

void grpc_frame_unref(struct grpc_frame *f) {
    if (f != NULL && --f->references == 0)
        free(f);
}

static struct grpc_frame *grpc_frame_make(size_t length) {
    struct grpc_frame *f = xmalloc(sizeof *f + length);
    f->references = 1;
    f->length = length;
    return f;
}

/* Writes the prefix of a message of `length` bytes; returns where the message goes. */
static uint8_t *write_prefix(uint8_t *at, size_t length) {
    at[0] = 0; /* not compressed */
    at[1] = (uint8_t)(length >> 24);
    at[2] = (uint8_t)(length >> 16);
    at[3] = (uint8_t)(length >> 8);
    at[4] = (uint8_t)length;
    return at + GRPC_PREFIX_BYTES;
}

struct grpc_frame *grpc_frame_new(const void *message, size_t length) {
    struct grpc_frame *f = grpc_frame_make(GRPC_PREFIX_BYTES + length);
    uint8_t *at = write_prefix(f->bytes, length);
    if (length > 0)
        memcpy(at, message, length);
    return f;
}

static struct grpc_frame *grpc_frame_message(const Hookmoon__SubscriptionItem *message) {
    size_t length = hookmoon__subscription_item__get_packed_size(message);
    struct grpc_frame *f = grpc_frame_make(GRPC_PREFIX_BYTES + length);
    hookmoon__subscription_item__pack(message, write_prefix(f->bytes, length));
    return f;
}

struct grpc_frame *grpc_frame_heartbeat(void) {
    Hookmoon__Empty empty = HOOKMOON__EMPTY__INIT;
    Hookmoon__SubscriptionItem message = HOOKMOON__SUBSCRIPTION_ITEM__INIT;
    message.kind_case = HOOKMOON__SUBSCRIPTION_ITEM__KIND_HEARTBEAT;
    message.heartbeat = &empty;
    return grpc_frame_message(&message);
}

struct grpc_frame *grpc_frame_gap(const struct discontinuity *d) {
    Hookmoon__Discontinuity gap = HOOKMOON__DISCONTINUITY__INIT;
    Hookmoon__SubscriptionItem message = HOOKMOON__SUBSCRIPTION_ITEM__INIT;
    gap.last_topic_sequence = d->last_number;
    gap.new_topic_sequence = d->new_number;
    gap.new_sequence_page = d->new_page;
    message.kind_case = HOOKMOON__SUBSCRIPTION_ITEM__KIND_DISCONTINUITY;
    message.discontinuity = &gap;
    return grpc_frame_message(&message);
}

/* An item as protobuf-c wants it: three structs that point at each other. */
struct item_message {
    Hookmoon__SubscriptionItem outer;
    Hookmoon__TopicItem item;
    Hookmoon__TopicValue value;
};

static ProtobufCBinaryData borrow(const char *bytes, size_t length) {
    return (ProtobufCBinaryData){length, (uint8_t *)(uintptr_t)bytes};
}

static void fill(struct item_message *m, const struct item *item) {
    hookmoon__subscription_item__init(&m->outer);
    hookmoon__topic_item__init(&m->item);
    hookmoon__topic_value__init(&m->value);
    if (item->kind == ITEM_TEXT) {
        m->value.kind_case = HOOKMOON__TOPIC_VALUE__KIND_TEXT;
        m->value.text = borrow(item->value, item->length);
    } else {
        m->value.kind_case = HOOKMOON__TOPIC_VALUE__KIND_BINARY;
        m->value.binary = borrow(item->value, item->length);
    }
    m->item.topic_sequence_number = item->number;
    m->item.sequence_page = item->page;
    m->item.publisher_id = borrow(item->publisher_id, strlen(item->publisher_id));
    m->item.value = &m->value;
    m->outer.kind_case = HOOKMOON__SUBSCRIPTION_ITEM__KIND_ITEM;
    m->outer.item = &m->item;
}

struct grpc_frame *grpc_frame_items(struct item *const *items, size_t count) {
    struct item_message message;
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        fill(&message, items[i]);
        total += GRPC_PREFIX_BYTES + hookmoon__subscription_item__get_packed_size(&message.outer);
    }
    struct grpc_frame *f = grpc_frame_make(total);
    uint8_t *at = f->bytes;
    for (size_t i = 0; i < count; i++) {
        fill(&message, items[i]);
        uint8_t *start = at + GRPC_PREFIX_BYTES;
        size_t length = hookmoon__subscription_item__pack(&message.outer, start);
        write_prefix(at, length);
        at = start + length;
    }
    return f;
}

const uint8_t *grpc_frame_open(const void *body, size_t body_length, size_t *length,
                               struct error *e) {
    const uint8_t *at = body;
    if (body_length < GRPC_PREFIX_BYTES) {
        error_set(e, ERROR_INVALID, "the request holds no message");
        return NULL;
    }
    if (at[0] != 0) {
        error_set(e, ERROR_UNIMPLEMENTED, "the message is compressed, which is not supported");
        return NULL;
    }
    *length = (size_t)at[1] << 24 | (size_t)at[2] << 16 | (size_t)at[3] << 8 | at[4];
    if (*length != body_length - GRPC_PREFIX_BYTES) {
        error_set(e, ERROR_INVALID,
                  *length > body_length - GRPC_PREFIX_BYTES
                      ? "the request ends within its message"
                      : "the request holds more than one message");
        return NULL;
    }
    return at + GRPC_PREFIX_BYTES;
}
