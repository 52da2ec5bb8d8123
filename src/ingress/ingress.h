/*
 * ingress: the routes. Turns HTTP requests into calls on scripts and the broker.
 *
 * One ingress a worker, on its loop's thread; what all workers share is in struct ingress_shared,
 * which is read-only, atomic or locks itself.
 */
#ifndef HOOKMOON_INGRESS_INGRESS_H
#define HOOKMOON_INGRESS_INGRESS_H

#include <stdatomic.h>

#include "broker/broker.h"
#include "config/config.h"
#include "ingress/access.h"
#include "ingress/rate.h"
#include "ingress/replay.h"
#include "net/http_server.h"
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
    struct replay *replay;
    struct rate **rates; /* by the index of config->hooks; NULL: no limit */
    _Atomic int phase;   /* enum ingress_phase */
};

struct ingress;

struct ingress *ingress_new(struct ingress_shared *shared, uv_loop_t *loop, struct mailbox *mailbox,
                            struct error *e);
/* What the worker's HTTP server calls. */
struct http_handler ingress_handler(struct ingress *in);
/* How many long polls and event streams are waiting. */
unsigned ingress_waiting(const struct ingress *in);
/* Answers the long polls and ends the streams, cleanly. */
void ingress_release(struct ingress *in);
/* After the HTTP server is freed. The loop must run once more afterwards to free the handles. */
void ingress_free(struct ingress *in);

#endif
