/*
 * rate: a token bucket that all workers share. Holds one second's worth. Any thread.
 */
#ifndef HOOKMOON_INGRESS_RATE_H
#define HOOKMOON_INGRESS_RATE_H

#include "base/base.h"

struct rate;

struct rate *rate_new(double per_second);
void rate_free(struct rate *r);
/* Takes one; false when there is none. `r` may be NULL: always true. */
bool rate_take(struct rate *r);

#endif
