/*
 * mailbox and subscription: the subscriber's side of the broker.
 */
#include <pthread.h>
#include <stdlib.h>

#include <utlist.h>

#include "broker/topic.h"

/* One read stops past this, so that what a slow subscriber holds stays small. */
#define READ_BYTES (256 * 1024)

struct mailbox {
    struct broker *broker;
    void (*wake)(void *);
    void *context;
    pthread_mutex_t lock; /* guards ready and the ready links of its ports */
    struct port *ready;
    struct commit_port *commits;
    struct database *reader;      /* opened when something is first read from the disk */
    struct subscription *stalled; /* could not be read from the disk */
};

struct subscription {
    struct port *port;
    struct subscription *next, *prev;
    void (*on_ready)(void *);
    void *context;
    uint64_t cursor; /* the number to be read next */
    bool gap;        /* a discontinuity is to be told before the next item */
    uint64_t gap_last;
    bool holding; /* `hold` is in the topic's list */
    struct hold hold;
    bool is_stalled;
    struct subscription *next_stalled, *prev_stalled;
};

struct mailbox *mailbox_new(struct broker *b, void (*wake)(void *), void *context) {
    struct mailbox *m = xcalloc(1, sizeof *m);
    m->broker = b;
    m->wake = wake;
    m->context = context;
    pthread_mutex_init(&m->lock, NULL);
    m->commits = commit_port_new(wake, context);
    return m;
}

