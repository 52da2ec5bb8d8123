/*
 * config: what the gateway is told to do, as plain data.
 *
 * Filled with the defaults by config_init, then by the configuration file (config/config_load.h),
 * then by the command line's flags. Read-only once the workers run, so any thread may read it.
 */
#ifndef HOOKMOON_CONFIG_CONFIG_H
#define HOOKMOON_CONFIG_CONFIG_H

#include "auth/identity.h"
#include "base/base.h"
#include "config/webhook_policy.h"
#include "net/guard.h"

struct config_cache {
    char *name;
    bool durable; /* its items are on the disk; else in memory */
    /* What is kept of each topic; 0: no bound. */
    int64_t retention_age_ms;
    uint64_t retention_items;
    size_t retention_bytes;
};

/* A webhook out: every item of `topic` in `cache` is POSTed to `url`, signed with `secret`. A url
 * that is only a path, "/hooks/NAME", means this gateway's own hook; the gateway completes it once
 * it knows its port. */
struct config_webhook {
    char *cache;
    char *name;
    char *topic;
    char *url;
    char *own_hook; /* NULL, or NAME of "/hooks/NAME"; set by config_complete_webhooks */
    char *secret;
    struct webhook_policy policy;
};

/* A webhook in: who may call /hooks/{name}. `name` is "bundle" or "bundle/hook". */
struct config_hook {
    char *name;
    char **secrets; /* any of them is valid, so that one can be replaced without loss */
    size_t secret_count;
    int64_t max_age_ms;    /* a publish_timestamp older than this is refused */
    int64_t max_future_ms; /* and one further ahead than this */
    size_t body_bytes;     /* largest body; 0: limits.body_bytes */
    double rate;           /* requests per second, 0: no limit */
    bool received;         /* acknowledged once it is kept, before the script runs */
    unsigned retries;      /* of the script then, before the event is a dead letter */
};

/* A key. `cache`, `topic` and `topic_prefix` NULL: all. */
struct config_key {
    char *id; /* becomes the publisher_id / token_id of what it publishes */
    char *key;
    enum role role;
    char *cache;
    char *topic;        /* one topic, or ... */
    char *topic_prefix; /* ... those whose names begin so */
};

struct config_limits {
    size_t body_bytes;            /* a hook's body */
    size_t message_bytes;         /* a published message */
    size_t header_bytes;          /* a request's line and headers */
    unsigned connections;         /* per worker */
    unsigned subscribers;         /* all topics together */
    unsigned topics;              /* per cache */
    unsigned retained_items;      /* per topic: the ring for resume */
    size_t retained_bytes;        /* per topic */
    int64_t request_timeout_ms;   /* to receive a request whole */
    int64_t idle_timeout_ms;      /* of a connection between requests */
    int64_t heartbeat_ms;         /* comments on an event stream */
    int64_t grpc_heartbeat_ms;    /* heartbeats of a gRPC subscription */
    unsigned streams;             /* per HTTP/2 connection */
    int64_t stop_grace_ms;        /* for what is in flight when told to stop */
    unsigned json_depth;          /* of an event's JSON and of json.decode */
    size_t script_memory_bytes;   /* per bundle and worker */
    uint64_t script_instructions; /* per event */
    int64_t script_deadline_ms;   /* per event, wall clock */
    unsigned script_publishes;    /* publish calls per event */
    size_t replay_events;         /* remembered per window, all hooks together */
    unsigned webhook_queue;       /* items waiting per webhook of a memory cache */
    uint64_t inbox;               /* events that wait for their scripts */
    unsigned webhook_backlog;     /* items a webhook may be behind before publishing is refused */
    unsigned webhook_concurrency; /* requests at once per webhook */
    unsigned webhook_retries;     /* items a webhook tries again, before it takes no new ones */
    int64_t webhook_timeout_ms;   /* an attempt, whole */
    unsigned webhooks;            /* per cache, made while running */
    size_t write_queue_bytes;     /* waiting for the disk, before publishing is refused */
    uint64_t deadletters;         /* more drop the oldest ... */
    int64_t deadletter_age_ms;    /* ... and so does this age */
    int64_t rotation_grace_ms;    /* our hooks accept a rotated secret so long */
};

struct config {
    char *file; /* NULL: none was read */
    char *listen;
    char *public_url; /* how others reach this gateway; NULL: as it listens */
    char **origins;   /* of browser pages that may use it; see ingress/cors.h */
    size_t origin_count;
    char *scripts;
    char *library; /* the folder of lua-lib */
    char *data;
    unsigned workers;       /* 0: one a core */
    bool open;              /* no key asked for; refused on a non-loopback address ... */
    bool allow_open_public; /* ... unless this is set as well */
    bool replay_newest;     /* a gRPC subscription without a position begins with the newest item */
    enum log_level log_level;
    enum log_format log_format;
    struct config_cache *caches;
    size_t cache_count;
    struct config_webhook *webhooks;
    size_t webhook_count;
    struct guard_network *webhook_networks; /* that destinations set through the API may be in */
    size_t webhook_network_count;
    struct config_hook *hooks;
    size_t hook_count;
    struct config_key *keys;
    size_t key_count;
    struct config_limits limits;
};

void config_init(struct config *c);
void config_free(struct config *c);
/* Fills in what a cache has that the configuration does not mention. */
void config_cache_init(struct config_cache *c);
/* Fills in what a hook has that the configuration does not mention. */
void config_hook_init(struct config_hook *h);
/*
 * Sets own_hook of the webhooks that point at this gateway, whose own address is `base`
 * ("http://127.0.0.1:8080"): by a path alone, which becomes a whole URL, or by `base` in front.
 */
void config_complete_webhooks(struct config *c, const char *base);
/* The hook's entry, or NULL. */
const struct config_hook *config_find_hook(const struct config *c, const char *name);

#endif
