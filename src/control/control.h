/*
 * control: the control plane: caches, webhooks and keys, made and unmade while the gateway runs.
 *
 * One for all workers; any thread; locks itself. What is made here is written to the data directory
 * before the call returns and is there again after a restart. What the configuration file names can
 * be read here but not changed (ERROR_PRECONDITION: change the file). Who may ask is the caller's
 * to check (identity_may_administer).
 *
 * The errors: ERROR_INVALID (a bad name, URL or permission), ERROR_NOT_FOUND, ERROR_EXISTS,
 * ERROR_LIMIT, ERROR_PRECONDITION, ERROR_UNAUTHENTICATED (refresh), and ERROR_STORAGE when the
 * data directory cannot be written; then nothing has changed.
 */
#ifndef HOOKMOON_CONTROL_CONTROL_H
#define HOOKMOON_CONTROL_CONTROL_H

#include "auth/access.h"
#include "broker/broker.h"
#include "control/keys.h"
#include "control/webhook_set.h"
#include "store/store.h"

struct control;

struct control_options {
    const struct config *config; /* its webhooks' URLs completed */
    const char *url;             /* the gateway's own, "http://127.0.0.1:8080" */
    struct broker *broker;
    struct store *store;
    struct access *access;
    const struct token_key *token_key;
    struct webhook_set *webhooks;
};

/* Makes the caches and webhooks of the configuration and of the store, and revokes what is revoked.
 */
struct control *control_new(const struct control_options *o, struct error *e);
void control_free(struct control *c);
/* Takes over what another process (`hookmoon key`) wrote. Called every second. */
void control_refresh(struct control *c);

/* ---- caches ---- */

bool control_create_cache(struct control *c, const char *name, bool durable, struct error *e);
/* Its subscriptions end, its webhooks go with it. */
bool control_delete_cache(struct control *c, const char *name, struct error *e);
/* Drops what its topics retain; numbers go on and subscribers stay. */
bool control_flush_cache(struct control *c, const char *name, struct error *e);

struct cache_info {
    char *name;
    bool configured; /* by the file: cannot be deleted here */
    bool durable;
    uint64_t topics;
};
/* All caches, by name; `*list` is the caller's, see cache_list_free. */
size_t control_list_caches(struct control *c, struct cache_info **list);
void cache_list_free(struct cache_info *list, size_t count);

/* ---- webhooks ---- */

/* Makes or changes one; a change keeps the secret. `url` may be "/hooks/NAME"; `policy` NULL: as it
 * is, or the default. The result is the webhook, which the caller unrefs. */
struct webhook_entry *control_put_webhook(struct control *c, const char *cache, const char *name,
                                          const char *topic, const char *url,
                                          const struct webhook_policy *policy, struct error *e);
/* One that was disabled, after its destination had failed for too long, or is paused: it is tried
 * again at once. */
bool control_enable_webhook(struct control *c, const char *cache, const char *name,
                            struct error *e);
void control_webhook_status(struct control *c, const struct webhook_entry *w,
                            struct webhook_status *status);
bool control_delete_webhook(struct control *c, const char *cache, const char *name,
                            struct error *e);
struct webhook_entry *control_get_webhook(struct control *c, const char *cache, const char *name,
                                          struct error *e);
/* A new secret; our own hooks accept the old one for limits.rotation_grace more. */
struct webhook_entry *control_rotate_webhook(struct control *c, const char *cache, const char *name,
                                             struct error *e);
/* Those of one cache, by name; `*list` is freed with webhook_list_free. */
bool control_list_webhooks(struct control *c, const char *cache, struct webhook_entry ***list,
                           size_t *count, struct error *e);

/* ---- keys ---- */

bool control_make_key(struct control *c, const struct key_request *request,
                      struct key_result *result, struct error *e);
/* A new key with the same rights and the same duration, from now. */
bool control_refresh_key(struct control *c, const char *token, const char *refresh_token,
                         struct key_result *result, struct error *e);
/* By serial, or by the token itself in any of its forms. */
bool control_revoke_key(struct control *c, const char *serial_or_token, struct error *e);
/* Keys that were made and not revoked, oldest first; `*list` is freed with key_list_free. */
bool control_list_keys(struct control *c, struct key_record **list, size_t *count, struct error *e);

#endif
