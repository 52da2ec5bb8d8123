#include "store/journal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include <utlist.h>

#include "store/schema.h"

#define BATCH_BYTES      (16 * 1024 * 1024)
#define BATCH_COUNT      4096
#define LAZY_MS          100
#define TIDY_MS          1000
#define REOPEN_NS        1000000000u
#define CHECKPOINT_PAGES 2000
#define TRANSACTION_COST 256 /* of the structs of a transaction, about */

struct transaction {
    struct transaction *next;
    struct change *first, *last;
    transaction_done *done;
    void *context;
    struct commit_port *port;
    size_t bytes;
    bool durable;
    bool failed;
    struct error error;
};

struct commit_port {
    void (*wake)(void *);
    void *context;
    /* Owner's thread: */
    size_t pending;
    struct transaction *outgoing, *last_outgoing;
    size_t outgoing_bytes;

    pthread_mutex_t lock; /* guards `ended` */
    struct transaction *ended, *last_ended;
};

struct journal {
    struct database *db; /* writer's */
    char *path;
    size_t queue_bytes;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* guards all up to the next blank line */
    pthread_cond_t news;
    struct transaction *queue, *last;
    _Atomic size_t bytes; /* queued and being written; read without the lock */
    bool urgent, stopping;
    bool refusing;
    struct error refusal;
    struct journal_figures figures;
    struct error failure;

    struct journal_client *clients;
    int wal_pages;
    uint64_t reopened_ns, tidied_ns;
    bool tidy_more;
};

/* ---- transactions ---- */

struct transaction *transaction_new(transaction_done *done, void *context) {
    struct transaction *t = xcalloc(1, sizeof *t);
    t->done = done;
    t->context = context;
    t->bytes = TRANSACTION_COST;
    return t;
}

void transaction_add(struct transaction *t, struct change *c, size_t bytes) {
    c->next = NULL;
    if (t->last != NULL)
        t->last->next = c;
    else
        t->first = c;
    t->last = c;
    t->bytes += bytes;
    t->durable = t->durable || c->apply != NULL;
}

bool transaction_is_durable(const struct transaction *t) {
    return t->durable;
}

void transaction_free(struct transaction *t) {
    for (struct change *c = t->first, *next; c != NULL; c = next) {
        next = c->next;
        c->destroy(c);
    }
    free(t);
}

/* A statement to run. */
struct statement {
    struct change change;
    const char *sql;
    int64_t *id;
    size_t count;
    struct value values[VALUES_MAX];
};

static bool apply_statement(struct change *c, struct database *db, struct error *e) {
    const struct statement *s = (const struct statement *)c;
    if (!database_run_values(db, e, s->sql, s->values, s->count))
        return false;
    if (s->id != NULL)
        *s->id = database_inserted(db);
    return true;
}

static void free_statement(struct change *c) {
    struct statement *s = (struct statement *)c;
    for (size_t i = 0; i < s->count; i++)
        free((void *)(uintptr_t)s->values[i].bytes);
    free(s);
}

void transaction_run(struct transaction *t, int64_t *id, const char *sql, const char *format, ...) {
    struct statement *s = xcalloc(1, sizeof *s);
    size_t bytes = sizeof *s;
    va_list args;
    va_start(args, format);
    s->count = database_values(s->values, format, args);
    va_end(args);
    for (size_t i = 0; i < s->count; i++) {
        struct value *v = &s->values[i];
        if (v->bytes != NULL)
            v->bytes = xstrndup(v->bytes, v->length);
        bytes += v->length;
    }
    s->change = (struct change){.apply = apply_statement, .destroy = free_statement};
    s->sql = sql;
    s->id = id;
    transaction_add(t, &s->change, bytes);
}

static void make_visible(struct transaction *t) {
    for (struct change *c = t->first; c != NULL; c = c->next) {
        if (c->committed != NULL)
            c->committed(c);
    }
}

static void finish(struct transaction *t) {
    if (t->done != NULL)
        t->done(t->context, t->failed ? &t->error : NULL);
    transaction_free(t);
}

/* ---- ports ---- */

struct commit_port *commit_port_new(void (*wake)(void *), void *context) {
    struct commit_port *p = xcalloc(1, sizeof *p);
    p->wake = wake;
    p->context = context;
    pthread_mutex_init(&p->lock, NULL);
    return p;
}

