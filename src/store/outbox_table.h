/*
 * outbox_table: how far each webhook has delivered its topic, and what it tries again.
 *
 * What changes it is added to a transaction; what reads works on the connection it is given.
 */
#ifndef HOOKMOON_STORE_OUTBOX_TABLE_H
#define HOOKMOON_STORE_OUTBOX_TABLE_H

#include "store/item_table.h"
#include "store/journal.h"

struct outbox_row {
    int64_t id;
    const char *topic;
    uint64_t page, number;    /* all items before are delivered, or are among the retries */
    uint64_t until;           /* 0, or: another topic took its place, deliver what is before */
    int64_t failing_since_ms; /* 0: the last delivery was taken */
    bool disabled;
};

struct retry_row {
    uint64_t page;
    unsigned attempts;
    int64_t since_ms; /* of the first failure */
    int64_t due_ms;
    const char *error;
    struct item_row item;
};

/* Where a webhook begins, unless it is there already. Another topic that it had ends with what it
 * has by now. */
bool outbox_table_begin(struct database *db, const char *cache, const char *webhook,
                        const char *topic, uint64_t page, uint64_t number, struct error *e);
void outbox_table_save(struct transaction *t, const struct outbox_row *row);
void outbox_table_end(struct transaction *t, int64_t id);
void outbox_table_put_retry(struct transaction *t, int64_t outbox, const struct retry_row *row);
void outbox_table_drop_retry(struct transaction *t, int64_t outbox, uint64_t page, uint64_t number);
/* A dead letter of a delivery is to be delivered again. */
bool outbox_table_revive(struct transaction *t, struct database *db, const char *cache,
                         const char *webhook, const char *topic, const struct retry_row *row,
                         struct error *e);

bool outbox_table_each(struct database *db, const char *cache, const char *webhook,
                       void (*each)(void *context, const struct outbox_row *row), void *context,
                       struct error *e);
bool outbox_table_count(struct database *db, int64_t outbox, int64_t *count, struct error *e);
/* In the order they are due, until `each` returns false. */
bool outbox_table_each_retry(struct database *db, int64_t outbox,
                             bool (*each)(void *context, const struct retry_row *row),
                             void *context, struct error *e);
/* The numbers of a page's retries from `number` on, in order. */
bool outbox_table_numbers(struct database *db, int64_t outbox, uint64_t page, uint64_t number,
                          bool (*each)(void *context, uint64_t number), void *context,
                          struct error *e);

#endif
