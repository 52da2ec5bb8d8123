/*
 * seen: what `replay` remembers, on the disk, so that a restart does not forget it.
 *
 * Fingerprints are gathered per commit and written as one row. Shared by all workers; any thread.
 */
#ifndef HOOKMOON_INGRESS_SEEN_H
#define HOOKMOON_INGRESS_SEEN_H

#include "ingress/replay.h"
#include "store/store.h"

struct seen;

/* `store` is not started yet. Kept for `window_ms`. */
struct seen *seen_new(struct store *store, int64_t window_ms);
void seen_free(struct seen *s);
/* Tells `replay` what was accepted within the window. */
bool seen_restore(struct seen *s, struct replay *replay, struct error *e);
/* With the transaction that accepts the event. */
void seen_add(struct seen *s, struct transaction *t, struct fingerprint f);
/* Within a tenth of a second: for an event that left nothing on the disk. */
void seen_add_lazily(struct seen *s, struct fingerprint f);

#endif
