/*
 * durable: the topics whose items are on the disk: writing them, reading them back, letting go of
 * what is older than the retention. Runs within the journal's commits, but for durable_read.
 */
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "broker/stored_item.h"
#include "broker/topic.h"

#define DROP_ROWS   1000 /* in one turn of tidying, of one topic */
#define TIDY_TOPICS 32   /* in one turn */

struct durables {
    struct journal_client client; /* first: what the journal hands back is this */
    struct broker *broker;
    struct store *store;
    _Atomic int64_t last_id;
    struct topic *touched; /* of this commit, each with a reference; the writer's thread */
};

static bool flush(struct journal_client *c, struct database *db, struct error *e);
static void settled(struct journal_client *c, bool committed);
static bool tidy(struct journal_client *c, struct database *db, bool *more, struct error *e);

struct durables *durables_new(struct broker *b, struct store *store) {
    struct durables *d = xcalloc(1, sizeof *d);
    d->client = (struct journal_client){.flush = flush, .settled = settled, .tidy = tidy};
    d->broker = b;
    d->store = store;
    journal_add_client(store_journal(store), &d->client);
    return d;
}

void durables_free(struct durables *d) {
    free(d);
}

/* ---- a topic's place ---- */

static struct durable *make(struct topic *t, int64_t id, const char *cache,
                            const struct retention *retention) {
    struct durable *own = xcalloc(1, sizeof *own);
    own->id = id;
    own->cache = xstrdup(cache);
    own->retention = *retention;
    t->durable = own;
    return own;
}

bool durable_init(struct durables *d, struct topic *t, const char *cache,
                  const struct retention *retention, struct error *e) {
    int64_t id = atomic_fetch_add(&d->last_id, 1) + 1;
    if (id > TOPIC_ID_MAX)
        return error_set(e, ERROR_LIMIT, "no more topics can be made in this data directory");
    make(t, id, cache, retention)->written = t->next;
    durable_announce(d, t); /* so that its page is the same after a restart, published to or not */
    return true;
}

void durable_free(struct durable *own) {
    if (own == NULL)
        return;
    free(own->cache);
    free(own);
}

static void restore(void *context, const struct topic_row *row) {
    struct durables *d = context;
    struct retention retention;
    struct topic *t = broker_adopt(d->broker, row->cache, row->name, row->page, &retention);
    if (t == NULL)
        return;
    struct durable *own = make(t, row->id, row->cache, &retention);
    t->oldest = t->next = row->next;
    t->first = row->first;
    own->written = row->next;
    own->bytes = own->bytes_saved = row->bytes;
}

bool durables_restore(struct durables *d, struct error *e) {
    int64_t last;
    struct database *db = store_open_reader(d->store, e);
    if (db == NULL)
        return false;
    bool good = item_table_last_topic(db, &last, e) && item_table_each_topic(db, restore, d, e);
    database_close(db);
    if (good)
        atomic_store(&d->last_id, last);
    return good;
}

/* ---- writing ---- */

static void touch(struct durables *d, struct topic *t) {
    struct durable *own = t->durable;
    if (own->touched)
        return;
    own->touched = true;
    own->next_touched = d->touched;
    d->touched = topic_ref(t);
}

struct announcement {
    struct change change;
    struct durables *durables;
    struct topic *topic;
};

static bool is_gone(struct topic *t) {
    pthread_mutex_lock(&t->lock);
    bool gone = t->closed || t->deleted;
    pthread_mutex_unlock(&t->lock);
    return gone;
}

static bool apply_announcement(struct change *c, struct database *db, struct error *e) {
    struct announcement *a = (struct announcement *)c;
    (void)db, (void)e;
    if (!is_gone(a->topic))
        touch(a->durables, a->topic);
    return true;
}

static void free_announcement(struct change *c) {
    topic_unref(((struct announcement *)c)->topic);
    free(c);
}

