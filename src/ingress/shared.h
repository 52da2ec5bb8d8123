/*
 * shared: what the ingresses of all workers share: read-only, atomic, or it locks itself.
 */
#ifndef HOOKMOON_INGRESS_SHARED_H
#define HOOKMOON_INGRESS_SHARED_H

#include <stdatomic.h>

#include "auth/access.h"
#include "broker/broker.h"
#include "config/config.h"
#include "control/control.h"
#include "ingress/rate.h"
#include "ingress/replay.h"
#include "ingress/seen.h"
#include "script/bundle.h"

/* Stopping goes through these in order. While draining, the gateway's own webhooks may still call
 * its hooks, but nothing new is published from outside. */
enum ingress_phase { PHASE_RUNNING, PHASE_DRAINING, PHASE_STOPPING };

struct ingress_shared {
    const struct config *config;
    const struct bundle_list *bundles;
    struct broker *broker;
    struct metrics *metrics;
    struct access *access;
    struct control *control;
    struct webhook_set *webhooks;
    const char *url; /* the gateway's own: "http://127.0.0.1:8080" */
    struct replay *replay;
    struct seen *seen;
    struct replay *failed; /* events that are dead letters */
    _Atomic uint64_t failures;
    _Atomic uint64_t inbox; /* events that wait for their scripts */
    struct store *store;
    unsigned workers;
    struct rate **rates; /* by the index of config->hooks; NULL: no limit */
    _Atomic int phase;   /* enum ingress_phase */
};

static inline enum ingress_phase shared_phase(const struct ingress_shared *s) {
    return (enum ingress_phase)atomic_load_explicit(&s->phase, memory_order_relaxed);
}

/* Whether the event may be a dead letter: then its success drops that. */
static inline bool shared_has_failed(const struct ingress_shared *s, struct fingerprint f) {
    return atomic_load_explicit(&s->failures, memory_order_relaxed) > 0 &&
           replay_knows(s->failed, f);
}

static inline void shared_note_failed(struct ingress_shared *s, struct fingerprint f) {
    atomic_fetch_add_explicit(&s->failures, 1, memory_order_relaxed);
    replay_restore(s->failed, f, clock_mono_ns());
}

#endif
