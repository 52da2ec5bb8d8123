#include "base/base.h"

#include "base/backoff.h"

/* xorshift64*, seeded by the clock: jitter needs to differ, not to be secret. */
static double chance(void) {
    static _Thread_local uint64_t state;
    if (state == 0)
        state = clock_mono_ns() | 1;
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (double)((state * 0x2545f4914f6cdd1dull) >> 11) / 9007199254740992.0;
}

int64_t backoff_ms(const struct backoff *b, unsigned attempt) {
    double delay = (double)b->first_ms;
    for (unsigned i = 1; i < attempt && delay < (double)b->max_ms; i++)
        delay *= b->factor;
    if (delay > (double)b->max_ms)
        delay = (double)b->max_ms;
    return (int64_t)(delay * (0.75 + 0.25 * chance()));
}
