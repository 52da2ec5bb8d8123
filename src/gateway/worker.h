/*
 * worker: one thread with one event loop, and on it a listener, its HTTP servers, Lua states,
 * subscribers and webhook deliveries of its own. Workers meet only in the broker.
 */
#ifndef HOOKMOON_GATEWAY_WORKER_H
#define HOOKMOON_GATEWAY_WORKER_H

#include "ingress/ingress.h"

struct worker;

/* Takes `listen_fd` over. Nothing runs before worker_start. */
struct worker *worker_new(struct ingress_shared *shared, unsigned index, unsigned count,
                          int listen_fd, struct error *e);
bool worker_start(struct worker *w, struct error *e);

/* From any thread: the set of webhooks is another one. */
void worker_webhooks_changed(struct worker *w);

/*
 * Stopping, from the main thread, after shared->phase was changed: tells the worker to look.
 * PHASE_DRAINING: goes on as before. PHASE_STOPPING: stops accepting, answers its subscribers and
 * ends by itself once nothing is in flight, or at the deadline.
 */
void worker_notice(struct worker *w, uint64_t deadline_ns);
/* Asks whether anything of the gateway's own is under way; the answer comes later, as ... */
void worker_ask_idle(struct worker *w, unsigned round);
/* ... true once it has answered that round, with *idle. */
bool worker_answer(const struct worker *w, unsigned round, bool *idle);
/* True once its thread is about to end. */
bool worker_ended(const struct worker *w);
/* Waits for the thread's end and frees it; also for one that was never started. */
void worker_free(struct worker *w);

#endif
