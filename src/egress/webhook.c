#include "egress/webhook.h"

#include <stdio.h>
#include <stdlib.h>

#include <uthash.h>
#include <utlist.h>

#include "egress/breaker.h"
#include "egress/delivery.h"
#include "store/deadletter_table.h"
#include "store/outbox_table.h"

#define BATCH   64
#define TICK_MS 100
/* Webhooks come and go; beyond so many names their figures are counted together. */
#define FIGURES_MAX 1000
#define RECOUNT_NS  10000000000u
#define NEVER       INT64_MAX

/* What is logged once a second at most: how many there were since the last line. */
struct quiet {
    uint64_t logged_second;
    uint64_t since;
};

/* The figures of a webhook, which outlive it: one that is made again goes on counting. */
struct figures {
    UT_hash_handle hh;
    char *label; /* "cache/name" */
    struct metric *outcomes[DELIVERY_OUTCOMES], *dropped, *queued, *given_up, *disabled;
    struct histogram *duration;
};

/* What is to be written after an attempt. */
enum save { SAVE_RETRY, SAVE_DONE, SAVE_DEADLETTER };

/* One of the requests that a webhook may have under way at once. */
struct attempt {
    struct webhook *webhook;
    struct delivery *delivery;
    enum { IDLE, SENDING, SAVING, UNSAVED } state;
    struct item *item; /* NULL when idle */
    bool is_retry;     /* it has a row among the retries */
    unsigned attempts; /* that failed */
    int64_t since_ms;  /* the first of them */
    enum save save;
    int64_t due_ms;
    char error[256];
};

/* A webhook that this worker owns. */
struct webhook {
    struct webhook *next, *prev;
    struct webhook_sender *sender;
    uint64_t delivery;             /* of its entry */
    char *topic;                   /* of its entry, unless it is retired */
    struct delivery_target target; /* with a reference to the entry */
    struct subscription *subscription;
    bool retired; /* another topic took its place: it sends the rest */
    bool closing; /* it is freed when nothing is being saved any more */
    /* What waits: a ring. When it is full, the topic has the rest. */
    struct item **queue;
    size_t first, waiting, capacity;
    struct attempt *attempts;
    size_t count, busy, sending, saving;
    struct breaker breaker;
    double tokens; /* of its rate */
    uint64_t refilled_ns;
    /* One that keeps its state on the disk: */
    bool persistent;
    struct outbox_row row; /* as it is there, but for its topic */
    bool saving_row;
    uint64_t retries; /* rows */
    uint64_t recounted_ns;
    int64_t next_due_ms; /* of the retries, of the wall clock; NEVER: there is none */
    uint64_t *skip;      /* numbers that are read again but are among the retries */
    size_t skip_count, skip_at;
    bool disabled;
    int64_t failing_since_ms;
    char error[160];
    struct figures *figures;
    char *place; /* the URL without what may be secret in it */
    /* A dead or slow destination would fill the log: of each kind, a line a second. */
    struct quiet failures, losses;
};

struct webhook_sender {
    struct webhook_options options;
    struct delivery_network trusted, guarded;
    struct webhook *webhooks;
    struct webhook *closing;
    struct figures *figures;
    bool stopping;
    uv_timer_t tick;
};

/* ---- the log ---- */

/* Adds to what is to be logged; true when now is the time for a line about all of `since`. */
static bool quiet_add(struct quiet *q, uint64_t count) {
    uint64_t second = clock_mono_ns() / 1000000000u;
    q->since += count;
    if (second == q->logged_second)
        return false;
    q->logged_second = second;
    return true;
}

static void log_losses(struct webhook *w, const char *why) {
    log_warn("webhook items dropped", LOG_STR("webhook", w->figures->label),
             LOG_INT("items", w->losses.since), LOG_STR("why", why));
    w->losses.since = 0;
}

static void log_failure(struct webhook *w, const struct item *item, const char *why) {
    if (!quiet_add(&w->failures, 1))
        return;
    log_warn("webhook delivery failed", LOG_STR("webhook", w->figures->label),
             LOG_STR("url", w->place), LOG_STR("why", why),
             LOG_INT("topic_sequence_number", item->number), LOG_STR("request", item->request_id),
             LOG_INT("not_logged", w->failures.since - 1));
    w->failures.since = 0;
}

