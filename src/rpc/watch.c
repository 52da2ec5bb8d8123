#include "rpc/watch.h"

#include <stdlib.h>

#include <utlist.h>

#include "rpc/rpc_internal.h"

/* Items taken from the broker at once; it stops earlier when they are large. */
#define BATCH 128
/* Heartbeats are spread over the interval, so that many subscribers do not mean a long pause. */
#define SLOTS 10
/* A key that expired or was revoked ends its subscriptions within this. */
#define TEND_MS 1000

/* After the client's cut it comes again in half a second. */
#define HEAL_MS 2000
/* What was sent so shortly before the cut may not have been received. */
#define IN_FLIGHT_MS 250
#define HEAL_ENTRIES 1024

struct watch {
    struct watch *next, *prev;
    struct call *call;
    struct subscription *subscription;
    char *cache, *topic;
    struct resume start;
    unsigned slot;
    bool heartbeat_due;
    uint64_t heartbeat_ms;  /* when the last one was due */
    uint64_t first_item_ms; /* when the first item was sent; 0: none was */
    struct grpc_frame *after_gap;
};

/* A subscription that its client cancelled before it had anything. */
struct heal {
    struct heal *next, *prev;
    char *cache, *topic;
    struct resume start;
    uint64_t when_ms;
};

struct heal_list {
    struct heal *list; /* oldest first */
    unsigned count;
};

/* ---- healing ---- */

static void heal_drop(struct heal_list *h, struct heal *entry) {
    DL_DELETE(h->list, entry);
    h->count--;
    free(entry->cache);
    free(entry->topic);
    free(entry);
}

void heal_list_free(struct heal_list *h) {
    if (h == NULL)
        return;
    while (h->list != NULL)
        heal_drop(h, h->list);
    free(h);
}

static void heal_expire(struct heal_list *h, uint64_t now_ms) {
    while (h->list != NULL && (now_ms - h->list->when_ms > HEAL_MS || h->count > HEAL_ENTRIES))
        heal_drop(h, h->list);
}

static void heal_remember(struct heal_list **at, struct watch *w, uint64_t now_ms) {
    if (*at == NULL)
        *at = xcalloc(1, sizeof **at);
    struct heal *entry = xcalloc(1, sizeof *entry);
    entry->cache = w->cache;
    entry->topic = w->topic;
    w->cache = w->topic = NULL;
    entry->start = w->start;
    entry->when_ms = now_ms;
    DL_APPEND((*at)->list, entry);
    (*at)->count++;
    heal_expire(*at, now_ms);
}

/* Where a subscription that says nothing goes on, if it is one that was cut. */
static void heal_find(struct heal_list *h, const char *cache, const char *topic, uint64_t now_ms,
                      struct resume *resume) {
    struct heal *entry;
    if (h == NULL)
        return;
    heal_expire(h, now_ms);
    DL_FOREACH(h->list, entry) {
        if (strcmp(entry->topic, topic) == 0 && strcmp(entry->cache, cache) == 0) {
            *resume = entry->start;
            heal_drop(h, entry);
            return;
        }
    }
}

/* ---- one subscription ---- */

static void on_ready(void *context) {
    struct watch *w = context;
    static const struct error deleted = {ERROR_NOT_FOUND, "the cache was deleted"};
    if (subscription_ended(w->subscription))
        call_fail(w->call, &deleted);
    else
        w->call->transport->wake(w->call);
}

/* Where a subscription begins that does not say so. */
static void choose_start(struct call *c, const char *cache, const char *topic,
                         struct resume *resume) {
    const struct ingress_shared *shared = c->rpc->shared;
    struct resume tip;
    if (!c->has_timeout && c->cancelled != NULL)
        heal_find(*c->cancelled, cache, topic, uv_now(c->rpc->loop), resume);
    if (resume->number == 0 && shared->config->replay_newest &&
        broker_topic_position(shared->broker, cache, topic, &tip, NULL) && tip.number > 1)
        *resume = (struct resume){.page = tip.page, .number = tip.number - 1};
}

bool watch_open(struct call *c, const char *cache, const char *topic, struct resume resume,
                struct error *e) {
    struct rpc *r = c->rpc;
    struct watch *w = xcalloc(1, sizeof *w);
    if (resume.number == 0 && resume.page == 0)
        choose_start(c, cache, topic, &resume);
    w->subscription = subscription_open(r->mailbox, cache, topic, resume, on_ready, w, e);
    if (w->subscription == NULL) {
        free(w);
        return false;
    }
    w->call = c;
    w->cache = xstrdup(cache);
    w->topic = xstrdup(topic);
    w->start = subscription_position(w->subscription);
    w->slot = (r->watches.slot + SLOTS - 1) % SLOTS; /* the next is due in a whole interval */
    w->heartbeat_due = true;
    w->heartbeat_ms = uv_now(r->loop);
    DL_APPEND(r->watches.list, w);
    metric_add(r->watches.open, 1);
    c->watch = w;
    log_debug("subscribed", LOG_STR("cache", cache), LOG_STR("topic", topic),
              LOG_STR("request", c->id));
    c->transport->start(c);
    c->transport->wake(c);
    return true;
}

