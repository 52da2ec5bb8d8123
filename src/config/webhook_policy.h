/*
 * webhook_policy: how a webhook's items are delivered.
 */
#ifndef HOOKMOON_CONFIG_WEBHOOK_POLICY_H
#define HOOKMOON_CONFIG_WEBHOOK_POLICY_H

#include <jansson.h>

#include "base/backoff.h"
#include "base/base.h"

struct webhook_policy {
    bool ordered;             /* one after another, as published; else side by side */
    bool once;                /* at most once, as Momento did; else until it is taken */
    unsigned concurrency;     /* requests at once; 0: limits.webhook_concurrency */
    double rate;              /* requests a second, 0: no limit */
    struct backoff retry;     /* of an item */
    int64_t give_up_ms;       /* after its first failure it becomes a dead letter */
    int64_t disable_after_ms; /* without any success the webhook is disabled */
};

void webhook_policy_init(struct webhook_policy *p);

/* What differs from the defaults, of what the API can set, as JSON: {"order": "topic", "delivery":
 * "once", "concurrency": n, "rate": n}. */
json_t *webhook_policy_to_json(const struct webhook_policy *p);
/* Sets what `json` has; other members are not looked at. ERROR_INVALID. */
bool webhook_policy_from_json(struct webhook_policy *p, const json_t *json, struct error *e);

#endif
