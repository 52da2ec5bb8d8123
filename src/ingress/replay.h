/*
 * replay: remembers which events were accepted, so that none runs twice.
 *
 * Across restarts the store remembers for it (seen.h).
 *
 * An event is known by a keyed 128-bit fingerprint of its hook, cache, topic, event_timestamp,
 * topic_sequence_number, token and text: everything but publish_timestamp, which an honest retry
 * may renew. It is remembered for at least the window and at most twice as long. Shared by all
 * workers; any thread. Its memory is bounded: when it is full, new events are refused (they can be
 * sent again) rather than run unchecked.
 */
#ifndef HOOKMOON_INGRESS_REPLAY_H
#define HOOKMOON_INGRESS_REPLAY_H

#include "base/base.h"
#include "ingress/event.h"

struct replay;

struct fingerprint {
    uint64_t a, b;
};

enum replay_answer {
    REPLAY_NEW,     /* now marked as running: call replay_done or replay_forget */
    REPLAY_RUNNING, /* another request is running it this moment */
    REPLAY_DONE,    /* was accepted before */
    REPLAY_FULL,
};

/* Remembers for `window_ms`, at most `max_entries` events in each window. `seed` is secret, so that
 * nobody can aim at a collision. */
struct replay *replay_new(int64_t window_ms, size_t max_entries, uint64_t seed);
void replay_free(struct replay *r);

struct fingerprint replay_fingerprint(const struct replay *r, const char *hook,
                                      const struct event *ev);
/* Of what a sender calls the delivery: the header webhook-id. */
struct fingerprint replay_fingerprint_id(const struct replay *r, const char *hook, const char *id);
enum replay_answer replay_begin(struct replay *r, struct fingerprint f, uint64_t now_ns);
/* The event was accepted. */
void replay_done(struct replay *r, struct fingerprint f);
/* It was accepted before a restart. */
void replay_restore(struct replay *r, struct fingerprint f, uint64_t now_ns);
/* True when it is known, running or done. */
bool replay_knows(struct replay *r, struct fingerprint f);
/* It failed: it may be sent again. */
void replay_forget(struct replay *r, struct fingerprint f);

#endif
