/*
 * clock: the two clocks, under names that say which is which. Any thread.
 */
#ifndef HOOKMOON_BASE_CLOCK_H
#define HOOKMOON_BASE_CLOCK_H

/* Wall clock, milliseconds since 1970: for timestamps that others read. */
int64_t clock_wall_ms(void);
int64_t clock_wall_us(void);
/* Monotonic clock, nanoseconds: for durations and deadlines. */
uint64_t clock_mono_ns(void);

#endif
