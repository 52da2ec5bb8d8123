/*
 * webhook_set: the webhooks of this moment, which workers follow.
 *
 * Entries are immutable and shared by reference: a change replaces the entry. Any thread; locks
 * itself.
 */
#ifndef HOOKMOON_CONTROL_WEBHOOK_SET_H
#define HOOKMOON_CONTROL_WEBHOOK_SET_H

#include <stdatomic.h>

#include "base/base.h"
#include "broker/broker.h"
#include "config/webhook_policy.h"

struct webhook_entry {
    _Atomic unsigned references;
    uint64_t id;       /* of the webhook; stays when it is changed */
    uint64_t delivery; /* of its topic: another one when that is changed */
    char *cache;
    char *name;
    char *topic;
    char *url;
    char *own_hook; /* NULL, or NAME when it points at this gateway's /hooks/NAME */
    char *secret;
    char *previous_secret;     /* NULL: none that is still valid */
    int64_t previous_until_ms; /* of the wall clock */
    bool configured;           /* by the file */
    struct webhook_policy policy;
    struct resume start; /* deliver from here on: where the topic stood when it was put */
};

/* How a webhook fares, as the worker that serves it says. */
struct webhook_status {
    bool disabled;
    bool paused;              /* the circuit breaker is open */
    int64_t failing_since_ms; /* 0: the last delivery was taken */
    uint64_t pending;         /* items not delivered yet, retries included */
    uint64_t retrying;
    char error[160]; /* of the last failure */
};

struct webhook_set;

struct webhook_set *webhook_set_new(void);
void webhook_set_free(struct webhook_set *s);

/* `changed(context)` is called after each change, from the changing thread. Before threads start.
 */
void webhook_set_listen(struct webhook_set *s, void (*changed)(void *), void *context);

/* Grows with each change; cheap. */
uint64_t webhook_set_version(const struct webhook_set *s);

struct webhook_entry *webhook_entry_new(const char *cache, const char *name, const char *topic,
                                        const char *url, const char *secret);
struct webhook_entry *webhook_entry_ref(struct webhook_entry *w);
void webhook_entry_unref(struct webhook_entry *w);

/* Puts the entry in the place of the one of its cache and name, if there is one. Takes the caller's
 * reference. */
void webhook_set_put(struct webhook_set *s, struct webhook_entry *w);
/* By the id of the webhook. */
void webhook_set_report(struct webhook_set *s, uint64_t id, const struct webhook_status *status);
void webhook_set_status(struct webhook_set *s, uint64_t id, struct webhook_status *status);
/* Asks for a disabled webhook to be enabled; `webhook_set_take_enable` is true once after it. */
void webhook_set_enable(struct webhook_set *s, uint64_t id);
bool webhook_set_take_enable(struct webhook_set *s, uint64_t id);
/* False: there is none. */
bool webhook_set_remove(struct webhook_set *s, const char *cache, const char *name);
void webhook_set_remove_cache(struct webhook_set *s, const char *cache);
/* With a reference; NULL: there is none. */
struct webhook_entry *webhook_set_find(struct webhook_set *s, const char *cache, const char *name);
/* All, or those of one cache, by cache and name; `*list` is freed with webhook_list_free.
 * `*version` (may be NULL) is that of the list. */
size_t webhook_set_list(struct webhook_set *s, const char *cache, struct webhook_entry ***list,
                        uint64_t *version);
void webhook_list_free(struct webhook_entry **list, size_t count);

#endif