void commit_port_free(struct commit_port *p) {
    if (p == NULL)
        return;
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void commit_port_dispatch(struct commit_port *p) {
    pthread_mutex_lock(&p->lock);
    struct transaction *list = p->ended;
    p->ended = p->last_ended = NULL;
    pthread_mutex_unlock(&p->lock);
    while (list != NULL) {
        struct transaction *t = list;
        list = t->next;
        p->pending--;
        finish(t);
    }
}

size_t commit_port_pending(const struct commit_port *p) {
    return p->pending;
}

static void hand_over(struct transaction *t) {
    struct commit_port *p = t->port;
    if (p == NULL) {
        finish(t);
        return;
    }
    t->next = NULL;
    pthread_mutex_lock(&p->lock);
    bool was_empty = p->ended == NULL;
    if (was_empty)
        p->ended = t;
    else
        p->last_ended->next = t;
    p->last_ended = t;
    /* Under the lock: once its last transaction was dispatched, the port may be freed. */
    if (was_empty)
        p->wake(p->context);
    pthread_mutex_unlock(&p->lock);
}

/* ---- submitting ---- */

/* The bound may be passed by one transaction of each thread: else one that is larger never would be
 * taken. `waiting` is what the thread has not handed over yet. */
static bool has_room(struct journal *j, size_t waiting, struct error *e) {
    size_t queued = atomic_load_explicit(&j->bytes, memory_order_relaxed);
    return queued + waiting < j->queue_bytes ||
           error_set(e, ERROR_STORAGE,
                     "the disk does not keep up: as much waits to be written as may");
}

/* Appends a list to the queue. */
static void enqueue(struct journal *j, struct transaction *first, struct transaction *last,
                    size_t bytes, bool urgent) {
    pthread_mutex_lock(&j->lock);
    if (j->queue == NULL)
        j->queue = first;
    else
        j->last->next = first;
    j->last = last;
    j->bytes += bytes;
    bool wake = urgent && !j->urgent;
    j->urgent = j->urgent || urgent;
    pthread_mutex_unlock(&j->lock);
    if (wake)
        pthread_cond_signal(&j->news);
}

/* True when it is over already: there is nothing to write, or no room for it. */
static bool ends_at_once(struct journal *j, size_t waiting, struct transaction *t, bool *good,
                         struct error *e) {
    *good = true;
    if (!t->durable) {
        make_visible(t);
        finish(t);
        return true;
    }
    if (has_room(j, waiting, e))
        return false;
    transaction_free(t);
    *good = false;
    return true;
}

bool journal_submit(struct journal *j, struct commit_port *port, struct transaction *t,
                    struct error *e) {
    bool good;
    size_t waiting = port != NULL ? port->outgoing_bytes : 0;
    if (ends_at_once(j, waiting, t, &good, e))
        return good;
    t->port = port;
    t->next = NULL;
    if (port == NULL) {
        enqueue(j, t, t, t->bytes, true);
        return true;
    }
    if (port->outgoing == NULL)
        port->outgoing = t;
    else
        port->last_outgoing->next = t;
    port->last_outgoing = t;
    port->outgoing_bytes += t->bytes;
    port->pending++;
    return true;
}

bool journal_submit_lazily(struct journal *j, struct transaction *t, struct error *e) {
    bool good;
    if (ends_at_once(j, 0, t, &good, e))
        return good;
    t->next = NULL;
    enqueue(j, t, t, t->bytes, false);
    return true;
}

void commit_port_flush(struct commit_port *p, struct journal *j) {
    if (p->outgoing == NULL)
        return;
    enqueue(j, p->outgoing, p->last_outgoing, p->outgoing_bytes, true);
    p->outgoing = p->last_outgoing = NULL;
    p->outgoing_bytes = 0;
}

struct waiting {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool over, good;
    struct error error;
};

static void on_awaited(void *context, const struct error *e) {
    struct waiting *w = context;
    pthread_mutex_lock(&w->lock);
    w->over = true;
    w->good = e == NULL;
    if (e != NULL)
        w->error = *e;
    pthread_cond_signal(&w->ended);
    pthread_mutex_unlock(&w->lock);
}

bool journal_submit_and_wait(struct journal *j, struct transaction *t, struct error *e) {
    struct waiting w = {.lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};
    t->done = on_awaited;
    t->context = &w;
    if (!journal_submit(j, NULL, t, e))
        return false;
    pthread_mutex_lock(&w.lock);
    while (!w.over)
        pthread_cond_wait(&w.ended, &w.lock);
    pthread_mutex_unlock(&w.lock);
    if (!w.good && e != NULL)
        *e = w.error;
    return w.good;
}

/* ---- the writer ---- */

static void revert(struct transaction *first, const struct transaction *end) {
    for (struct transaction *t = first; t != end; t = t->next) {
        for (struct change *c = t->first; c != NULL; c = c->next) {
            if (c->reverted != NULL)
                c->reverted(c);
        }
    }
}

static void settle(struct journal *j, bool committed) {
    for (struct journal_client *c = j->clients; c != NULL; c = c->next) {
        if (c->settled != NULL)
            c->settled(c, committed);
    }
}

static bool apply_all(struct transaction *t, struct database *db, struct error *e) {
    for (struct change *c = t->first; c != NULL; c = c->next) {
        if (c->apply != NULL && !c->apply(c, db, e))
            return false;
    }
    return true;
}

static bool flush(struct journal *j, struct error *e) {
    for (struct journal_client *c = j->clients; c != NULL; c = c->next) {
        if (c->flush != NULL && !c->flush(c, j->db, e))
            return false;
    }
    return true;
}

static void roll_back(struct journal *j) {
    if (!sqlite3_get_autocommit(database_handle(j->db)))
        database_run(j->db, NULL, "ROLLBACK", "");
}

static int on_wal(void *context, sqlite3 *db, const char *name, int pages) {
    (void)db, (void)name;
    ((struct journal *)context)->wal_pages = pages;
    return SQLITE_OK;
}

static void set_hooks(struct journal *j) {
    /* Checkpoints come after the answers: nobody waits for them who has been served. */
    sqlite3_wal_hook(database_handle(j->db), on_wal, j);
}

/* A file that failed may need to be opened anew: it was replaced, or its device came back. */
static void reopen(struct journal *j) {
    struct error e;
    uint64_t now = clock_mono_ns();
    if (now - j->reopened_ns < REOPEN_NS)
        return;
    j->reopened_ns = now;
    struct database *fresh = database_open(j->path, DATABASE_WRITE, &e);
    if (fresh != NULL && schema_prepare(fresh, &e)) {
        database_close(j->db);
        j->db = fresh;
        set_hooks(j);
    } else {
        database_close(fresh);
    }
}

static bool may_write(struct journal *j, struct error *e) {
    pthread_mutex_lock(&j->lock);
    bool refusing = j->refusing;
    if (refusing)
        *e = j->refusal;
    pthread_mutex_unlock(&j->lock);
    return !refusing;
}

/*
 * Applies and commits those that have not failed. One that is refused by itself is marked, and all
 * begins anew without it; true when there is something to begin anew with.
 */
static bool try_batch(struct journal *j, struct transaction *batch, bool *committed,
                      struct error *e) {
    struct transaction *t;
    *committed = false;
    if (!may_write(j, e) || !database_run(j->db, e, "BEGIN IMMEDIATE", ""))
        return false;
    for (t = batch; t != NULL; t = t->next) {
        if (t->failed || apply_all(t, j->db, e))
            continue;
        roll_back(j);
        revert(batch, t->next);
        settle(j, false);
        if (e->code == ERROR_STORAGE)
            return false;
        t->failed = true;
        t->error = *e;
        return true;
    }
    if (flush(j, e) && database_run(j->db, e, "COMMIT", "")) {
        *committed = true;
        settle(j, true);
        return false;
    }
    roll_back(j);
    revert(batch, NULL);
    settle(j, false);
    return false;
}

static void note_result(struct journal *j, bool good, uint64_t transactions,
                        const struct error *e) {
    pthread_mutex_lock(&j->lock);
    bool was_failing = j->figures.failing;
    j->figures.failing = !good;
    if (good) {
        j->figures.commits++;
        j->figures.transactions += transactions;
    } else {
        j->figures.failures++;
        j->failure = *e;
    }
    pthread_mutex_unlock(&j->lock);
    if (!good && !was_failing)
        log_error("the disk takes no writes: publishing to disk caches is refused until it does",
                  LOG_STR("error", e->message));
    else if (good && was_failing)
        log_info("the disk takes writes again");
}

static void write_batch(struct journal *j, struct transaction *batch) {
    struct error e = {0};
    bool committed;
    uint64_t count = 0;
    size_t bytes = 0;
    while (try_batch(j, batch, &committed, &e))
        continue;
    bool broken = !committed && database_is_broken(j->db);
    for (struct transaction *t = batch; t != NULL; t = t->next) {
        count++;
        bytes += t->bytes;
        if (!committed && !t->failed) {
            t->failed = true;
            t->error = e;
        }
        if (!t->failed)
            make_visible(t);
    }
    note_result(j, committed, count, &e);
    for (struct transaction *t = batch, *next; t != NULL; t = next) {
        next = t->next;
        hand_over(t);
    }
    pthread_mutex_lock(&j->lock);
    j->bytes -= bytes;
    pthread_mutex_unlock(&j->lock);
    if (broken)
        reopen(j);
}

static void tidy(struct journal *j) {
    struct error e = {0};
    j->tidied_ns = clock_mono_ns();
    j->tidy_more = false;
    if (!may_write(j, &e) || !database_run(j->db, &e, "BEGIN IMMEDIATE", ""))
        return;
    bool good = true;
    for (struct journal_client *c = j->clients; good && c != NULL; c = c->next) {
        if (c->tidy != NULL)
            good = c->tidy(c, j->db, &j->tidy_more, &e);
    }
    good = good && flush(j, &e) && database_run(j->db, &e, "COMMIT", "");
    if (!good) {
        roll_back(j);
        j->tidy_more = false;
        if (database_is_broken(j->db))
            reopen(j);
    }
    settle(j, good);
}

static void checkpoint(struct journal *j) {
    int left = 0, done = 0;
    if (j->wal_pages < CHECKPOINT_PAGES)
        return;
    j->wal_pages = 0;
    sqlite3_wal_checkpoint_v2(database_handle(j->db), NULL, SQLITE_CHECKPOINT_PASSIVE, &left,
                              &done);
}

/* The lock is held. */
static void await_news(struct journal *j) {
    struct timespec until;
    long ms = j->tidy_more ? 1 : j->queue != NULL ? LAZY_MS : TIDY_MS;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (ms % 1000) * 1000000;
    until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (!j->urgent && !j->stopping) {
        if (pthread_cond_timedwait(&j->news, &j->lock, &until) != 0)
            break;
    }
}

/* The lock is held. What goes into one commit; the rest stays. */
static struct transaction *take_batch(struct journal *j) {
    struct transaction *batch = j->queue, *t = batch;
    size_t bytes = 0, count = 0;
    if (batch == NULL) {
        j->urgent = false;
        return NULL;
    }
    while ((bytes += t->bytes) < BATCH_BYTES && ++count < BATCH_COUNT && t->next != NULL)
        t = t->next;
    j->queue = t->next;
    t->next = NULL;
    if (j->queue == NULL)
        j->urgent = false;
    return batch;
}

static void *run(void *context) {
    struct journal *j = context;
    bool stopping;
    do {
        pthread_mutex_lock(&j->lock);
        if (j->queue == NULL || !j->urgent)
            await_news(j);
        struct transaction *batch = take_batch(j);
        stopping = j->stopping && batch == NULL;
        pthread_mutex_unlock(&j->lock);
        if (batch != NULL)
            write_batch(j, batch);
        uint64_t since = clock_mono_ns() - j->tidied_ns;
        if (!stopping && (since > TIDY_MS * 1000000ull || (j->tidy_more && batch == NULL)))
            tidy(j);
        checkpoint(j);
    } while (!stopping);
    return NULL;
}

/* ---- life ---- */

struct journal *journal_new(struct database *db, size_t queue_bytes) {
    struct journal *j = xcalloc(1, sizeof *j);
    pthread_condattr_t attributes;
    j->db = db;
    j->path = xstrdup(database_path(db));
    j->queue_bytes = queue_bytes;
    pthread_mutex_init(&j->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&j->news, &attributes);
    pthread_condattr_destroy(&attributes);
    set_hooks(j);
    return j;
}

void journal_add_client(struct journal *j, struct journal_client *c) {
    c->next = j->clients;
    j->clients = c;
}

void journal_set_queue(struct journal *j, size_t bytes) {
    j->queue_bytes = bytes;
}

bool journal_start(struct journal *j, struct error *e) {
    j->tidied_ns = clock_mono_ns();
    int failed = pthread_create(&j->thread, NULL, run, j);
    if (failed != 0)
        return error_set(e, ERROR_INTERNAL, "cannot start a thread: %s", strerror(failed));
    j->started = true;
    return true;
}

void journal_refuse(struct journal *j, const struct error *why) {
    pthread_mutex_lock(&j->lock);
    j->refusing = true;
    j->refusal = *why;
    pthread_mutex_unlock(&j->lock);
}

void journal_get_figures(struct journal *j, struct journal_figures *f) {
    pthread_mutex_lock(&j->lock);
    *f = j->figures;
    f->queued_bytes = j->bytes;
    pthread_mutex_unlock(&j->lock);
}

bool journal_is_failing(struct journal *j, struct error *why) {
    pthread_mutex_lock(&j->lock);
    bool failing = j->figures.failing;
    if (failing && why != NULL)
        *why = j->failure;
    pthread_mutex_unlock(&j->lock);
    return failing;
}

void journal_free(struct journal *j) {
    if (j == NULL)
        return;
    if (j->started) {
        pthread_mutex_lock(&j->lock);
        j->stopping = true;
        pthread_cond_signal(&j->news);
        pthread_mutex_unlock(&j->lock);
        pthread_join(j->thread, NULL);
    }
    for (struct transaction *t = j->queue, *next; t != NULL; t = next) { /* it never started */
        next = t->next;
        transaction_free(t);
    }
    database_close(j->db);
    pthread_mutex_destroy(&j->lock);
    pthread_cond_destroy(&j->news);
    free(j->path);
    free(j);
}