/* ---- the queue ---- */

static size_t queue_limit(const struct webhook *w) {
    /* A durable topic keeps what a webhook has still to deliver; a ring does not. */
    return subscription_is_durable(w->subscription)
               ? BATCH
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

static struct item *dequeue(struct webhook *w) {
    struct item *item = w->queue[w->first];
    w->first = (w->first + 1) % w->capacity;
    w->waiting--;
    return item;
}

static const char too_slow[] = "the destination does not keep up (limits.webhook_queue)";

/* How much of the topic is still this one's to send. */
static size_t bounded(const struct webhook *w, size_t room) {
    if (!w->retired)
        return room;
    uint64_t at = subscription_position(w->subscription).number;
    uint64_t left = at < w->row.until ? w->row.until - at : 0;
    return left < room ? (size_t)left : room;
}

static size_t read_topic(struct webhook *w, struct item **items, size_t room) {
    struct discontinuity d;
    bool gap;
    if (w->subscription == NULL || (room = bounded(w, room)) == 0)
        return 0;
    size_t count = subscription_read(w->subscription, items, room, &gap, &d);
    if (gap) {
        uint64_t lost = d.new_number > d.last_number ? d.new_number - d.last_number - 1 : 0;
        metric_add(w->figures->dropped, (int64_t)lost);
        if (quiet_add(&w->losses, lost))
            log_losses(w, too_slow);
    }
    return count;
}

/* Fills the queue from the topic, as far as there is room. */
static void fill(struct webhook *w) {
    struct item *items[BATCH];
    size_t limit = queue_limit(w);
    while (w->waiting < limit) {
        size_t room = limit - w->waiting < BATCH ? limit - w->waiting : BATCH;
        size_t count = read_topic(w, items, room);
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

static struct item *next_item(struct webhook *w) {
    for (;;) {
        if (w->waiting == 0)
            fill(w);
        if (w->waiting == 0)
            return NULL;
        struct item *item = dequeue(w);
        if (!is_skipped(w, item->number))
            return item;
        item_unref(item);
    }
}

/* ---- sending ---- */

static void pump(struct webhook *w);
static void save(struct attempt *a);

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

static void set_idle(struct attempt *a) {
    if (a->item != NULL)
        item_unref(a->item);
    a->item = NULL;
    a->state = IDLE;
    a->webhook->busy--;
}

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
    metric_add(w->figures->outcomes[DELIVERY_OTHER], 1);
    log_failure(w, item, "the request could not be started");
    item_unref(item);
    w->sending--;
    set_idle(a);
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

static void on_ended(struct delivery *d, struct item *item, const struct delivery_result *r) {
    struct attempt *a = delivery_data(d);
    struct webhook *w = a->webhook;
    bool good = r->outcome == DELIVERY_OK;
    w->sending--;
    metric_add(w->figures->outcomes[r->outcome], 1);
    histogram_observe_ns(w->figures->duration, r->duration_ns);
    if (!good)
        log_failure(w, item, r->why);
    else
        log_debug("webhook delivered", LOG_STR("webhook", w->figures->label),
                  LOG_INT("topic_sequence_number", item->number),
                  LOG_STR("request", item->request_id));
    if (good)
        note_success(w);
    else if (w->persistent)
        note_failure(w, r->why, r->pause_ms);
    if (!w->persistent || (good && !a->is_retry)) {
        set_idle(a);
        pump(w);
        return;
    }
    snprintf(a->error, sizeof a->error, "%s", r->why);
    if (good)
        a->save = SAVE_DONE;
    else
        plan_retry(a, r->pause_ms);
    save(a);
}

/* ---- saving ---- */

static void free_webhook(struct webhook *w);

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
        set_idle(a);
    }
    if (w->closing && w->saving == 0 && !w->saving_row)
        free_webhook(w);
    else if (!w->closing && e == NULL)
        pump(w);
}

static struct item_row row_of(const struct item *item) {
    return (struct item_row){
        .number = item->number,
        .kind = item->kind,
        .timestamp_ms = item->timestamp_ms,
        .publisher_id = item->publisher_id,
        .value = item->value,
        .length = item->length,
    };
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

static void save(struct attempt *a) {
    struct webhook *w = a->webhook;
    struct transaction *t = transaction_new(on_saved, a);
    struct error e;
    if (a->save == SAVE_RETRY) {
        const struct retry_row row = {a->item->page, a->attempts, a->since_ms,
                                      a->due_ms,     a->error,    row_of(a->item)};
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

/* All before this number is delivered, or among the retries. */
static uint64_t settled_number(const struct webhook *w) {
    uint64_t least =
        w->waiting > 0 ? w->queue[w->first]->number : subscription_position(w->subscription).number;
    for (size_t i = 0; i < w->count; i++) {
        const struct attempt *a = &w->attempts[i];
        if (a->item != NULL && !a->is_retry && a->item->number < least)
            least = a->item->number;
    }
    return least;
}

static void hold(struct webhook *w) {
    subscription_hold(w->subscription, w->disabled ? UINT64_MAX : w->row.number);
}

static void on_row_saved(void *context, const struct error *e) {
    struct webhook *w = context;
    w->saving_row = false;
    if (w->closing) {
        if (w->saving == 0)
            free_webhook(w);
    } else if (e == NULL) {
        hold(w);
    } else {
        w->row.page = 0; /* not known: written again */
    }
}

static void save_row(struct webhook *w) {
    struct outbox_row now = w->row;
    struct error e;
    if (!w->persistent || w->saving_row)
        return;
    now.page = subscription_position(w->subscription).page;
    now.number = settled_number(w);
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
    struct item *item = item_new(row->item.kind == ITEM_TEXT ? ITEM_TEXT : ITEM_BINARY,
                                 row->item.value, row->item.length, row->item.publisher_id, "");
    item->page = row->page;
    item->number = row->item.number;
    item->timestamp_ms = row->item.timestamp_ms;
    start(idle_attempt(w), item, row);
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

/* Looks again at what is there to be tried: another thread, or another clock, may have changed it.
 */
static void recount(struct webhook *w) {
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

static void pump(struct webhook *w) {
    if (w->retries > 0 && clock_wall_ms() >= w->next_due_ms && may_send(w) && !w->sender->stopping)
        send_retries(w);
    while (may_send(w) && may_take_new(w)) {
        if (w->waiting == 0)
            fill(w);
        if (w->waiting == 0 || !take_token(w))
            break;
        struct item *item = next_item(w);
        if (item == NULL)
            break;
        start(idle_attempt(w), item, NULL);
    }
    metric_set(w->figures->queued, (int64_t)(w->waiting + w->retries));
}

/* It was replaced, and has sent everything. */
static bool is_spent(const struct webhook *w) {
    return w->retired && w->waiting == 0 && w->busy == 0 && w->retries == 0 && bounded(w, 1) == 0;
}

static void on_ready(void *context) {
    struct webhook *w = context;
    if (!subscription_is_durable(w->subscription))
        fill(w);
    pump(w);
}

static void report(struct webhook *w) {
    if (w->retired)
        return;
    uint64_t tip = subscription_tip(w->subscription), settled = settled_number(w);
    struct webhook_status status = {
        .disabled = w->disabled,
        .paused = breaker_is_open(&w->breaker),
        .failing_since_ms = w->failing_since_ms,
        .pending = w->retries + (tip > settled ? tip - settled : 0),
        .retrying = w->retries,
    };
    memcpy(status.error, w->error, sizeof status.error);
    webhook_set_report(w->sender->options.webhooks, w->target.webhook->id, &status);
}

static void close_webhook(struct webhook *w);

/* Its rows go with it. */
static void end_retired(struct webhook *w) {
    struct transaction *t = transaction_new(NULL, NULL);
    struct error e;
    outbox_table_end(t, w->row.id);
    if (!w->persistent)
        transaction_free(t);
    else
        mailbox_submit(w->sender->options.mailbox, t, &e);
    close_webhook(w);
}

static void on_tick(uv_timer_t *timer) {
    struct webhook_sender *s = timer->data;
    struct webhook *w, *next;
    DL_FOREACH_SAFE(s->webhooks, w, next) {
        for (size_t i = 0; i < w->count; i++) {
            if (w->attempts[i].state == UNSAVED)
                save(&w->attempts[i]);
        }
        if (is_spent(w)) {
            end_retired(w);
            continue;
        }
        if (w->persistent && w->saving == 0 && clock_mono_ns() - w->recounted_ns > RECOUNT_NS)
            recount(w);
        pump(w);
        save_row(w);
        report(w);
    }
}

/* ---- life ---- */

/* The URL without user, password and query, for the log. */
static char *public_part(const char *url) {
    const char *host = strstr(url, "://");
    host = host != NULL ? host + 3 : url;
    size_t authority = strcspn(host, "/?#");
    const char *after = host;
    for (size_t i = 0; i < authority; i++) {
        if (host[i] == '@')
            after = host + i + 1;
    }
    return xasprintf("%.*s%.*s", (int)(host - url), url, (int)strcspn(after, "?#"), after);
}

static struct figures *new_figures(struct webhook_sender *s, const char *label) {
    struct metrics *m = s->options.metrics;
    struct figures *f = xcalloc(1, sizeof *f);
    struct buffer labels = {0};
    f->label = xstrdup(label);
    HASH_ADD_KEYPTR(hh, s->figures, f->label, strlen(f->label), f);
    metrics_label(&labels, "webhook", f->label);
    f->dropped = metrics_counter(m, "hookmoon_webhook_dropped_total",
                                 "Items that were never sent to a webhook.", labels.data);
    f->queued =
        metrics_gauge(m, "hookmoon_webhook_queue", "Items that wait for a webhook.", labels.data);
    f->given_up = metrics_counter(m, "hookmoon_webhook_given_up_total",
                                  "Deliveries that became dead letters.", labels.data);
    f->disabled = metrics_gauge(m, "hookmoon_webhook_disabled",
                                "1 for a webhook that was disabled.", labels.data);
    f->duration = metrics_histogram(m, "hookmoon_webhook_delivery_seconds",
                                    "Time that deliveries took.", labels.data);
    size_t length = labels.length;
    for (size_t i = 0; i < DELIVERY_OUTCOMES; i++) {
        labels.length = length;
        metrics_label(&labels, "outcome", delivery_words[i]);
        f->outcomes[i] = metrics_counter(m, "hookmoon_webhook_deliveries_total",
                                         "Deliveries to webhooks, by outcome.", labels.data);
    }
    buffer_free(&labels);
    return f;
}

static struct figures *find_figures(struct webhook_sender *s, const struct webhook_entry *entry) {
    char *label = HASH_COUNT(s->figures) < FIGURES_MAX
                      ? xasprintf("%s/%s", entry->cache, entry->name)
                      : xstrdup("others");
    struct figures *f = NULL;
    HASH_FIND_STR(s->figures, label, f);
    if (f == NULL)
        f = new_figures(s, label);
    free(label);
    return f;
}

static bool start_deliveries(struct webhook *w, struct error *e) {
    const struct webhook_policy *policy = &w->target.webhook->policy;
    size_t count = policy->concurrency > 0 ? policy->concurrency
                                           : w->sender->options.config->limits.webhook_concurrency;
    if (policy->ordered)
        count = 1;
    w->attempts = xcalloc(count, sizeof *w->attempts);
    for (; w->count < count; w->count++) {
        struct attempt *a = &w->attempts[w->count];
        a->webhook = w;
        a->delivery = delivery_new(&w->target);
        if (a->delivery == NULL)
            return error_set(e, ERROR_INTERNAL, "webhook %s: libcurl does not start",
                             w->figures->label);
        delivery_set_data(a->delivery, a);
    }
    return true;
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

/* Takes up where the last run ended; `*from` is where that is, for a topic of the same page. */
static bool restore(struct webhook *w, struct resume *from, struct error *e) {
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

static void set_target(struct webhook *w, struct webhook_entry *entry) {
    struct webhook_sender *s = w->sender;
    bool trusted = entry->configured || entry->own_hook != NULL;
    webhook_entry_ref(entry);
    webhook_entry_unref(w->target.webhook);
    w->target.webhook = entry;
    w->target.network = trusted ? &s->trusted : &s->guarded;
    free(w->place);
    w->place = public_part(entry->url);
}

static bool set_up(struct webhook *w, struct webhook_entry *entry, const char *topic,
                   struct error *e) {
    struct webhook_sender *s = w->sender;
    struct resume from = entry->start;
    w->delivery = entry->delivery;
    w->topic = xstrdup(topic);
    w->figures = find_figures(s, entry);
    w->next_due_ms = NEVER;
    set_target(w, entry);
    w->target.topic = w->topic;
    w->target.signer = signer_new(entry->secret, e);
    w->target.timeout_ms = s->options.config->limits.webhook_timeout_ms;
    w->target.ended = on_ended;
    w->target.context = w;
    if (w->target.signer == NULL || !start_deliveries(w, e))
        return false;
    if (strcmp(topic, entry->topic) != 0 &&
        !mailbox_topic_position(s->options.mailbox, entry->cache, topic, &from, e))
        return false;
    if (!entry->policy.once && s->options.persistent && !restore(w, &from, e))
        return false;
    w->subscription =
        subscription_open(s->options.mailbox, entry->cache, topic, from, on_ready, w, e);
    if (w->subscription == NULL)
        return false;
    if (w->persistent)
        hold(w);
    return true;
}

static bool open_webhook(struct webhook_sender *s, struct webhook_entry *entry, const char *topic,
                         struct error *e) {
    struct webhook *w = xcalloc(1, sizeof *w);
    w->sender = s;
    DL_APPEND(s->webhooks, w);
    if (set_up(w, entry, topic, e))
        return true;
    close_webhook(w);
    return false;
}

/* Counts what a webhook without a place on the disk leaves behind. */
static void count_left(struct webhook *w) {
    struct item *items[BATCH];
    size_t left = w->waiting + w->busy, count;
    while (w->subscription != NULL && (count = read_topic(w, items, BATCH)) > 0) {
        left += count;
        while (count > 0)
            item_unref(items[--count]);
    }
    metric_add(w->figures->dropped, (int64_t)left);
    if (w->losses.since > 0)
        log_losses(w, too_slow);
    w->losses.since = left;
    if (left > 0)
        log_losses(w, "the gateway stops");
}

static void free_webhook(struct webhook *w) {
    subscription_close(w->subscription);
    for (size_t i = 0; i < w->count; i++) {
        delivery_free(w->attempts[i].delivery);
        if (w->attempts[i].item != NULL)
            item_unref(w->attempts[i].item);
    }
    while (w->waiting > 0)
        item_unref(dequeue(w));
    if (w->closing)
        DL_DELETE(w->sender->closing, w);
    else
        DL_DELETE(w->sender->webhooks, w);
    free(w->queue);
    free(w->skip);
    free(w->attempts);
    signer_free(w->target.signer);
    webhook_entry_unref(w->target.webhook);
    free(w->topic);
    free(w->place);
    free(w);
}

/* What is being written keeps it until that is done. */
static void close_webhook(struct webhook *w) {
    if (w->subscription != NULL && (!w->persistent || !subscription_is_durable(w->subscription)))
        count_left(w);
    metric_set(w->figures->queued, 0);
    if (w->saving == 0 && !w->saving_row) {
        free_webhook(w);
        return;
    }
    for (size_t i = 0; i < w->count; i++) {
        delivery_free(w->attempts[i].delivery);
        w->attempts[i].delivery = NULL;
    }
    struct webhook_sender *s = w->sender;
    /* The head of a list of several has a next, which the analyzer does not know. */
    DL_DELETE(s->webhooks, w); /* NOLINT(clang-analyzer-core.NullDereference) */
    DL_APPEND(s->closing, w);
    w->closing = true;
}

/* ---- following the set ---- */

/* The secret, the destination or the way of delivering was changed. */
static void take_entry(struct webhook *w, struct webhook_entry *entry) {
    struct error e;
    struct signer *signer = signer_new(entry->secret, &e);
    if (signer == NULL) {
        log_error("a webhook keeps its old secret", LOG_STR("error", e.message));
        return;
    }
    if (strcmp(entry->url, w->target.webhook->url) != 0)
        breaker_succeeded(&w->breaker); /* another destination: it has not failed yet */
    signer_free(w->target.signer);
    w->target.signer = signer;
    set_target(w, entry);
}

/* Another topic took its place: it sends what is before `until`, and ends. */
static void retire(struct webhook *w, uint64_t until) {
    w->row.until = until;
    w->row.page = 0; /* has the row written */
    w->retired = true;
    pump(w);
}

static void enable(struct webhook *w) {
    w->disabled = false;
    w->failing_since_ms = 0;
    recount(w);
    metric_set(w->figures->disabled, 0);
    breaker_succeeded(&w->breaker);
    hold(w);
    pump(w);
}

static struct webhook *find_open(const struct webhook_sender *s, uint64_t delivery) {
    struct webhook *w;
    DL_FOREACH(s->webhooks, w) {
        if (w->delivery == delivery && !w->retired)
            return w;
    }
    return NULL;
}

/* The entry of a webhook, or what took its place; NULL: it was deleted. */
static struct webhook_entry *find_entry(struct webhook_entry **list, size_t count,
                                        const struct webhook *w) {
    for (size_t i = 0; i < count; i++) {
        if (list[i]->id == w->target.webhook->id)
            return list[i];
    }
    return NULL;
}

static bool is_mine(const struct webhook_sender *s, const struct webhook_entry *entry) {
    return entry->id % s->options.workers == s->options.worker;
}

/* True when it must be opened anew for a change of how it delivers. */
static bool is_other_kind(const struct webhook *w, const struct webhook_entry *entry) {
    const struct webhook_policy *a = &w->target.webhook->policy, *b = &entry->policy;
    return a->ordered != b->ordered || a->once != b->once || a->concurrency != b->concurrency;
}

/* The retired one of this webhook and topic, whose topic is asked for again. */
static struct webhook *find_retired(const struct webhook_sender *s,
                                    const struct webhook_entry *entry) {
    struct webhook *w;
    DL_FOREACH(s->webhooks, w) {
        if (w->retired && w->target.webhook->id == entry->id && strcmp(w->topic, entry->topic) == 0)
            return w;
    }
    return NULL;
}

struct leftovers {
    const struct webhook_entry *entry;
    char **topics;
    uint64_t *until;
    size_t count;
};

static void add_leftover(void *context, const struct outbox_row *row) {
    struct leftovers *l = context;
    if (strcmp(row->topic, l->entry->topic) == 0)
        return;
    l->topics = xrealloc(l->topics, (l->count + 1) * sizeof(char *));
    l->until = xrealloc(l->until, (l->count + 1) * sizeof *l->until);
    l->topics[l->count] = xstrdup(row->topic);
    l->until[l->count++] = row->until;
}

/* Topics that it delivered before, and had not finished when the gateway ended. */
static void open_leftovers(struct webhook_sender *s, struct webhook_entry *entry) {
    struct leftovers l = {.entry = entry};
    struct error e;
    struct database *db = s->options.persistent ? mailbox_reader(s->options.mailbox, &e) : NULL;
    if (db != NULL)
        outbox_table_each(db, entry->cache, entry->name, add_leftover, &l, &e);
    for (size_t i = 0; i < l.count; i++) {
        if (open_webhook(s, entry, l.topics[i], &e)) {
            struct webhook *w = s->webhooks->prev; /* the one just opened */
            retire(w, l.until[i] != 0 ? l.until[i] : subscription_tip(w->subscription));
        } else {
            log_error("what a webhook had still to deliver cannot be", LOG_STR("error", e.message));
        }
        free(l.topics[i]);
    }
    free(l.topics);
    free(l.until);
}

static bool open_current(struct webhook_sender *s, struct webhook_entry *entry, struct error *e) {
    struct webhook *w = find_retired(s, entry);
    if (w != NULL) {
        w->retired = false;
        w->row.until = 0;
        w->row.page = 0;
        w->delivery = entry->delivery;
        take_entry(w, entry);
        return true;
    }
    return open_webhook(s, entry, entry->topic, e);
}

/* What `entry`, NULL for none, makes of an open webhook. False: it is closed, and may be freed. */
static bool follow(struct webhook *w, struct webhook_entry *entry) {
    if (entry == NULL ||
        (!w->retired && entry->delivery == w->delivery && is_other_kind(w, entry))) {
        close_webhook(w);
        return false;
    }
    if (!w->retired && entry->delivery != w->delivery)
        retire(w, subscription_tip(w->subscription));
    else if (entry != w->target.webhook)
        take_entry(w, entry);
    return true;
}

static bool update(struct webhook_sender *s, struct error *e) {
    struct webhook_entry **list;
    struct webhook *w, *next;
    bool good = true;
    size_t count = webhook_set_list(s->options.webhooks, NULL, &list, NULL);
    DL_FOREACH_SAFE(s->webhooks, w, next) {
        struct webhook_entry *entry = find_entry(list, count, w);
        if (follow(w, entry) && !w->retired &&
            webhook_set_take_enable(s->options.webhooks, entry->id))
            enable(w);
    }
    for (size_t i = 0; i < count; i++) {
        if (is_mine(s, list[i]) && find_open(s, list[i]->delivery) == NULL)
            good = open_current(s, list[i], e) && good;
    }
    DL_FOREACH_SAFE(s->webhooks, w, next) {
        on_ready(w);
    }
    webhook_list_free(list, count);
    return good;
}

void webhook_sender_update(struct webhook_sender *s) {
    struct error e;
    if (!update(s, &e))
        log_error("a webhook cannot be served", LOG_STR("error", e.message));
}

/* ---- the sender ---- */

struct webhook_sender *webhook_sender_new(const struct webhook_options *o, struct error *e) {
    struct webhook_sender *s = xcalloc(1, sizeof *s);
    s->options = *o;
    s->trusted.curl = curl_loop_new(o->loop);
    s->guarded = (struct delivery_network){
        .curl = curl_loop_new(o->loop),
        .guarded = true,
        .open = o->config->open && !o->config->allow_open_public,
        .allowed = o->config->webhook_networks,
        .allowed_count = o->config->webhook_network_count,
    };
    uv_timer_init(o->loop, &s->tick);
    s->tick.data = s;
    uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
    if (!update(s, e)) {
        webhook_sender_free(s);
        return NULL;
    }
    for (struct webhook *w = s->webhooks, *last = w != NULL ? w->prev : NULL; w != NULL;
         w = w != last ? w->next : NULL)
        open_leftovers(s, w->target.webhook);
    return s;
}

bool webhook_sender_idle(struct webhook_sender *s) {
    struct webhook *w;
    bool idle = true;
    s->stopping = true;
    DL_FOREACH(s->webhooks, w) {
        on_ready(w); /* the mailbox may have news that it was not asked for yet */
        bool waits = w->waiting > 0 && !(w->persistent && subscription_is_durable(w->subscription));
        bool blocked = w->persistent && (w->disabled || breaker_is_open(&w->breaker));
        idle = idle && w->sending == 0 && w->saving == 0 && (!waits || blocked);
    }
    return idle;
}

void webhook_sender_save(struct webhook_sender *s) {
    struct webhook *w;
    if (s == NULL)
        return;
    s->stopping = true;
    DL_FOREACH(s->webhooks, w) {
        save_row(w);
    }
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

void webhook_sender_free(struct webhook_sender *s) {
    if (s == NULL)
        return;
    while (s->webhooks != NULL)
        close_webhook(s->webhooks);
    struct figures *f, *next;
    HASH_ITER(hh, s->figures, f, next) {
        HASH_DEL(s->figures, f);
        free(f->label);
        free(f);
    }
    curl_loop_free(s->trusted.curl);
    curl_loop_free(s->guarded.curl);
    uv_close((uv_handle_t *)&s->tick, on_closed);
}
