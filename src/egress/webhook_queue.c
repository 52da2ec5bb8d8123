/*
 * What a webhook reads from its topic.
 */
#include <stdlib.h>

#include "egress/webhook_internal.h"

static size_t queue_limit(const struct webhook *w) {
    /* A durable topic keeps what a webhook has still to deliver; a ring does not. */
    return subscription_is_durable(w->subscription)
               ? WEBHOOK_BATCH
               : w->sender->options.config->limits.webhook_queue;
}

static void enqueue(struct webhook *w, struct item *item) {
    if (w->waiting == w->capacity) {
        size_t capacity = w->capacity == 0 ? 16 : w->capacity * 2;
        struct item **larger = xcalloc(capacity, sizeof(struct item *));
        for (size_t i = 0; i < w->waiting; i++)
            larger[i] = w->queue[(w->first + i) % w->capacity];
        free(w->queue);
        w->queue = larger;
        w->capacity = capacity;
        w->first = 0;
    }
    w->queue[(w->first + w->waiting++) % w->capacity] = item;
}

struct item *webhook_dequeue(struct webhook *w) {
    struct item *item = w->queue[w->first];
    w->first = (w->first + 1) % w->capacity;
    w->waiting--;
    return item;
}

const char webhook_too_slow[] = "the destination does not keep up (limits.webhook_queue)";

size_t webhook_left(const struct webhook *w, size_t room) {
    if (!w->retired)
        return room;
    uint64_t at = subscription_position(w->subscription).number;
    uint64_t left = at < w->row.until ? w->row.until - at : 0;
    return left < room ? (size_t)left : room;
}

size_t webhook_read_topic(struct webhook *w, struct item **items, size_t room) {
    struct discontinuity d;
    bool gap;
    if (w->subscription == NULL || (room = webhook_left(w, room)) == 0)
        return 0;
    size_t count = subscription_read(w->subscription, items, room, &gap, &d);
    if (gap) {
        uint64_t lost = d.new_number > d.last_number ? d.new_number - d.last_number - 1 : 0;
        metric_add(w->figures->dropped, (int64_t)lost);
        if (webhook_quiet_add(&w->losses, lost))
            webhook_log_losses(w, webhook_too_slow);
    }
    return count;
}

void webhook_fill(struct webhook *w) {
    struct item *items[WEBHOOK_BATCH];
    size_t limit = queue_limit(w);
    while (w->waiting < limit) {
        size_t room = limit - w->waiting < WEBHOOK_BATCH ? limit - w->waiting : WEBHOOK_BATCH;
        size_t count = webhook_read_topic(w, items, room);
        for (size_t i = 0; i < count; i++)
            enqueue(w, items[i]);
        if (count == 0)
            break;
    }
}

/* True when it is among the retries already: the cursor was written less often than they. */
static bool is_skipped(struct webhook *w, uint64_t number) {
    while (w->skip_at < w->skip_count && w->skip[w->skip_at] < number)
        w->skip_at++;
    return w->skip_at < w->skip_count && w->skip[w->skip_at] == number;
}

struct item *webhook_next_item(struct webhook *w) {
    for (;;) {
        if (w->waiting == 0)
            webhook_fill(w);
        if (w->waiting == 0)
            return NULL;
        struct item *item = webhook_dequeue(w);
        if (!is_skipped(w, item->number))
            return item;
        item_unref(item);
    }
}
