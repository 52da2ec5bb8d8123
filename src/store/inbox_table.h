/*
 * inbox_table: events that were received and whose script has still to run (ack = "received").
 *
 * What changes it is added to a transaction; what reads works on the connection it is given.
 */
#ifndef HOOKMOON_STORE_INBOX_TABLE_H
#define HOOKMOON_STORE_INBOX_TABLE_H

#include "store/journal.h"

struct inbox_row {
    int64_t id;
    const char *hook;
    int64_t received_ms;
    unsigned attempts;
    int64_t due_ms;          /* of the wall clock */
    const void *fingerprint; /* 16 bytes */
    const char *request;     /* JSON, see ingress/envelope.h */
    const char *event;       /* the body */
    size_t length;
};

void inbox_table_add(struct transaction *t, int64_t *id, const struct inbox_row *row);
void inbox_table_retry(struct transaction *t, int64_t id, unsigned attempts, int64_t due_ms);
void inbox_table_remove(struct transaction *t, int64_t id);
/* After a restart: what no script has run on is due. */
void inbox_table_release(struct transaction *t);

bool inbox_table_count(struct database *db, int64_t *count, struct error *e);
/* Those of one worker that are due, oldest first, until `each` returns false. */
bool inbox_table_due(struct database *db, int64_t now_ms, unsigned worker, unsigned workers,
                     bool (*each)(void *context, const struct inbox_row *row), void *context,
                     struct error *e);

#endif