void watch_close(struct watch *w, bool cancelled) {
    struct rpc *r = w->call->rpc;
    uint64_t now = uv_now(r->loop);
    bool received = w->first_item_ms != 0 && now - w->first_item_ms > IN_FLIGHT_MS;
    if (cancelled && !received && w->call->cancelled != NULL)
        heal_remember(w->call->cancelled, w, now);
    subscription_close(w->subscription);
    DL_DELETE(r->watches.list, w);
    metric_add(r->watches.open, -1);
    grpc_frame_unref(w->after_gap);
    free(w->cache);
    free(w->topic);
    free(w);
}

static void drop_batch(struct watches *all) {
    item_unref(all->batch_first);
    grpc_frame_unref(all->batch);
    all->batch_first = NULL;
    all->batch = NULL;
}

static struct grpc_frame *batch_frame(struct watches *all, struct item **items, size_t count) {
    if (all->batch_first != items[0] || all->batch_count != count) {
        drop_batch(all);
        all->batch_first = item_ref(items[0]);
        all->batch_count = count;
        all->batch = grpc_frame_items(items, count);
    }
    return grpc_frame_ref(all->batch);
}

struct grpc_frame *watch_next(struct watch *w) {
    struct rpc *r = w->call->rpc;
    struct item *items[BATCH];
    struct discontinuity d;
    bool gap;
    if (w->heartbeat_due) {
        w->heartbeat_due = false;
        return grpc_frame_ref(r->watches.heartbeat);
    }
    struct grpc_frame *frame = w->after_gap;
    w->after_gap = NULL;
    if (frame != NULL)
        return frame;
    size_t count = subscription_read(w->subscription, items, BATCH, &gap, &d);
    if (count == 0)
        return NULL;
    if (w->first_item_ms == 0)
        w->first_item_ms = uv_now(r->loop);
    frame = batch_frame(&r->watches, items, count);
    log_debug("sent to a subscriber", LOG_INT("items", count),
              LOG_STR("request", items[count - 1]->request_id));
    for (size_t i = 0; i < count; i++)
        item_unref(items[i]);
    if (gap) {
        w->after_gap = frame;
        frame = grpc_frame_gap(&d);
    }
    return frame;
}

/* ---- all of them ---- */

static void tend(struct watch *w, uint64_t now) {
    const struct ingress_shared *shared = w->call->rpc->shared;
    struct error e;
    if (w->call->ended)
        return;
    if (!access_still_valid(shared->access, w->call->identity, &e)) {
        call_fail(w->call, &e);
        return;
    }
    uint64_t every = (uint64_t)shared->config->limits.grpc_heartbeat_ms;
    /* The timer's grain must not turn a second into a longer one. */
    if (now - w->heartbeat_ms + every / SLOTS / 2 < every)
        return;
    w->heartbeat_ms = now;
    w->heartbeat_due = true;
    w->call->transport->wake(w->call);
}

static void on_timer(uv_timer_t *timer) {
    struct watches *all = timer->data;
    struct watch *w, *next;
    uint64_t now = uv_now(all->rpc->loop);
    DL_FOREACH_SAFE(all->list, w, next) {
        if (w->slot == all->slot)
            tend(w, now);
    }
    all->slot = (all->slot + 1) % SLOTS;
    drop_batch(all); /* nothing large is kept for topics that fell silent */
}

void watches_init(struct watches *w, struct rpc *r) {
    uint64_t every = (uint64_t)r->shared->config->limits.grpc_heartbeat_ms;
    every = every < TEND_MS ? every : TEND_MS;
    every = every > SLOTS ? every / SLOTS : 1;
    w->rpc = r;
    w->heartbeat = grpc_frame_heartbeat();
    w->open = metrics_gauge(r->shared->metrics, "hookmoon_grpc_subscribers",
                            "Subscribers over gRPC and gRPC-web that are connected.", "");
    uv_timer_init(r->loop, &w->timer);
    w->timer.data = w;
    uv_timer_start(&w->timer, on_timer, every, every);
}

void watches_release(struct watches *w) {
    struct watch *at, *next;
    DL_FOREACH_SAFE(w->list, at, next)
    call_finish(at->call);
}

static void on_closed(uv_handle_t *handle) {
    struct watches *w = handle->data;
    free(w->rpc);
}

void watches_close(struct watches *w) {
    drop_batch(w);
    grpc_frame_unref(w->heartbeat);
    uv_close((uv_handle_t *)&w->timer, on_closed);
}
