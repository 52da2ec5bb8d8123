#include "egress/webhook.h"

#include <stdlib.h>

#include "egress/webhook_internal.h"

#define TICK_MS    100
#define RECOUNT_NS 10000000000u

/* ---- closing ---- */

/* Counts what a webhook without a place on the disk leaves behind. */
static void count_left(struct webhook *w) {
    struct item *items[WEBHOOK_BATCH];
    size_t left = w->waiting + w->busy, count;
    while (w->subscription != NULL && (count = webhook_read_topic(w, items, WEBHOOK_BATCH)) > 0) {
        left += count;
        while (count > 0)
            item_unref(items[--count]);
    }
    metric_add(w->figures->dropped, (int64_t)left);
    if (w->losses.since > 0)
        webhook_log_losses(w, webhook_too_slow);
    w->losses.since = left;
    if (left > 0)
        webhook_log_losses(w, "the gateway stops");
}

void webhook_free(struct webhook *w) {
    subscription_close(w->subscription);
    for (size_t i = 0; i < w->count; i++) {
        delivery_free(w->attempts[i].delivery);
        if (w->attempts[i].item != NULL)
            item_unref(w->attempts[i].item);
    }
    while (w->waiting > 0)
        item_unref(webhook_dequeue(w));
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
        webhook_free(w);
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

/* ---- opening ---- */

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

/* The URL without user, password and query, for the log. */
static char *public_url(const char *url) {
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

static void set_target(struct webhook *w, struct webhook_entry *entry) {
    struct webhook_sender *s = w->sender;
    bool trusted = entry->configured || entry->own_hook != NULL;
    webhook_entry_ref(entry);
    webhook_entry_unref(w->target.webhook);
    w->target.webhook = entry;
    w->target.network = trusted ? &s->trusted : &s->guarded;
    free(w->place);
    w->place = public_url(entry->url);
}

static void on_ready(void *context) {
    struct webhook *w = context;
    if (!subscription_is_durable(w->subscription))
        webhook_fill(w);
    webhook_pump(w);
}

static bool set_up(struct webhook *w, struct webhook_entry *entry, const char *topic,
                   struct error *e) {
    struct webhook_sender *s = w->sender;
    struct resume from = entry->start;
    w->opened_with = entry->policy;
    w->delivery = entry->delivery;
    w->topic = xstrdup(topic);
    w->figures = webhook_find_figures(s, entry);
    w->next_due_ms = NEVER;
    set_target(w, entry);
    w->target.topic = w->topic;
    w->target.signer = signer_new(entry->secret, e);
    w->target.timeout_ms = s->options.config->limits.webhook_timeout_ms;
    w->target.ended = webhook_on_ended;
    w->target.context = w;
    if (w->target.signer == NULL || !start_deliveries(w, e))
        return false;
    if (strcmp(topic, entry->topic) != 0 &&
        !mailbox_topic_position(s->options.mailbox, entry->cache, topic, &from, e))
        return false;
    if (!entry->policy.once && s->options.persistent && !webhook_restore(w, &from, e))
        return false;
    w->subscription =
        subscription_open(s->options.mailbox, entry->cache, topic, from, on_ready, w, e);
    if (w->subscription == NULL)
        return false;
    if (w->persistent)
        webhook_hold(w);
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
    webhook_pump(w);
}

static void enable(struct webhook *w) {
    w->disabled = false;
    w->failing_since_ms = 0;
    webhook_recount(w);
    metric_set(w->figures->disabled, 0);
    breaker_succeeded(&w->breaker);
    webhook_hold(w);
    webhook_pump(w);
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
    const struct webhook_policy *a = &w->opened_with, *b = &entry->policy;
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
    if (w != NULL && is_other_kind(w, entry)) {
        close_webhook(w);
        w = NULL;
    }
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

/* ---- the tick ---- */

/* It was replaced, and has sent everything. */
static bool is_spent(const struct webhook *w) {
    return w->retired && w->waiting == 0 && w->busy == 0 && w->retries == 0 &&
           webhook_left(w, 1) == 0;
}

static void report(struct webhook *w) {
    if (w->retired)
        return;
    uint64_t tip = subscription_tip(w->subscription), settled = webhook_settled_number(w);
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
                attempt_save(&w->attempts[i]);
        }
        if (is_spent(w)) {
            end_retired(w);
            continue;
        }
        if (w->persistent && w->saving == 0 && clock_mono_ns() - w->recounted_ns > RECOUNT_NS)
            webhook_recount(w);
        webhook_pump(w);
        webhook_save_row(w);
        report(w);
    }
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
        webhook_save_row(w);
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
