/*
 * store: what survives a restart, in DIR/hookmoon.db (SQLite): caches, webhooks, keys.
 *
 * Any thread; locks itself. A call that changes something returns once it is on the disk. Errors
 * are ERROR_UNAVAILABLE with SQLite's reason and the path.
 */
#ifndef HOOKMOON_STORE_STORE_H
#define HOOKMOON_STORE_STORE_H

#include "base/base.h"

struct store;

/* Makes the directory (mode 0700) and the database when they are missing. With `exclusive` no other
 * gateway may use the directory meanwhile (ERROR_UNAVAILABLE); `hookmoon key` works beside one. */
struct store *store_open(const char *dir, bool exclusive, struct error *e);
void store_close(struct store *s);
/* True when another process changed the database since the last call. */
bool store_changed(struct store *s);

/* A page that no topic of an earlier run had, nor will have before the next call. */
bool store_next_page(struct store *s, uint64_t now_s, uint64_t *page, struct error *e);

bool store_add_cache(struct store *s, const char *name, struct error *e);
/* With its webhooks. */
bool store_delete_cache(struct store *s, const char *name, struct error *e);
bool store_each_cache(struct store *s, void (*each)(void *context, const char *name), void *context,
                      struct error *e);

struct webhook_record {
    const char *cache, *name, *topic, *url, *secret;
    const char *previous_secret; /* NULL: none */
    int64_t previous_until_ms;
};
bool store_put_webhook(struct store *s, const struct webhook_record *w, struct error *e);
bool store_delete_webhook(struct store *s, const char *cache, const char *name, struct error *e);
bool store_each_webhook(struct store *s,
                        void (*each)(void *context, const struct webhook_record *w), void *context,
                        struct error *e);

/* A key as it is listed; the token itself is not kept. */
struct key_record {
    char *serial; /* hexadecimal */
    char *id;
    char *description;
    char *rights; /* in words: "admin", "publishsubscribe on all topics" ... */
    int64_t created_s;
    int64_t expires_s; /* 0: never */
};
bool store_add_key(struct store *s, const struct key_record *k, struct error *e);
/* Not revoked, oldest first; `*list` is the caller's. */
bool store_list_keys(struct store *s, struct key_record **list, size_t *count, struct error *e);
void key_list_free(struct key_record *list, size_t count);

/* `*found`: there is a key of that serial in the list; `*expires_s` is its end. */
bool store_find_key(struct store *s, const char *serial, bool *found, int64_t *expires_s,
                    struct error *e);

/* Takes it out of the list, if it is there, and remembers it until it has expired. */
bool store_revoke(struct store *s, const char *serial, int64_t expires_s, struct error *e);
bool store_each_revoked(struct store *s,
                        void (*each)(void *context, const char *serial, int64_t expires_s),
                        void *context, struct error *e);

#endif
