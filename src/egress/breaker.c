#include "egress/breaker.h"

#include "base/backoff.h"

#define FAILURES 5

static const struct backoff pauses = {1000, 2, 60000};

bool breaker_is_open(const struct breaker *b) {
    return b->closed_at != 0;
}

bool breaker_lets_through(const struct breaker *b, uint64_t now_ms, unsigned in_flight) {
    return b->closed_at == 0 || (now_ms >= b->closed_at && in_flight == 0);
}

void breaker_succeeded(struct breaker *b) {
    *b = (struct breaker){0};
}

void breaker_failed(struct breaker *b, uint64_t now_ms, int64_t pause_ms) {
    bool was_open = breaker_is_open(b);
    b->failures++;
    if (pause_ms > 0 && now_ms + (uint64_t)pause_ms > b->closed_at)
        b->closed_at = now_ms + (uint64_t)pause_ms;
    if (was_open && now_ms < b->closed_at) /* of one that was under way when it opened */
        return;
    if (was_open || b->failures >= FAILURES) {
        b->openings++;
        uint64_t until = now_ms + (uint64_t)backoff_ms(&pauses, b->openings);
        b->closed_at = until > b->closed_at ? until : b->closed_at;
    }
}
