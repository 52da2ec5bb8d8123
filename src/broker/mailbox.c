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
};

struct subscription {
    struct port *port;
    struct subscription *next, *prev;
    void (*on_ready)(void *);
    void *context;
    uint64_t cursor; /* the number to be read next */
    bool gap;        /* a discontinuity is to be told before the next item */
    uint64_t gap_last;
};

struct mailbox *mailbox_new(struct broker *b, void (*wake)(void *), void *context) {
    struct mailbox *m = xcalloc(1, sizeof *m);
    m->broker = b;
    m->wake = wake;
    m->context = context;
    pthread_mutex_init(&m->lock, NULL);
    return m;
}

void mailbox_free(struct mailbox *m) {
    if (m == NULL)
        return;
    pthread_mutex_destroy(&m->lock);
    free(m);
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

/* Places the cursor; the topic's lock is held. */
static void start_at(struct subscription *s, const struct topic *t, struct resume resume) {
    bool same_page = resume.page == 0 || resume.page == t->page;
    if (resume.number == 0 && same_page) {
        s->cursor = t->next;
    } else if (same_page && resume.number <= t->next) {
        s->cursor = resume.number; /* before the oldest retained: reading announces the gap */
    } else {
        /* Another instance of the topic: all that is retained is news to this subscriber. */
        s->cursor = t->oldest;
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

size_t subscription_read(struct subscription *s, struct item **items, size_t room, bool *gap,
                         struct discontinuity *d) {
    struct topic *t = s->port->topic;
    size_t count = 0;
    *gap = false;
    pthread_mutex_lock(&t->lock);
    if (s->cursor < t->oldest) {
        if (!s->gap) {
            s->gap = true;
            s->gap_last = s->cursor - 1;
        }
        s->cursor = t->oldest;
    }
    if (s->gap && s->cursor < t->next) {
        *gap = true;
        *d = (struct discontinuity){
            .last_number = s->gap_last, .new_number = s->cursor, .new_page = t->page};
        s->gap = false;
    }
    for (size_t bytes = 0; count < room && bytes < READ_BYTES && s->cursor < t->next; count++) {
        items[count] = item_ref(topic_item(t, s->cursor++));
        bytes += items[count]->length;
    }
    pthread_mutex_unlock(&t->lock);
    if (*gap)
        broker_count_discontinuity(s->port->mailbox->broker);
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
