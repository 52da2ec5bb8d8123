#include "ingress/rate.h"

#include <pthread.h>
#include <stdlib.h>

struct rate {
    pthread_mutex_t lock; /* guards all below */
    double per_second;
    double tokens;
    uint64_t filled_ns;
};

static double capacity(const struct rate *r) {
    return r->per_second < 1 ? 1 : r->per_second;
}

struct rate *rate_new(double per_second) {
    struct rate *r = xcalloc(1, sizeof *r);
    pthread_mutex_init(&r->lock, NULL);
    r->per_second = per_second;
    r->tokens = capacity(r);
    r->filled_ns = clock_mono_ns();
    return r;
}

void rate_free(struct rate *r) {
    if (r != NULL)
        pthread_mutex_destroy(&r->lock);
    free(r);
}

bool rate_take(struct rate *r) {
    if (r == NULL)
        return true;
    uint64_t now = clock_mono_ns();
    pthread_mutex_lock(&r->lock);
    if (now > r->filled_ns)
        r->tokens += (double)(now - r->filled_ns) / 1e9 * r->per_second;
    if (r->tokens > capacity(r))
        r->tokens = capacity(r);
    r->filled_ns = now;
    bool taken = r->tokens >= 1;
    if (taken)
        r->tokens -= 1;
    pthread_mutex_unlock(&r->lock);
    return taken;
}
