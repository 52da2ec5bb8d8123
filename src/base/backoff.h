/*
 * backoff: how long to wait before the next attempt: exponential, with jitter. Any thread.
 */
#ifndef HOOKMOON_BASE_BACKOFF_H
#define HOOKMOON_BASE_BACKOFF_H

struct backoff {
    int64_t first_ms;
    double factor;
    int64_t max_ms;
};

/* After the `attempt`th failure (from 1): first * factor^(attempt - 1), at most max, of which the
 * last quarter is left to chance, so that those who failed together do not come again together. */
int64_t backoff_ms(const struct backoff *b, unsigned attempt);

#endif
