/*
 * webhook: webhooks out. Each item of a configured topic is POSTed to its destination, signed, in
 * Momento's own shape (PROTOCOL: key order and spacing are part of the signature).
 *
 * One sender a worker, on its loop's thread; each webhook belongs to one worker.
 *
 * A webhook delivers at least once: how far it got in its topic is on the disk, and so is each item
 * that failed, which is tried again, ever later, until it is taken or given up (then it is a dead
 * letter). After a restart it goes on from there; what was under way is sent again, under the same
 * webhook-id. A durable topic keeps what its webhooks have still to deliver; of a memory topic a
 * bounded queue does, and what falls out of it is counted and logged. A destination that fails is
 * left alone for a while (breaker.h), and at last disabled.
 *
 * With policy.once an item is sent at most once, as Momento did, and nothing is kept.
 */
#ifndef HOOKMOON_EGRESS_WEBHOOK_H
#define HOOKMOON_EGRESS_WEBHOOK_H

#include <uv.h>

#include "base/base.h"
#include "broker/broker.h"
#include "config/config.h"
#include "control/webhook_set.h"

struct webhook_sender;

struct webhook_options {
    uv_loop_t *loop;
    struct mailbox *mailbox;
    struct metrics *metrics;
    const struct config *config; /* its limits */
    struct webhook_set *webhooks;
    bool persistent; /* there is a store */
    unsigned worker; /* takes the webhooks whose id modulo `workers` is this */
    unsigned workers;
};

/* Subscribes to its webhooks' topics: whatever was published since they were put is sent. */
struct webhook_sender *webhook_sender_new(const struct webhook_options *o, struct error *e);
/* Follows the set: opens what is new and closes what is gone. A webhook whose topic was changed
 * first sends what was published before. */
void webhook_sender_update(struct webhook_sender *s);
/* While stopping: true when nothing is in flight and nothing waits that is not on the disk. Starts
 * nothing that the next run can do as well. */
bool webhook_sender_idle(struct webhook_sender *s);
/* Writes how far each webhook got; await mailbox_pending, then free it. */
void webhook_sender_save(struct webhook_sender *s);
/* Drops what waits, is in flight or unread; of a webhook without a place on the disk that is
 * counted and logged. The loop must run once more afterwards to free the handles. */
void webhook_sender_free(struct webhook_sender *s);

#endif
