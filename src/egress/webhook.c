#include "egress/webhook.h"

#include <stdio.h>
#include <stdlib.h>

#include "egress/delivery.h"

#define BATCH 64

/* What is logged once a second at most: how many there were since the last line. */
struct quiet {
    uint64_t logged_second;
    uint64_t since;
};

/* A webhook that this worker owns. */
struct webhook {
    struct webhook_sender *sender;
    const struct config_webhook *config;
    struct signer *signer;
    struct subscription *subscription;
    /* What waits: a ring. When it is full, the topic's own ring holds the rest. */
    struct item **queue;
    size_t first, waiting, capacity;
    struct delivery **idle; /* attempts that are not in flight */
    struct delivery **all;
    size_t idle_count, count;
    char *label; /* "cache/name" */
    char *place; /* the URL without what may be secret in it */
    struct metric *outcomes[DELIVERY_OUTCOMES], *dropped, *queued;
    struct histogram *duration;
    /* A dead or slow destination would fill the log: of each kind, a line a second. */
    struct quiet failures, losses;
};

struct webhook_sender {
    struct webhook_options options;
    struct curl_loop *curl;
    struct webhook *webhooks;
    size_t count;
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
    log_warn("webhook items dropped", LOG_STR("webhook", w->label),
             LOG_INT("items", w->losses.since), LOG_STR("why", why));
    w->losses.since = 0;
}

static void log_failure(struct webhook *w, const struct item *item, const char *why) {
    if (!quiet_add(&w->failures, 1))
        return;
    log_warn("webhook delivery failed", LOG_STR("webhook", w->label), LOG_STR("url", w->place),
             LOG_STR("why", why), LOG_INT("topic_sequence_number", item->number),
             LOG_STR("request", item->request_id), LOG_INT("not_logged", w->failures.since - 1));
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

static size_t read_topic(struct webhook *w, struct item **items, size_t room) {
    struct discontinuity d;
    bool gap;
    size_t count = subscription_read(w->subscription, items, room, &gap, &d);
    if (gap) {
        uint64_t lost = d.new_number - d.last_number - 1;
        metric_add(w->dropped, (int64_t)lost);
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
        log_debug("webhook sent", LOG_STR("webhook", w->label),
                  LOG_INT("topic_sequence_number", item->number),
                  LOG_STR("request", item->request_id));
        if (!delivery_start(d, item)) {
            metric_add(w->outcomes[DELIVERY_OTHER], 1);
            log_failure(w, item, "the request could not be started");
            item_unref(item);
            w->idle[w->idle_count++] = d;
        }
    }
    metric_set(w->queued, (int64_t)w->waiting);
}

static void on_ended(struct delivery *d, const struct item *item, enum delivery_outcome outcome,
                     const char *why) {
    struct webhook *w = delivery_context(d);
    metric_add(w->outcomes[outcome], 1);
    histogram_observe_ns(w->duration, delivery_duration_ns(d));
    if (outcome != DELIVERY_OK)
        log_failure(w, item, why);
    else
        log_debug("webhook delivered", LOG_STR("webhook", w->label),
                  LOG_INT("topic_sequence_number", item->number),
                  LOG_STR("request", item->request_id));
    w->idle[w->idle_count++] = d;
    send_waiting(w);
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

static void register_metrics(struct webhook *w, struct metrics *m) {
    struct buffer labels = {0};
    metrics_label(&labels, "webhook", w->label);
    w->dropped = metrics_counter(m, "hookmoon_webhook_dropped_total",
                                 "Items that were never sent to a webhook.", labels.data);
    w->queued =
        metrics_gauge(m, "hookmoon_webhook_queue", "Items that wait for a webhook.", labels.data);
    w->duration = metrics_histogram(m, "hookmoon_webhook_delivery_seconds",
                                    "Time that deliveries took.", labels.data);
    size_t length = labels.length;
    for (size_t i = 0; i < DELIVERY_OUTCOMES; i++) {
        labels.length = length;
        metrics_label(&labels, "outcome", delivery_words[i]);
        w->outcomes[i] = metrics_counter(m, "hookmoon_webhook_deliveries_total",
                                         "Deliveries to webhooks, by outcome.", labels.data);
    }
    buffer_free(&labels);
}

static bool open_webhook(struct webhook_sender *s, struct webhook *w,
                         const struct config_webhook *config, struct error *e) {
    const struct config_limits *limits = &s->options.config->limits;
    w->sender = s;
    w->config = config;
    w->label = xasprintf("%s/%s", config->cache, config->name);
    w->place = public_part(config->url);
    register_metrics(w, s->options.metrics);
    w->signer = signer_new(config->secret, e);
    if (w->signer == NULL)
        return false;
    struct delivery_target target = {config, w->signer, limits->webhook_timeout_ms, on_ended, w};
    w->idle = xcalloc(limits->webhook_concurrency, sizeof(struct delivery *));
    w->all = xcalloc(limits->webhook_concurrency, sizeof(struct delivery *));
    for (; w->count < limits->webhook_concurrency; w->count++) {
        struct delivery *d = delivery_new(s->curl, &target);
        if (d == NULL)
            return error_set(e, ERROR_INTERNAL, "webhook %s: libcurl does not start", w->label);
        w->all[w->count] = w->idle[w->idle_count++] = d;
    }
    w->subscription = subscription_open(s->options.mailbox, config->cache, config->topic,
                                        (struct resume){0}, on_ready, w, e);
    return w->subscription != NULL;
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
    metric_add(w->dropped, (int64_t)left);
    metric_set(w->queued, 0);
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
    free(w->queue);
    free(w->idle);
    free(w->all);
    signer_free(w->signer);
    free(w->label);
    free(w->place);
}

struct webhook_sender *webhook_sender_new(const struct webhook_options *o, struct error *e) {
    struct webhook_sender *s = xcalloc(1, sizeof *s);
    s->options = *o;
    s->curl = curl_loop_new(o->loop);
    s->webhooks = xcalloc(o->config->webhook_count + 1, sizeof *s->webhooks);
    for (size_t i = o->worker; i < o->config->webhook_count; i += o->workers) {
        if (!open_webhook(s, &s->webhooks[s->count++], &o->config->webhooks[i], e)) {
            webhook_sender_free(s);
            return NULL;
        }
    }
    return s;
}

bool webhook_sender_idle(struct webhook_sender *s) {
    bool idle = true;
    for (size_t i = 0; i < s->count; i++) {
        struct webhook *w = &s->webhooks[i];
        on_ready(w); /* the mailbox may have news that it was not asked for yet */
        idle = idle && w->waiting == 0 && w->idle_count == w->count;
    }
    return idle;
}

void webhook_sender_free(struct webhook_sender *s) {
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->count; i++)
        close_webhook(&s->webhooks[i]);
    free(s->webhooks);
    curl_loop_free(s->curl);
    free(s);
}