void mailbox_free(struct mailbox *m) {
    if (m == NULL)
        return;
    commit_port_free(m->commits);
    database_close(m->reader);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

struct broker *mailbox_broker(const struct mailbox *m) {
    return m->broker;
}

bool mailbox_topic_position(struct mailbox *m, const char *cache, const char *topic,
                            struct resume *position, struct error *e) {
    return broker_topic_position(m->broker, cache, topic, position, e);
}

bool mailbox_submit(struct mailbox *m, struct transaction *t, struct error *e) {
    struct store *store = broker_store(m->broker);
    return journal_submit(store != NULL ? store_journal(store) : NULL, m->commits, t, e);
}

void mailbox_flush(struct mailbox *m) {
    struct store *store = broker_store(m->broker);
    if (store != NULL)
        commit_port_flush(m->commits, store_journal(store));
}

size_t mailbox_pending(const struct mailbox *m) {
    return commit_port_pending(m->commits);
}

struct database *mailbox_reader(struct mailbox *m, struct error *e) {
    struct store *store = broker_store(m->broker);
    if (m->reader == NULL && store != NULL)
        m->reader = store_open_reader(store, e);
    else if (store == NULL)
        error_set(e, ERROR_PRECONDITION, "nothing is stored here");
    return m->reader;
}

void port_mark_ready(struct port *p) {
    struct mailbox *m = p->mailbox;
    pthread_mutex_lock(&m->lock);
    bool was_empty = m->ready == NULL;
    if (!p->ready) {
        p->ready = true;
        DL_APPEND2(m->ready, p, ready_previous, ready_next);
    }
    pthread_mutex_unlock(&m->lock);
    if (was_empty)
        m->wake(m->context);
}

static struct port *take_ready(struct mailbox *m) {
    pthread_mutex_lock(&m->lock);
    struct port *p = m->ready;
    if (p != NULL) {
        DL_DELETE2(m->ready, p, ready_previous, ready_next);
        p->ready = false;
    }
    pthread_mutex_unlock(&m->lock);
    return p;
}

static void port_free_if_unused(struct port *p) {
    if (p->subscriptions != NULL || p->dispatching)
        return;
    struct topic *t = p->topic;
    pthread_mutex_lock(&t->lock);
    for (struct port **at = &t->ports; *at != NULL; at = &(*at)->next_of_topic) {
        if (*at == p) {
            *at = p->next_of_topic;
            break;
        }
    }
    pthread_mutex_unlock(&t->lock);
    /* No publisher can reach it any more, so nobody marks it ready again. */
    pthread_mutex_lock(&p->mailbox->lock);
    if (p->ready)
        DL_DELETE2(p->mailbox->ready, p, ready_previous, ready_next);
    pthread_mutex_unlock(&p->mailbox->lock);
    topic_unref(t);
    free(p);
}

void mailbox_dispatch(struct mailbox *m) {
    commit_port_dispatch(m->commits);
    /* A port that is marked again meanwhile goes to the end, so each has its turn; the bound lets
     * the loop serve its sockets between rounds, and the wake below brings us back. */
    for (int turns = 0; turns < 256; turns++) {
        struct port *p = take_ready(m);
        if (p == NULL)
            return;
        p->dispatching = true;
        p->visiting = p->subscriptions;
        while (p->visiting != NULL) {
            struct subscription *s = p->visiting;
            p->visiting = s->next; /* subscription_close moves it on when it closes that one */
            s->on_ready(s->context);
        }
        p->dispatching = false;
        port_free_if_unused(p);
    }
    m->wake(m->context);
}

static struct port *port_open(struct mailbox *m, struct topic *t) {
    struct port *p = t->ports;
    while (p != NULL && p->mailbox != m)
        p = p->next_of_topic;
    if (p == NULL) {
        p = xcalloc(1, sizeof *p);
        p->topic = topic_ref(t);
        p->mailbox = m;
        p->next_of_topic = t->ports;
        t->ports = p;
    }
    return p;
}

/* The oldest number to be had; the topic's lock is held. */
static uint64_t readable_from(const struct subscription *s, const struct topic *t) {
    if (t->durable == NULL)
        return t->oldest;
    return s->holding && s->hold.number < t->first ? s->hold.number : t->first;
}

/* Places the cursor; the topic's lock is held. */
static void start_at(struct subscription *s, const struct topic *t, struct resume resume) {
    bool same_page = resume.page == 0 || resume.page == t->page;
    if (resume.number == 0 && same_page) {
        s->cursor = t->next;
    } else if (same_page && resume.number <= t->next) {
        s->cursor = resume.number; /* before the oldest retained: reading announces the gap */
    } else {
        /* Another instance of the topic: all that is retained is news to this subscriber. */
        s->cursor = readable_from(s, t);
        s->gap = true;
        s->gap_last = resume.number > 0 ? resume.number - 1 : 0;
    }
}

struct subscription *subscription_open(struct mailbox *m, const char *cache, const char *topic,
                                       struct resume resume, void (*on_ready)(void *),
                                       void *context, struct error *e) {
    struct topic *t = broker_open_topic(m->broker, cache, topic, e);
    if (t == NULL)
        return NULL;
    if (!broker_count_subscriber(m->broker, e)) {
        topic_unref(t);
        return NULL;
    }
    struct subscription *s = xcalloc(1, sizeof *s);
    s->on_ready = on_ready;
    s->context = context;
    pthread_mutex_lock(&t->lock);
    s->port = port_open(m, t);
    start_at(s, t, resume);
    pthread_mutex_unlock(&t->lock);
    topic_unref(t); /* the port has its own */
    DL_APPEND(s->port->subscriptions, s);
    return s;
}

void subscription_close(struct subscription *s) {
    if (s == NULL)
        return;
    struct port *p = s->port;
    if (s->is_stalled)
        DL_DELETE2(p->mailbox->stalled, s, prev_stalled, next_stalled);
    subscription_hold(s, UINT64_MAX);
    if (p->visiting == s)
        p->visiting = s->next;
    DL_DELETE(p->subscriptions, s);
    broker_uncount_subscriber(p->mailbox->broker);
    port_free_if_unused(p);
    free(s);
}

bool subscription_ended(const struct subscription *s) {
    struct topic *t = s->port->topic;
    pthread_mutex_lock(&t->lock);
    bool ended = t->deleted;
    pthread_mutex_unlock(&t->lock);
    return ended;
}

void subscription_hold(struct subscription *s, uint64_t number) {
    struct topic *t = s->port->topic;
    if (t->durable == NULL)
        return;
    pthread_mutex_lock(&t->lock);
    s->hold.number = number;
    if (number == UINT64_MAX && s->holding)
        DL_DELETE(t->holds, &s->hold);
    else if (number != UINT64_MAX && !s->holding)
        DL_APPEND(t->holds, &s->hold);
    s->holding = number != UINT64_MAX;
    pthread_mutex_unlock(&t->lock);
}

bool subscription_is_durable(const struct subscription *s) {
    return s->port->topic->durable != NULL;
}

/* The subscriber missed what is before `number`. */
static void skip_to(struct subscription *s, uint64_t number) {
    if (!s->gap) {
        s->gap = true;
        s->gap_last = s->cursor - 1;
    }
    s->cursor = number;
}

/* Reads what the ring does not have any more: [cursor, before). */
static size_t read_stored(struct subscription *s, uint64_t before, struct item **items,
                          size_t room) {
    struct mailbox *m = s->port->mailbox;
    struct topic *t = s->port->topic;
    struct error e;
    size_t count = 0;
    struct database *db = mailbox_reader(m, &e);
    if (db == NULL ||
        !durable_read(db, t, s->cursor, before, items, room, READ_BYTES, &count, &e)) {
        for (size_t i = 0; i < count; i++)
            item_unref(items[i]);
        log_error("items cannot be read from the disk", LOG_STR("error", e.message));
        if (!s->is_stalled)
            DL_APPEND2(m->stalled, s, prev_stalled, next_stalled);
        s->is_stalled = true;
        return 0;
    }
    if (count == 0)
        skip_to(s, before); /* retention was faster than this subscriber */
    else if (items[0]->number > s->cursor)
        skip_to(s, items[0]->number);
    return count;
}

void mailbox_retry(struct mailbox *m) {
    struct subscription *list = m->stalled, *s, *next;
    m->stalled = NULL;
    DL_FOREACH_SAFE2(list, s, next, next_stalled) {
        s->is_stalled = false;
        port_mark_ready(s->port);
    }
}

/* From the ring; the topic's lock is held. */
static size_t read_ring(struct subscription *s, struct topic *t, struct item **items, size_t room) {
    size_t count = 0;
    for (size_t bytes = 0; count < room && bytes < READ_BYTES && s->cursor < t->next; count++) {
        items[count] = item_ref(topic_item(t, s->cursor++));
        bytes += items[count]->length;
    }
    return count;
}

size_t subscription_read(struct subscription *s, struct item **items, size_t room, bool *gap,
                         struct discontinuity *d) {
    struct topic *t = s->port->topic;
    size_t count = 0;
    *gap = false;
    pthread_mutex_lock(&t->lock);
    uint64_t from = readable_from(s, t);
    if (s->cursor < from)
        skip_to(s, from);
    while (count == 0 && s->cursor < t->next && !s->is_stalled) {
        uint64_t oldest = t->oldest;
        if (s->cursor >= oldest) {
            count = read_ring(s, t, items, room);
        } else {
            pthread_mutex_unlock(&t->lock);
            count = read_stored(s, oldest, items, room);
            if (count > 0)
                s->cursor = items[count - 1]->number + 1;
            pthread_mutex_lock(&t->lock);
        }
    }
    pthread_mutex_unlock(&t->lock);
    if (s->gap && count > 0) {
        *gap = true;
        *d = (struct discontinuity){
            .last_number = s->gap_last, .new_number = items[0]->number, .new_page = t->page};
        s->gap = false;
        broker_count_discontinuity(s->port->mailbox->broker);
    }
    return count;
}

struct resume subscription_position(const struct subscription *s) {
    struct topic *t = s->port->topic;
    pthread_mutex_lock(&t->lock);
    struct resume position = {.page = t->page, .number = s->cursor};
    pthread_mutex_unlock(&t->lock);
    return position;
}

uint64_t subscription_tip(const struct subscription *s) {
    struct topic *t = s->port->topic;
    pthread_mutex_lock(&t->lock);
    uint64_t tip = t->next;
    pthread_mutex_unlock(&t->lock);
    return tip;
}
