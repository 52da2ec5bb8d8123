/*
 * webhook: webhooks out. Each item of a configured topic is POSTed to its destination, signed, in
 * Momento's own shape (PROTOCOL: key order and spacing are part of the signature).
 *
 * One sender a worker, on its loop's thread; each webhook belongs to one worker. A publisher never
 * waits: a webhook is a subscriber with a bounded queue, and what falls out of it is counted and
 * logged. An item is sent once (at most once, as Momento does): what fails is not tried again, and
 * neither is what a kept connection died with.
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
    unsigned worker; /* takes the webhooks whose id modulo `workers` is this */
    unsigned workers;
};

/* Subscribes to its webhooks' topics: whatever was published since they were put is sent. */
struct webhook_sender *webhook_sender_new(const struct webhook_options *o, struct error *e);
/* Follows the set: opens what is new and closes what is gone. A webhook whose topic or destination
 * was changed first sends what was published before. */
void webhook_sender_update(struct webhook_sender *s);
/* True when nothing waits, nothing is in flight and nothing published is unread; reads and starts
 * what it finds. */
bool webhook_sender_idle(struct webhook_sender *s);
/* Drops what waits, is in flight or unread (counted and logged). The loop must run once more
 * afterwards to free the handles. */
void webhook_sender_free(struct webhook_sender *s);

#endif
