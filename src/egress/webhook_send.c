/*
 * A webhook's requests: which is next, when, and what becomes of it.
 */
#include <stdio.h>

#include "broker/stored_item.h"
#include "egress/webhook_internal.h"

/* ---- may one be sent ---- */

static uint64_t mono_ms(void) {
    return clock_mono_ns() / 1000000u;
}

static bool take_token(struct webhook *w) {
    double rate = w->target.webhook->policy.rate;
    uint64_t now = clock_mono_ns();
    if (rate <= 0)
        return true;
    w->tokens += rate * (double)(now - w->refilled_ns) / 1e9;
    w->refilled_ns = now;
    double most = rate > 1 ? rate : 1; /* a second's worth */
    w->tokens = w->tokens < most ? w->tokens : most;
    if (w->tokens < 1)
        return false;
    w->tokens -= 1;
    return true;
}

static bool may_send(struct webhook *w) {
    if (w->busy == w->count || w->disabled || w->closing)
        return false;
    return !w->persistent || breaker_lets_through(&w->breaker, mono_ms(), (unsigned)w->sending);
}

static struct attempt *idle_attempt(struct webhook *w) {
    for (size_t i = 0; i < w->count; i++) {
        if (w->attempts[i].state == IDLE)
            return &w->attempts[i];
    }
    return NULL;
}

void attempt_set_idle(struct attempt *a) {
    if (a->item != NULL)
        item_unref(a->item);
    a->item = NULL;
    a->state = IDLE;
    a->webhook->busy--;
}

/* ---- what becomes of an attempt ---- */

static void note_success(struct webhook *w) {
    breaker_succeeded(&w->breaker);
    w->failing_since_ms = 0;
}

static void disable(struct webhook *w) {
    w->disabled = true;
    metric_set(w->figures->disabled, 1);
    log_error(
        "webhook disabled: its destination failed for too long; enable it when that is mended",
        LOG_STR("webhook", w->figures->label), LOG_STR("url", w->place), LOG_STR("why", w->error));
}

static void note_failure(struct webhook *w, const char *why, int64_t pause_ms) {
    int64_t now = clock_wall_ms();
    snprintf(w->error, sizeof w->error, "%s", why);
    breaker_failed(&w->breaker, mono_ms(), pause_ms);
    if (w->failing_since_ms == 0 || w->failing_since_ms > now) /* the clock was set back */
        w->failing_since_ms = now;
    if (!w->disabled && now - w->failing_since_ms >= w->target.webhook->policy.disable_after_ms)
        disable(w);
}

static void plan_retry(struct attempt *a, int64_t pause_ms) {
    const struct webhook_policy *policy = &a->webhook->target.webhook->policy;
    int64_t now = clock_wall_ms();
    a->attempts++;
    if (a->since_ms == 0 || a->since_ms > now)
        a->since_ms = now;
    int64_t delay = backoff_ms(&policy->retry, a->attempts);
    a->due_ms = now + (delay > pause_ms ? delay : pause_ms);
    a->save = now - a->since_ms >= policy->give_up_ms ? SAVE_DEADLETTER : SAVE_RETRY;
}

/* An attempt came to its end. */
static void settle(struct attempt *a, bool good, const char *why, int64_t pause_ms) {
    struct webhook *w = a->webhook;
    w->sending--;
    if (good)
        note_success(w);
    else if (w->persistent)
        note_failure(w, why, pause_ms);
    if (!w->persistent || (good && !a->is_retry)) {
        attempt_set_idle(a);
        return;
    }
    snprintf(a->error, sizeof a->error, "%s", why);
    if (good)
        a->save = SAVE_DONE;
    else
        plan_retry(a, pause_ms);
    attempt_save(a);
}

/* ---- a request ---- */

