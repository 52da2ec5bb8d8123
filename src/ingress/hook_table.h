/*
 * hook_table: the hooks of one worker: each with its signers, its bundle's Lua state and its
 * metrics. Internal to ingress/; the worker's thread.
 */
#ifndef HOOKMOON_INGRESS_HOOK_TABLE_H
#define HOOKMOON_INGRESS_HOOK_TABLE_H

#include <uthash.h>

#include "auth/momento_signature.h"
#include "ingress/hook_outcome.h"
#include "ingress/ingress_internal.h"
#include "script/script.h"

/* A bundle on this worker. */
struct hook_bundle {
    struct hook_bundle *next;
    const struct bundle *bundle;
    struct script *script; /* NULL: not loaded yet, or it did not load */
    struct histogram *duration;
    struct metric *memory;
};

/* One secret that a hook accepts. */
struct hook_signer {
    struct signer *signer;
    int64_t until_ms; /* of the wall clock; 0: for good */
};

struct hook {
    UT_hash_handle hh;
    char *name;       /* "bundle" or "bundle/hook" */
    const char *part; /* "hook", or "" */
    struct hook_bundle *bundle;
    struct hook_signer *signers; /* any may match; none: nobody gets in */
    size_t signer_count;
    bool follows_webhooks; /* it has no secret of its own: those of the webhooks that point at it */
    int64_t max_age_ms;
    int64_t max_future_ms;
    size_t body_bytes;
    bool received;    /* it is acknowledged before its script runs */
    unsigned retries; /* of the script, then */
    struct rate *rate;
    struct metric *outcomes[HOOK_OUTCOMES];
};

/* A line of the log per refusal would let a flood fill the disk: so many a second. */
#define HOOK_LOG_LINES 50

struct hook_table {
    struct ingress *ingress;
    struct hook *hooks;
    struct hook_bundle *bundles;
    uint64_t webhooks_version; /* of the webhooks that the hooks follow */
    uint64_t log_second;
    unsigned log_lines;
};

/* Its secrets are those of this moment. NULL: there is no such hook. */
struct hook *hook_table_find(struct hook_table *t, const char *name);
/* The bundle's script, loaded on first use; NULL when it does not load. */
struct script *hook_script(struct hook_table *t, struct hook_bundle *b, struct error *e);

#endif
