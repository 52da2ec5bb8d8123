#include "egress/momento_event.h"

#include "base/utf8.h"

static void add_string(struct buffer *body, const char *key, const char *text, size_t length) {
    buffer_add_string(body, key);
    buffer_add_json_string(body, text, length);
}

static void add_number(struct buffer *body, const char *key, uint64_t number) {
    buffer_add_string(body, key);
    buffer_add_u64(body, number);
}

void momento_event_write(struct buffer *body, const char *cache, const char *topic,
                         const struct item *item, int64_t publish_timestamp_ms) {
    bool is_text = item->kind == ITEM_TEXT || utf8_valid(item->value, item->length);
    add_string(body, "{\"cache\":", cache, strlen(cache));
    add_string(body, ",\"topic\":", topic, strlen(topic));
    add_number(body, ",\"event_timestamp\":", (uint64_t)item->timestamp_ms);
    add_number(body, ",\"publish_timestamp\":", (uint64_t)publish_timestamp_ms);
    add_number(body, ",\"topic_sequence_number\":", item->number);
    add_string(body, ",\"token_id\":", item->publisher_id, strlen(item->publisher_id));
    add_string(body, ",\"text\":", item->value, is_text ? item->length : 0);
    if (!is_text) {
        buffer_add_string(body, ",\"binary\":\"");
        buffer_add_base64(body, item->value, item->length);
        buffer_add_char(body, '"');
    }
    buffer_add_char(body, '}');
}