/* Takes the reference. */
static void start(struct attempt *a, struct item *item, const struct retry_row *retry) {
    struct webhook *w = a->webhook;
    a->item = item;
    a->state = SENDING;
    a->is_retry = retry != NULL;
    a->attempts = retry != NULL ? retry->attempts : 0;
    a->since_ms = retry != NULL ? retry->since_ms : 0;
    w->busy++;
    w->sending++;
    log_debug("webhook sent", LOG_STR("webhook", w->figures->label),
              LOG_INT("topic_sequence_number", item->number), LOG_STR("request", item->request_id));
    if (delivery_start(a->delivery, item_ref(item)))
        return;
    const char *why = "the request could not be started";
    metric_add(w->figures->outcomes[DELIVERY_OTHER], 1);
    webhook_log_failure(w, item, why);
    item_unref(item);
    settle(a, false, why, 0);
}

/* ---- what to send next ---- */

static bool is_in_flight(const struct webhook *w, const struct retry_row *row) {
    for (size_t i = 0; i < w->count; i++) {
        const struct item *item = w->attempts[i].item;
        if (item != NULL && item->number == row->item.number && item->page == row->page)
            return true;
    }
    return false;
}

static bool send_retry(void *context, const struct retry_row *row) {
    struct webhook *w = context;
    if (is_in_flight(w, row))
        return true;
    int64_t wait_ms = row->due_ms - clock_wall_ms();
    if (wait_ms > w->target.webhook->policy.retry.max_ms + DELIVERY_PAUSE_MAX_MS)
        wait_ms = 0; /* the clock was set back */
    if (wait_ms > 0 || !may_send(w) || !take_token(w)) {
        w->next_due_ms = wait_ms > 0 ? row->due_ms : 0;
        return false;
    }
    start(idle_attempt(w), item_from_row(&row->item, row->page), row);
    return true;
}

static void send_retries(struct webhook *w) {
    struct error e;
    struct database *db = mailbox_reader(w->sender->options.mailbox, &e);
    w->next_due_ms = NEVER;
    if (db != NULL && outbox_table_each_retry(db, w->row.id, send_retry, w, &e))
        return;
    w->next_due_ms = clock_wall_ms() + 1000;
    log_error("what is to be delivered again cannot be read", LOG_STR("webhook", w->figures->label),
              LOG_STR("error", e.message));
}

void webhook_recount(struct webhook *w) {
    int64_t count;
    struct error e;
    struct database *db = mailbox_reader(w->sender->options.mailbox, &e);
    w->recounted_ns = clock_mono_ns();
    w->next_due_ms = 0;
    if (db != NULL && outbox_table_count(db, w->row.id, &count, &e))
        w->retries = (uint64_t)count;
}

static bool may_take_new(const struct webhook *w) {
    if (!w->persistent)
        return true;
    if (w->sender->stopping && subscription_is_durable(w->subscription))
        return false; /* it goes on after the restart */
    uint64_t waiting = w->retries + w->saving;
    return w->target.webhook->policy.ordered
               ? waiting == 0 && w->busy == 0
               : waiting < w->sender->options.config->limits.webhook_retries;
}

void webhook_pump(struct webhook *w) {
    if (w->retries > 0 && clock_wall_ms() >= w->next_due_ms && may_send(w) && !w->sender->stopping)
        send_retries(w);
    while (may_send(w) && may_take_new(w)) {
        if (w->waiting == 0)
            webhook_fill(w);
        if (w->waiting == 0 || !take_token(w))
            break;
        struct item *item = webhook_next_item(w);
        if (item == NULL)
            break;
        start(idle_attempt(w), item, NULL);
    }
    metric_set(w->figures->queued, (int64_t)(w->waiting + w->retries));
}

void webhook_on_ended(struct delivery *d, struct item *item, const struct delivery_result *r) {
    struct attempt *a = delivery_data(d);
    struct webhook *w = a->webhook;
    bool good = r->outcome == DELIVERY_OK;
    metric_add(w->figures->outcomes[r->outcome], 1);
    histogram_observe_ns(w->figures->duration, r->duration_ns);
    if (!good)
        webhook_log_failure(w, item, r->why);
    else
        log_debug("webhook delivered", LOG_STR("webhook", w->figures->label),
                  LOG_INT("topic_sequence_number", item->number),
                  LOG_STR("request", item->request_id));
    settle(a, good, r->why, r->pause_ms);
    webhook_pump(w);
}
