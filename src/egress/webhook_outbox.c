/*
 * A webhook's state on the disk: how far it got, what it tries again, what it gave up.
 */
#include <stdlib.h>

#include "broker/stored_item.h"
#include "egress/webhook_internal.h"
#include "store/deadletter_table.h"

/* ---- saving ---- */

static void on_saved(void *context, const struct error *e) {
    struct attempt *a = context;
    struct webhook *w = a->webhook;
    w->saving--;
    if (e != NULL) {
        a->state = UNSAVED; /* and tried again: it is not lost, but its place is taken */
    } else {
        if (a->save == SAVE_RETRY) {
            w->retries += a->is_retry ? 0 : 1;
            w->next_due_ms = a->due_ms < w->next_due_ms ? a->due_ms : w->next_due_ms;
        } else if (a->is_retry && w->retries > 0) {
            w->retries--;
        }
        if (a->save == SAVE_DEADLETTER) {
            metric_add(w->figures->given_up, 1);
            log_error("webhook delivery given up: it is a dead letter now",
                      LOG_STR("webhook", w->figures->label), LOG_STR("why", a->error),
                      LOG_INT("topic_sequence_number", a->item->number),
                      LOG_INT("attempts", a->attempts));
        }
        attempt_set_idle(a);
    }
    if (w->closing && w->saving == 0 && !w->saving_row)
        webhook_free(w);
    else if (!w->closing && e == NULL)
        webhook_pump(w);
}

static void add_deadletter(struct attempt *a, struct transaction *t) {
    const struct webhook *w = a->webhook;
    const struct item *item = a->item;
    const struct deadletter d = {
        .kind = DEADLETTER_DELIVERY,
        .created_ms = a->since_ms,
        .updated_ms = clock_wall_ms(),
        .attempts = a->attempts,
        .error = a->error,
        .traceback = "",
        .cache = w->target.webhook->cache,
        .webhook = w->target.webhook->name,
        .topic = w->topic,
        .url = w->place,
        .page = item->page,
        .number = item->number,
        .item_kind = item->kind,
        .timestamp_ms = item->timestamp_ms,
        .publisher_id = item->publisher_id,
        .event = item->value,
        .length = item->length,
    };
    deadletter_table_put(t, &d);
}

void attempt_save(struct attempt *a) {
    struct webhook *w = a->webhook;
    struct transaction *t = transaction_new(on_saved, a);
    struct error e;
    if (a->save == SAVE_RETRY) {
        const struct retry_row row = {a->item->page, a->attempts, a->since_ms,
                                      a->due_ms,     a->error,    item_to_row(a->item)};
        outbox_table_put_retry(t, w->row.id, &row);
    } else {
        if (a->save == SAVE_DEADLETTER)
            add_deadletter(a, t);
        outbox_table_drop_retry(t, w->row.id, a->item->page, a->item->number);
    }
    a->state = SAVING;
    w->saving++;
    if (!mailbox_submit(w->sender->options.mailbox, t, &e))
        on_saved(a, &e);
}

uint64_t webhook_settled_number(const struct webhook *w) {
    uint64_t least =
        w->waiting > 0 ? w->queue[w->first]->number : subscription_position(w->subscription).number;
    for (size_t i = 0; i < w->count; i++) {
        const struct attempt *a = &w->attempts[i];
        if (a->item != NULL && !a->is_retry && a->item->number < least)
            least = a->item->number;
    }
    return least;
}

void webhook_hold(struct webhook *w) {
    subscription_hold(w->subscription, w->disabled ? UINT64_MAX : w->row.number);
}

static void on_row_saved(void *context, const struct error *e) {
    struct webhook *w = context;
    w->saving_row = false;
    if (w->closing) {
        if (w->saving == 0)
            webhook_free(w);
    } else if (e == NULL) {
        webhook_hold(w);
    } else {
        w->row.page = 0; /* not known: written again */
    }
}

void webhook_save_row(struct webhook *w) {
    struct outbox_row now = w->row;
    struct error e;
    if (!w->persistent || w->saving_row)
        return;
    now.page = subscription_position(w->subscription).page;
    now.number = webhook_settled_number(w);
    now.failing_since_ms = w->failing_since_ms;
    now.disabled = w->disabled;
    if (now.page == w->row.page && now.number == w->row.number &&
        now.failing_since_ms == w->row.failing_since_ms && now.disabled == w->row.disabled)
        return;
    struct transaction *t = transaction_new(on_row_saved, w);
    outbox_table_save(t, &now);
    w->row = now;
    w->saving_row = true;
    if (!mailbox_submit(w->sender->options.mailbox, t, &e))
        on_row_saved(w, &e);
}

/* ---- its state on the disk ---- */

struct row_search {
    const char *topic;
    struct outbox_row row;
};

static void match_row(void *context, const struct outbox_row *row) {
    struct row_search *search = context;
    if (strcmp(row->topic, search->topic) == 0)
        search->row = *row;
}

static bool add_skipped(void *context, uint64_t number) {
    struct webhook *w = context;
    w->skip = xrealloc(w->skip, (w->skip_count + 1) * sizeof *w->skip);
    w->skip[w->skip_count++] = number;
    return true;
}

bool webhook_restore(struct webhook *w, struct resume *from, struct error *e) {
    const struct webhook_entry *entry = w->target.webhook;
    struct row_search search = {.topic = w->topic};
    int64_t retries;
    struct database *db = mailbox_reader(w->sender->options.mailbox, e);
    if (db == NULL || !outbox_table_each(db, entry->cache, entry->name, match_row, &search, e))
        return false;
    if (search.row.id == 0)
        return error_set(e, ERROR_INTERNAL, "webhook %s/%s has no place on the disk", entry->cache,
                         entry->name);
    w->row = search.row;
    w->persistent = true;
    w->disabled = w->row.disabled;
    w->failing_since_ms = w->row.failing_since_ms;
    metric_set(w->figures->disabled, w->disabled);
    if (w->row.page == from->page)
        from->number = w->row.number;
    if (!outbox_table_count(db, w->row.id, &retries, e) ||
        !outbox_table_numbers(db, w->row.id, from->page, from->number, add_skipped, w, e))
        return false;
    w->retries = (uint64_t)retries;
    w->next_due_ms = 0;
    return true;
}
