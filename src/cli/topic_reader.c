#include "cli/topic_reader.h"

#include <inttypes.h>
#include <stdlib.h>

static bool report(struct exchange_end *end) {
    bool good = end->reason == NULL;
    if (!good)
        cli_fail("%s", end->reason);
    free(end->reason);
    end->reason = NULL;
    return good;
}

bool topic_reader_open(struct topic_reader *r, struct exchange *x, const char *cache,
                       const char *topic) {
    *r = (struct topic_reader){.exchange = x, .cache = cache, .topic = topic, .number = 1};
    struct exchange_end end = exchange_position(x, cache, topic, &r->page, &r->newest);
    return report(&end);
}

void topic_reader_close(struct topic_reader *r) {
    json_decref(r->batch);
    r->batch = NULL;
}

void topic_reader_seek(struct topic_reader *r, uint64_t number) {
    topic_reader_close(r);
    r->number = number;
}

/* A poll that nothing answers: is nothing retained from there on, or is the gateway gone? */
static bool is_at_end(struct topic_reader *r) {
    uint64_t page, newest;
    struct exchange_end end = exchange_position(r->exchange, r->cache, r->topic, &page, &newest);
    if (end.reason == NULL)
        r->nothing_from = r->number;
    return report(&end);
}

/* Reads on from r->number; then there is a batch, or it is over. */
static bool read_batch(struct topic_reader *r) {
    char query[96];
    json_t *answer;
    topic_reader_close(r);
    snprintf(query, sizeof query, "?sequence_number=%" PRIu64 "&sequence_page=%" PRIu64, r->number,
             r->page);
    struct exchange_end end = exchange_read(r->exchange, r->cache, r->topic, query, &answer);
    if (end.is_silent) {
        free(end.reason);
        return is_at_end(r);
    }
    r->batch = json_incref(json_object_get(answer, "items"));
    r->at = 0;
    json_decref(answer);
    return report(&end);
}

static bool fail_new_page(const struct topic_reader *r, uint64_t page) {
    cli_fail("the topic has begun anew (its page was %" PRIu64 " and is %" PRIu64
             "): its numbers now mean other items",
             r->page, page);
    return false;
}

static uint64_t member(const json_t *json, const char *name) {
    return (uint64_t)json_integer_value(json_object_get(json, name));
}

/* NULL and reported when it is not as an item should be. */
static struct item *make_item(const json_t *json) {
    json_t *value = json_object_get(json, "value"), *text = json_object_get(value, "text");
    const char *binary = json_string_value(json_object_get(value, "binary"));
    const char *publisher = json_string_value(json_object_get(json, "publisher_id"));
    struct buffer bytes = {0};
    if (!json_is_integer(json_object_get(json, "timestamp")) ||
        (text == NULL &&
         (binary == NULL || !buffer_add_from_base64(&bytes, binary, strlen(binary))))) {
        buffer_free(&bytes);
        cli_fail("the gateway's items have no timestamp or no value; is it an older hookmoon?");
        return NULL;
    }
    struct item *item = text != NULL
                            ? item_new(ITEM_TEXT, json_string_value(text), json_string_length(text),
                                       publisher != NULL ? publisher : "", "")
                            : item_new(ITEM_BINARY, buffer_string(&bytes), bytes.length,
                                       publisher != NULL ? publisher : "", "");
    item->number = member(json, "topic_sequence_number");
    item->page = member(json, "sequence_page");
    item->timestamp_ms = json_integer_value(json_object_get(json, "timestamp"));
    buffer_free(&bytes);
    return item;
}

/* The next item whatever its number; NULL when it is over. */
static bool take_item(struct topic_reader *r, struct item **item) {
    *item = NULL;
    while (r->nothing_from == 0 || r->number < r->nothing_from) {
        if (r->at >= json_array_size(r->batch) && !read_batch(r))
            return false;
        json_t *element = json_array_get(r->batch, r->at++);
        json_t *gap = json_object_get(element, "discontinuity");
        if (gap != NULL && member(gap, "new_sequence_page") != r->page)
            return fail_new_page(r, member(gap, "new_sequence_page"));
        json_t *json = json_object_get(element, "item");
        if (json == NULL)
            continue;
        *item = make_item(json);
        return *item != NULL;
    }
    return true;
}

bool topic_reader_next(struct topic_reader *r, struct item **item, uint64_t *missing) {
    *item = NULL;
    *missing = 0;
    if (r->number > r->newest)
        return true;
    if (!take_item(r, item))
        return false;
    uint64_t number = *item != NULL ? (*item)->number : r->newest + 1;
    if (number < r->number) { /* a gateway that does not resume would go round in circles */
        cli_fail("item %" PRIu64 " came where %" PRIu64 " was due", number, r->number);
        item_unref(*item);
        return false;
    }
    if (number > r->newest) {
        item_unref(*item);
        *item = NULL;
        number = r->newest + 1;
    }
    *missing = number - r->number;
    r->number = *item != NULL ? number + 1 : number;
    return true;
}

/* Looks at the batch that begins at `number`: the first item in it that is late enough is what is
 * looked for, unless it is its very first: then what is in front may be, too. */
static bool look_at(struct topic_reader *r, uint64_t number, int64_t ms, uint64_t *low,
                    uint64_t *high) {
    struct item *item;
    uint64_t missing;
    bool first = true;
    topic_reader_seek(r, number);
    do {
        if (!topic_reader_next(r, &item, &missing))
            return false;
        if (item == NULL) {
            *(first ? high : low) = first ? number : r->newest + 1;
            return true;
        }
        bool late = item->timestamp_ms >= ms;
        uint64_t found = item->number;
        item_unref(item);
        if (late) {
            *high = first ? number : found;
            *low = first ? *low : found;
            return true;
        }
        *low = found + 1;
        first = false;
    } while (r->at < json_array_size(r->batch));
    return true;
}

bool topic_reader_find(struct topic_reader *r, int64_t ms, uint64_t *number) {
    uint64_t low = 1, high = r->newest + 1;
    /* The oldest first: when there is none, each of the others would wait in vain. */
    if (low < high && !look_at(r, low, ms, &low, &high))
        return false;
    while (low < high) {
        if (!look_at(r, low + (high - low) / 2, ms, &low, &high))
            return false;
    }
    *number = low;
    return true;
}
