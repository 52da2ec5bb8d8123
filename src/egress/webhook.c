#include "egress/webhook.h"

#include <stdio.h>
#include <stdlib.h>

#include <uthash.h>
#include <utlist.h>

#include "egress/delivery.h"

#define BATCH 64
/* Webhooks come and go; beyond so many names their figures are counted together. */
#define FIGURES_MAX 1000

/* What is logged once a second at most: how many there were since the last line. */
struct quiet {
    uint64_t logged_second;
    uint64_t since;
};

/* The figures of a webhook, which outlive it: one that is made again goes on counting. */
struct figures {
    UT_hash_handle hh;
    char *label; /* "cache/name" */
    struct metric *outcomes[DELIVERY_OUTCOMES], *dropped, *queued;
    struct histogram *duration;
};

/* A webhook that this worker owns. */
struct webhook {
    struct webhook *next, *prev;
    struct webhook_sender *sender;
    uint64_t delivery;             /* of its entry */
    struct delivery_target target; /* with a reference to the entry */
    struct subscription *subscription;
    bool retired;   /* it was replaced, and sends the rest: */
    uint64_t until; /* what is published before this number */
    /* What waits: a ring. When it is full, the topic's own ring holds the rest. */
    struct item **queue;
    size_t first, waiting, capacity;
    struct delivery **idle; /* attempts that are not in flight */
    struct delivery **all;
    size_t idle_count, count;
    struct figures *figures;
    char *place; /* the URL without what may be secret in it */
    /* A dead or slow destination would fill the log: of each kind, a line a second. */
    struct quiet failures, losses;
};

