/*
 * breaker: the circuit breaker before a destination. The worker's thread.
 *
 * After so many failures in a row it opens: nothing is sent for a while, longer each time. Then one
 * probe is let through: its success closes the breaker, its failure opens it again.
 */
#ifndef HOOKMOON_EGRESS_BREAKER_H
#define HOOKMOON_EGRESS_BREAKER_H

#include "base/base.h"

struct breaker {
    unsigned failures;  /* in a row */
    unsigned openings;  /* since the last success */
    uint64_t closed_at; /* nothing is sent before, of the monotonic clock in ms; 0: it is closed */
};

/* Whether another request may be sent now, with so many in flight. */
bool breaker_lets_through(const struct breaker *b, uint64_t now_ms, unsigned in_flight);
void breaker_succeeded(struct breaker *b);
/* `pause_ms` is what the destination asked for (Retry-After), or 0. */
void breaker_failed(struct breaker *b, uint64_t now_ms, int64_t pause_ms);
bool breaker_is_open(const struct breaker *b);

#endif
