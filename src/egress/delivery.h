/*
 * delivery: one attempt to bring one item to a webhook's destination. Internal to egress/; the
 * worker's thread.
 */
#ifndef HOOKMOON_EGRESS_DELIVERY_H
#define HOOKMOON_EGRESS_DELIVERY_H

#include "auth/momento_signature.h"
#include "broker/item.h"
#include "control/webhook_set.h"
#include "net/curl_loop.h"

enum delivery_outcome {
    DELIVERY_OK,       /* 2xx */
    DELIVERY_STATUS,   /* another status */
    DELIVERY_REDIRECT, /* 3xx; not followed, as a signed body goes to nobody else */
    DELIVERY_TIMEOUT,
    DELIVERY_CONNECT,
    DELIVERY_TLS,
    DELIVERY_OTHER,
    DELIVERY_OUTCOMES,
};

extern const char *const delivery_words[DELIVERY_OUTCOMES];

/* A reusable attempt: its connection stays open for the next. */
struct delivery;

struct delivery_target {
    struct webhook_entry *webhook;
    struct signer *signer;
    int64_t timeout_ms;
    /* `item` is borrowed; `why` says what the outcome is, in words. */
    void (*ended)(struct delivery *d, const struct item *item, enum delivery_outcome outcome,
                  const char *why);
    void *context;
};

/* Borrows `target`, whose secret and signer may change meanwhile, but not its URL. */
struct delivery *delivery_new(struct curl_loop *loop, const struct delivery_target *target);
/* Cancels what is in flight, without calling `ended`. */
void delivery_free(struct delivery *d);

/* Sends; takes the caller's reference to `item`. `ended` is called later, once; the delivery may be
 * started again there. False when it could not even be started; the item is still the caller's. */
bool delivery_start(struct delivery *d, struct item *item);
void *delivery_context(const struct delivery *d);
/* Of the attempt that ended. */
uint64_t delivery_duration_ns(const struct delivery *d);

#endif