void durable_announce(struct durables *d, struct topic *t) {
    struct announcement *a = xcalloc(1, sizeof *a);
    a->change = (struct change){.apply = apply_announcement, .destroy = free_announcement};
    a->durables = d;
    a->topic = topic_ref(t);
    struct transaction *transaction = transaction_new(NULL, NULL);
    transaction_add(transaction, &a->change, sizeof *a);
    journal_submit_lazily(store_journal(d->store), transaction, NULL);
}

bool durable_write(struct durables *d, struct topic *t, struct item *item, struct database *db,
                   struct error *e) {
    struct durable *own = t->durable;
    if (is_gone(t))
        return error_set(e, ERROR_NOT_FOUND, "the cache was deleted");
    if (own->written > ITEM_NUMBER_MAX)
        return error_set(e, ERROR_LIMIT, "the topic has as many items as it can ever have");
    item->page = t->page;
    item->number = own->written;
    item->timestamp_ms = clock_wall_ms();
    const struct item_row row = item_to_row(item);
    if (!item_table_add(db, own->id, &row, e))
        return false;
    own->written++;
    if (own->oldest_ms == INT64_MAX)
        own->oldest_ms = item->timestamp_ms;
    own->bytes += (int64_t)item->length;
    touch(d, t);
    return true;
}

static bool put_row(struct topic *t, struct database *db, struct error *e) {
    const struct durable *own = t->durable;
    pthread_mutex_lock(&t->lock);
    uint64_t first = t->first;
    pthread_mutex_unlock(&t->lock);
    const struct topic_row row = {
        .id = own->id,
        .cache = own->cache,
        .name = t->name,
        .page = t->page,
        .first = first,
        .next = own->written,
        .bytes = own->bytes,
    };
    return item_table_put_topic(db, &row, e);
}

static bool flush(struct journal_client *c, struct database *db, struct error *e) {
    struct durables *d = (struct durables *)c;
    for (struct topic *t = d->touched; t != NULL; t = t->durable->next_touched) {
        if (!is_gone(t) && !put_row(t, db, e))
            return false;
    }
    return true;
}

static void settled(struct journal_client *c, bool committed) {
    struct durables *d = (struct durables *)c;
    while (d->touched != NULL) {
        struct topic *t = d->touched;
        struct durable *own = t->durable;
        d->touched = own->next_touched;
        own->touched = false;
        if (committed) {
            own->bytes_saved = own->bytes;
        } else {
            own->bytes = own->bytes_saved;
            own->written = t->next; /* which only this thread changes */
            own->reaped = 0;        /* to be found again */
        }
        topic_unref(t);
    }
}

/* ---- reading ---- */

struct reading {
    const struct topic *topic;
    struct item **items;
    size_t room, count, bytes, max_bytes;
};

static bool take_row(void *context, const struct item_row *row) {
    struct reading *r = context;
    r->items[r->count++] = item_from_row(row, r->topic->page);
    r->bytes += row->length;
    return r->count < r->room && r->bytes < r->max_bytes;
}

bool durable_read(struct database *db, const struct topic *t, uint64_t from, uint64_t before,
                  struct item **items, size_t room, size_t max_bytes, size_t *count,
                  struct error *e) {
    struct reading r = {.topic = t, .items = items, .room = room, .max_bytes = max_bytes};
    bool good = item_table_read(db, t->durable->id, from, before, take_row, &r, e);
    *count = r.count;
    return good;
}

/* ---- retention ---- */

struct plan {
    struct durable *own;
    uint64_t first;
    uint64_t written;
    int64_t cutoff_ms; /* 0: none */
    int64_t excess;    /* bytes that are too many */
    int64_t freed;
    unsigned rows;
};

static bool plan_row(void *context, const struct item_row *row) {
    struct plan *p = context;
    p->own->oldest_ms = row->timestamp_ms;
    bool old = p->cutoff_ms != 0 && row->timestamp_ms < p->cutoff_ms;
    if ((!old && p->freed >= p->excess) || ++p->rows > DROP_ROWS)
        return false;
    p->first = row->number + 1;
    p->freed += (int64_t)row->length;
    p->own->oldest_ms = 0;
    return true;
}

