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
#include "net/guard.h"

enum delivery_outcome {
    DELIVERY_OK,       /* 2xx */
    DELIVERY_STATUS,   /* another status */
    DELIVERY_REDIRECT, /* 3xx; not followed, as a signed body goes to nobody else */
    DELIVERY_TIMEOUT,
    DELIVERY_CONNECT,
    DELIVERY_TLS,
    DELIVERY_REFUSED, /* the address is a private one */
    DELIVERY_OTHER,
    DELIVERY_OUTCOMES,
};

extern const char *const delivery_words[DELIVERY_OUTCOMES];

/* A reusable attempt: its connection stays open for the next. */
struct delivery;

/* A destination cannot ask for a longer pause. */
#define DELIVERY_PAUSE_MAX_MS 3600000

struct delivery_result {
    enum delivery_outcome outcome;
    const char *why;  /* in words */
    int64_t pause_ms; /* what the destination asked for (Retry-After), 0: nothing */
    uint64_t duration_ns;
};

/* What its connections may go to, and are shared by. Destinations that were set through the API
 * have one of their own, so that they cannot use a connection that the guard did not see. */
struct delivery_network {
    struct curl_loop *curl;
    bool guarded;
    bool open; /* whoever may ask is on this machine: it may be reached */
    const struct guard_network *allowed;
    size_t allowed_count;
};

struct delivery_target {
    struct webhook_entry *webhook;
    const char *topic;
    struct signer *signer;
    const struct delivery_network *network;
    int64_t timeout_ms;
    /* `item` is borrowed. */
    void (*ended)(struct delivery *d, struct item *item, const struct delivery_result *result);
    void *context;
};

/* Borrows `target`, which may change between attempts. */
struct delivery *delivery_new(const struct delivery_target *target);
/* Cancels what is in flight, without calling `ended`. */
void delivery_free(struct delivery *d);

/* Sends; takes the caller's reference to `item`. `ended` is called later, once; the delivery may be
 * started again there. False when it could not even be started; the item is still the caller's. */
bool delivery_start(struct delivery *d, struct item *item);
const struct delivery_target *delivery_target(const struct delivery *d);
/* A number or pointer of the caller's. */
void delivery_set_data(struct delivery *d, void *data);
void *delivery_data(const struct delivery *d);

/* "msg_..." for an item and a webhook: the same at every attempt, for receivers to tell what they
 * have had. */
#define DELIVERY_ID_SIZE 37
void delivery_id(char id[DELIVERY_ID_SIZE], const struct webhook_entry *w, const char *topic,
                 const struct item *item);

#endif
