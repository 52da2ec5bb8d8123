/*
 * gateway: the whole process: what the workers share, their start and their graceful stop.
 *
 * Main thread. Stopping goes in two steps. While the gateway's own webhooks still have something to
 * deliver to its own hooks, it refuses what is new (503) but serves itself; then it closes its
 * listeners, answers the subscribers, finishes what is in flight and ends. Both are bounded by
 * limits.stop_grace.
 */
#ifndef HOOKMOON_GATEWAY_GATEWAY_H
#define HOOKMOON_GATEWAY_GATEWAY_H

#include "config/config.h"

struct gateway;

/* Checks the configuration against the scripts, listens, and makes the workers; nothing is served
 * before gateway_run. Completes c->webhooks' URLs. `c` is borrowed until gateway_free. */
struct gateway *gateway_new(struct config *c, struct error *e);
/* "http://127.0.0.1:8080": where it listens, with the port that was found for port 0. */
const char *gateway_url(const struct gateway *g);
unsigned gateway_bundle_count(const struct gateway *g);
/* Serves until SIGTERM or SIGINT; true when everything ended in time. */
bool gateway_run(struct gateway *g, struct error *e);
void gateway_free(struct gateway *g);

#endif
