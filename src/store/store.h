/*
 * store: the data directory: its lock, its database DIR/hookmoon.db (SQLite, schema.h), the journal
 * that writes to it, and the control plane's tables: caches, webhooks, keys. Items, deliveries and
 * events have files of their own in store/.
 *
 * Any thread; locks itself. A call that changes something returns once it is on the disk. Errors
 * are ERROR_STORAGE with SQLite's reason and the path.
 */
#ifndef HOOKMOON_STORE_STORE_H
#define HOOKMOON_STORE_STORE_H

#include "store/journal.h"

struct store;

/* Makes the directory (mode 0700) and the database when they are missing. With `exclusive` no other
 * gateway may use the directory meanwhile (ERROR_UNAVAILABLE); `hookmoon key` works beside one. An
 * exclusive one that was not closed the last time is checked for damage, beside what follows; when
 * there is some, its journal refuses everything from then on. */
struct store *store_open(const char *dir, bool exclusive, struct error *e);
/* Commits what the journal has, and notes that nothing is left to check. */
void store_close(struct store *s);

struct store_limits {
    size_t queue_bytes;        /* waiting to be written */
    uint64_t deadletters;      /* the newest that are kept */
    int64_t deadletter_age_ms; /* and how long */
};
/* Of an exclusive store, before store_start. */
void store_set_limits(struct store *s, const struct store_limits *limits);

/* The journal of an exclusive store, whose clients are added before store_start. */
struct journal *store_journal(struct store *s);
/* From now on the journal's thread writes. */
bool store_start(struct store *s, struct error *e);
/* A connection of the caller's own, for reading on one thread; closed with database_close. */
struct database *store_open_reader(const struct store *s, struct error *e);
/* True when the check for damage found some; `why` says what. */
bool store_is_damaged(struct store *s, struct error *why);
/* True when another process changed the database since the last call. */
bool store_changed(struct store *s);

bool store_count_deadletters(struct store *s, int64_t *count, struct error *e);

/* A page that no topic of an earlier run had, nor will have before the next call. */
bool store_next_page(struct store *s, uint64_t now_s, uint64_t *page, struct error *e);

/* 16 bytes that stay the same for this directory: they seed the fingerprints of events. */
bool store_seed(struct store *s, unsigned char seed[16], struct error *e);

bool store_add_cache(struct store *s, const char *name, bool durable, struct error *e);
/* With its webhooks and what they still had to deliver; its topics' items go bit by bit. */
bool store_delete_cache(struct store *s, const char *name, struct error *e);
bool store_each_cache(struct store *s, void (*each)(void *context, const char *name, bool durable),
                      void *context, struct error *e);

struct webhook_record {
    const char *cache, *name, *topic, *url, *secret;
    const char *options;         /* JSON, or "" */
    const char *previous_secret; /* NULL: none */
    int64_t previous_until_ms;
    uint64_t page, number; /* where it begins to deliver, if it is new to its topic */
};
bool store_put_webhook(struct store *s, const struct webhook_record *w, struct error *e);
/* For one of the configuration file, which has no row but this. */
bool store_begin_webhook(struct store *s, const struct webhook_record *w, struct error *e);
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
