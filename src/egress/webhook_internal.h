/*
 * What the parts of a webhook share: webhook.c (it is opened, follows the set, ends),
 * webhook_queue.c (reads its topic), webhook_send.c (requests), webhook_outbox.c (its state on the
 * disk), webhook_figures.c (metrics and the log). All on the loop's thread of its worker.
 */
#ifndef HOOKMOON_EGRESS_WEBHOOK_INTERNAL_H
#define HOOKMOON_EGRESS_WEBHOOK_INTERNAL_H

#include <uthash.h>
#include <utlist.h>

#include "egress/breaker.h"
#include "egress/delivery.h"
#include "egress/webhook.h"
#include "store/outbox_table.h"

/* How many items are taken from a topic at once. */
#define WEBHOOK_BATCH 64
#define NEVER         INT64_MAX

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
    struct webhook_policy opened_with; /* what cannot change while it is open */
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

/* ---- webhook.c ---- */

/* Nothing is under way or being saved. */
void webhook_free(struct webhook *w);

/* ---- webhook_queue.c ---- */

/* Why items fall out of a topic before they are read. */
extern const char webhook_too_slow[];

/* How much of the topic, `room` at most, is still this one's to send. */
size_t webhook_left(const struct webhook *w, size_t room);
/* Takes up to `room` items from the topic, with a reference each; a gap is counted and logged. */
size_t webhook_read_topic(struct webhook *w, struct item **items, size_t room);
/* Fills the queue from the topic, as far as there is room. */
void webhook_fill(struct webhook *w);
/* The first of the queue, which is not empty; with its reference. */
struct item *webhook_dequeue(struct webhook *w);
/* The next one that is not among the retries already, with its reference; NULL: none. */
struct item *webhook_next_item(struct webhook *w);

/* ---- webhook_send.c ---- */

/* Sends what may be sent now. */
void webhook_pump(struct webhook *w);
/* Looks again at the retries on the disk: another thread, or another clock, may have changed them.
 */
void webhook_recount(struct webhook *w);
/* A delivery's callback. */
void webhook_on_ended(struct delivery *d, struct item *item, const struct delivery_result *r);
/* It is done with: releases its item, and its place among those under way. */
void attempt_set_idle(struct attempt *a);

/* ---- webhook_outbox.c ---- */

/* Takes up where the last run ended; `*from` is where that is, for a topic of the same page. */
bool webhook_restore(struct webhook *w, struct resume *from, struct error *e);
/* Writes a->save of an attempt; once that is durable, it is idle. */
void attempt_save(struct attempt *a);
/* Writes how far it got, when that has changed. */
void webhook_save_row(struct webhook *w);
/* All before this number is delivered, or among the retries. */
uint64_t webhook_settled_number(const struct webhook *w);
/* Has the topic keep what is still to be delivered. */
void webhook_hold(struct webhook *w);

/* ---- webhook_figures.c ---- */

struct figures *webhook_find_figures(struct webhook_sender *s, const struct webhook_entry *entry);
/* Adds to what is to be logged; true when now is the time for a line about all of `since`. */
bool webhook_quiet_add(struct quiet *q, uint64_t count);
/* Logs w->losses. */
void webhook_log_losses(struct webhook *w, const char *why);
void webhook_log_failure(struct webhook *w, const struct item *item, const char *why);

#endif