/* How far subscribers are no longer given items. */
static bool raise_first(struct topic *t, struct database *db, struct error *e) {
    struct durable *own = t->durable;
    const struct retention *r = &own->retention;
    pthread_mutex_lock(&t->lock);
    struct plan p = {.own = own, .first = t->first, .written = own->written};
    pthread_mutex_unlock(&t->lock);
    if (r->items > 0 && p.written - p.first > r->items)
        p.first = p.written - r->items;
    p.cutoff_ms = r->age_ms > 0 ? clock_wall_ms() - r->age_ms : 0;
    /* What a webhook still holds counts, but dropping more for it would not help. */
    if (r->bytes > 0 && own->reaped >= p.first)
        p.excess = own->bytes - r->bytes;
    uint64_t before = p.first;
    if (!item_table_sizes(db, own->id, p.first, p.written, plan_row, &p, e))
        return false;
    if (p.first == before && own->oldest_ms == 0)
        own->oldest_ms = INT64_MAX; /* it is empty */
    pthread_mutex_lock(&t->lock);
    t->first = p.first > t->first ? p.first : t->first;
    pthread_mutex_unlock(&t->lock);
    return true;
}

struct sum {
    uint64_t before;
    int64_t bytes;
    unsigned rows;
};

static bool add_row(void *context, const struct item_row *row) {
    struct sum *s = context;
    if (++s->rows > DROP_ROWS) {
        s->before = row->number;
        return false;
    }
    s->bytes += (int64_t)row->length;
    return true;
}

/* Deletes what nobody is given or owed any more. */
static bool reap(struct topic *t, struct database *db, bool *more, struct error *e) {
    struct durable *own = t->durable;
    pthread_mutex_lock(&t->lock);
    uint64_t held = topic_held(t);
    struct sum s = {.before = t->first < held ? t->first : held};
    pthread_mutex_unlock(&t->lock);
    if (s.before <= own->reaped)
        return true;
    if (!item_table_sizes(db, own->id, own->reaped, s.before, add_row, &s, e) ||
        !item_table_drop(db, own->id, own->reaped, s.before, e))
        return false;
    *more = *more || s.rows > DROP_ROWS;
    own->bytes -= s.bytes;
    own->reaped = s.before;
    return true;
}

struct candidates {
    struct topic *list[TIDY_TOPICS];
    size_t count;
    int64_t now_ms;
};

static bool is_due(struct topic *t, int64_t now_ms) {
    struct durable *own = t->durable;
    const struct retention *r = &own->retention;
    pthread_mutex_lock(&t->lock);
    uint64_t first = t->first, held = topic_held(t);
    pthread_mutex_unlock(&t->lock);
    uint64_t before = first < held ? first : held;
    return before > own->reaped || (r->items > 0 && own->written - first > r->items) ||
           (r->bytes > 0 && own->bytes > r->bytes && own->reaped >= first) ||
           (r->age_ms > 0 && own->written > first && own->oldest_ms < now_ms - r->age_ms);
}

static bool choose(void *context, struct topic *t) {
    struct candidates *c = context;
    if (is_due(t, c->now_ms))
        c->list[c->count++] = topic_ref(t);
    return c->count < TIDY_TOPICS;
}

static bool tidy(struct journal_client *client, struct database *db, bool *more, struct error *e) {
    struct durables *d = (struct durables *)client;
    struct candidates c = {.now_ms = clock_wall_ms()};
    broker_each_durable(d->broker, choose, &c);
    bool good = true;
    for (size_t i = 0; i < c.count; i++) {
        struct topic *t = c.list[i];
        if (good && !is_gone(t)) {
            touch(d, t);
            good = raise_first(t, db, e) && reap(t, db, more, e);
        }
        topic_unref(t);
    }
    *more = *more || c.count == TIDY_TOPICS;
    return good && item_table_reap(db, more, e);
}