struct webhook_sender {
    struct webhook_options options;
    struct curl_loop *curl;
    struct webhook *webhooks;
    struct figures *figures;
    uv_timer_t reap; /* frees replaced webhooks that have sent the rest */
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

/* ---- sending ---- */

static bool enqueue(struct webhook *w, struct item *item) {
    size_t limit = w->sender->options.config->limits.webhook_queue;
    if (w->waiting == limit)
        return false;
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
    return true;
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
    uint64_t left = at < w->until ? w->until - at : 0;
    return left < room ? (size_t)left : room;
}

static size_t read_topic(struct webhook *w, struct item **items, size_t room) {
    struct discontinuity d;
    bool gap;
    if (w->subscription == NULL || (room = bounded(w, room)) == 0)
        return 0;
    size_t count = subscription_read(w->subscription, items, room, &gap, &d);
    if (gap) {
        uint64_t lost = d.new_number - d.last_number - 1;
        metric_add(w->figures->dropped, (int64_t)lost);
        if (quiet_add(&w->losses, lost))
            log_losses(w, too_slow);
    }
    return count;
}

/* Fills the queue from the topic, as far as there is room. */
static void fill(struct webhook *w) {
    struct item *items[BATCH];
    size_t limit = w->sender->options.config->limits.webhook_queue;
    while (w->waiting < limit) {
        size_t room = limit - w->waiting < BATCH ? limit - w->waiting : BATCH;
        size_t count = read_topic(w, items, room);
        for (size_t i = 0; i < count; i++)
            enqueue(w, items[i]);
        if (count == 0)
            break;
    }
}

static void send_waiting(struct webhook *w) {
    while (w->idle_count > 0) {
        if (w->waiting == 0)
            fill(w);
        if (w->waiting == 0)
            break;
        struct delivery *d = w->idle[--w->idle_count];
        struct item *item = dequeue(w);
        log_debug("webhook sent", LOG_STR("webhook", w->figures->label),
                  LOG_INT("topic_sequence_number", item->number),
                  LOG_STR("request", item->request_id));
        if (!delivery_start(d, item)) {
            metric_add(w->figures->outcomes[DELIVERY_OTHER], 1);
            log_failure(w, item, "the request could not be started");
            item_unref(item);
            w->idle[w->idle_count++] = d;
        }
    }
    metric_set(w->figures->queued, (int64_t)w->waiting);
}

/* It was replaced, and has sent everything. */
static bool is_spent(const struct webhook *w) {
    return w->retired && w->waiting == 0 && w->idle_count == w->count && bounded(w, 1) == 0;
}

static void on_reap(uv_timer_t *timer);

static void on_ended(struct delivery *d, const struct item *item, enum delivery_outcome outcome,
                     const char *why) {
    struct webhook *w = delivery_context(d);
    metric_add(w->figures->outcomes[outcome], 1);
    histogram_observe_ns(w->figures->duration, delivery_duration_ns(d));
    if (outcome != DELIVERY_OK)
        log_failure(w, item, why);
    else
        log_debug("webhook delivered", LOG_STR("webhook", w->figures->label),
                  LOG_INT("topic_sequence_number", item->number),
                  LOG_STR("request", item->request_id));
    w->idle[w->idle_count++] = d;
    send_waiting(w);
    if (is_spent(w)) /* not here: it is called from within one of its parts */
        uv_timer_start(&w->sender->reap, on_reap, 0, 0);
}

static void on_ready(void *context) {
    struct webhook *w = context;
    fill(w);
    send_waiting(w);
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
    unsigned count = w->sender->options.config->limits.webhook_concurrency;
    w->idle = xcalloc(count, sizeof(struct delivery *));
    w->all = xcalloc(count, sizeof(struct delivery *));
    for (; w->count < count; w->count++) {
        struct delivery *d = delivery_new(w->sender->curl, &w->target);
        if (d == NULL)
            return error_set(e, ERROR_INTERNAL, "webhook %s: libcurl does not start",
                             w->figures->label);
        w->all[w->count] = w->idle[w->idle_count++] = d;
    }
    return true;
}

static bool open_webhook(struct webhook_sender *s, struct webhook_entry *entry, struct error *e) {
    struct webhook *w = xcalloc(1, sizeof *w);
    w->sender = s;
    w->delivery = entry->delivery;
    w->figures = find_figures(s, entry);
    w->place = public_part(entry->url);
    w->target = (struct delivery_target){
        .webhook = webhook_entry_ref(entry),
        .signer = signer_new(entry->secret, e),
        .timeout_ms = s->options.config->limits.webhook_timeout_ms,
        .ended = on_ended,
        .context = w,
    };
    DL_APPEND(s->webhooks, w);
    if (w->target.signer == NULL || !start_deliveries(w, e))
        return false;
    w->subscription = subscription_open(s->options.mailbox, entry->cache, entry->topic,
                                        entry->start, on_ready, w, e);
    if (w->subscription == NULL)
        return false;
    on_ready(w);
    return true;
}

/* Counts what waits, is in flight, or was not even read. */
static void count_left(struct webhook *w) {
    struct item *items[BATCH];
    size_t left = w->waiting + w->count - w->idle_count, count;
    while (w->subscription != NULL && (count = read_topic(w, items, BATCH)) > 0) {
        left += count;
        while (count > 0)
            item_unref(items[--count]);
    }
    metric_add(w->figures->dropped, (int64_t)left);
    metric_set(w->figures->queued, 0);
    if (w->losses.since > 0)
        log_losses(w, too_slow);
    w->losses.since = left;
    if (left > 0)
        log_losses(w, "the gateway stops");
}

static void close_webhook(struct webhook *w) {
    count_left(w);
    subscription_close(w->subscription);
    for (size_t i = 0; i < w->count; i++)
        delivery_free(w->all[i]);
    while (w->waiting > 0)
        item_unref(dequeue(w));
    DL_DELETE(w->sender->webhooks, w);
    free(w->queue);
    free(w->idle);
    free(w->all);
    signer_free(w->target.signer);
    webhook_entry_unref(w->target.webhook);
    free(w->place);
    free(w);
}

static void on_reap(uv_timer_t *timer) {
    struct webhook_sender *s = timer->data;
    struct webhook *w, *next;
    DL_FOREACH_SAFE(s->webhooks, w, next) {
        if (is_spent(w))
            close_webhook(w);
    }
}

/* ---- following the set ---- */

/* The secret was changed: what is sent from now on is signed with the new one. */
static void take_entry(struct webhook *w, struct webhook_entry *entry) {
    struct error e;
    struct signer *signer = signer_new(entry->secret, &e);
    if (signer == NULL) {
        log_error("a webhook keeps its old secret", LOG_STR("error", e.message));
        return;
    }
    signer_free(w->target.signer);
    webhook_entry_unref(w->target.webhook);
    w->target.signer = signer;
    w->target.webhook = webhook_entry_ref(entry);
}

/* Another topic or destination took its place: it sends what was published before. */
static void retire(struct webhook *w, const struct webhook_entry *successor) {
    bool same_topic = strcmp(successor->topic, w->target.webhook->topic) == 0;
    w->until = same_topic ? successor->start.number : subscription_tip(w->subscription);
    w->retired = true;
    on_ready(w);
    if (is_spent(w))
        close_webhook(w);
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

static bool update(struct webhook_sender *s, struct error *e) {
    struct webhook_entry **list;
    struct webhook *w, *next;
    bool good = true;
    size_t count = webhook_set_list(s->options.webhooks, NULL, &list, NULL);
    DL_FOREACH_SAFE(s->webhooks, w, next) {
        struct webhook_entry *entry = find_entry(list, count, w);
        if (entry == NULL)
            close_webhook(w);
        else if (w->retired)
            continue;
        else if (entry->delivery != w->delivery)
            retire(w, entry);
        else if (entry != w->target.webhook)
            take_entry(w, entry);
    }
    for (size_t i = 0; i < count; i++) {
        if (is_mine(s, list[i]) && find_open(s, list[i]->delivery) == NULL)
            good = open_webhook(s, list[i], e) && good;
    }
    webhook_list_free(list, count);
    return good;
}

void webhook_sender_update(struct webhook_sender *s) {
    struct error e;
    struct webhook *w, *next;
    if (!update(s, &e))
        log_error("a webhook cannot be served", LOG_STR("error", e.message));
    DL_FOREACH_SAFE(s->webhooks, w, next) {
        if (w->subscription == NULL) /* it did not open */
            close_webhook(w);
    }
}

/* ---- the sender ---- */

struct webhook_sender *webhook_sender_new(const struct webhook_options *o, struct error *e) {
    struct webhook_sender *s = xcalloc(1, sizeof *s);
    s->options = *o;
    s->curl = curl_loop_new(o->loop);
    uv_timer_init(o->loop, &s->reap);
    s->reap.data = s;
    if (update(s, e))
        return s;
    webhook_sender_free(s);
    return NULL;
}

bool webhook_sender_idle(struct webhook_sender *s) {
    struct webhook *w;
    bool idle = true;
    DL_FOREACH(s->webhooks, w) {
        on_ready(w); /* the mailbox may have news that it was not asked for yet */
        idle = idle && w->waiting == 0 && w->idle_count == w->count;
    }
    return idle;
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
    curl_loop_free(s->curl);
    uv_close((uv_handle_t *)&s->reap, on_closed);
}
