/*
 * journal: the thread that writes to the database, many transactions in one commit.
 *
 * Whoever has something to write makes a `struct transaction`, adds its changes and submits it. The
 * writer applies what is queued in the order of submission, commits it together, makes the changes
 * visible and then calls each transaction's `done` on the thread of its port. When the database
 * refuses (a full disk), all transactions of that commit fail, nothing of them is visible, and the
 * next ones are tried anew: it recovers by itself.
 *
 * Any thread, unless said otherwise. The queue is bounded: past it, submitting fails at once.
 */
#ifndef HOOKMOON_STORE_JOURNAL_H
#define HOOKMOON_STORE_JOURNAL_H

#include "store/database.h"

struct journal;
struct transaction;
struct commit_port;

/*
 * One part of a transaction, the first member of its owner's struct. All but `destroy` may be NULL.
 * `apply` and `reverted` run on the writer's thread. `apply` writes; false fails this transaction
 * alone, or with ERROR_STORAGE the whole commit. `reverted` undoes in memory what `apply` did
 * there. `committed` makes it visible: after the commit on the writer's thread, or, when no change
 * of the transaction has an `apply`, at once on the submitting one.
 */
struct change {
    struct change *next;
    bool (*apply)(struct change *c, struct database *db, struct error *e);
    void (*reverted)(struct change *c);
    void (*committed)(struct change *c);
    void (*destroy)(struct change *c);
};

/* `done(context, e)` is called once, `e` NULL when it is committed; may be NULL. */
typedef void transaction_done(void *context, const struct error *e);
struct transaction *transaction_new(transaction_done *done, void *context);
/* Takes the change over; `bytes` is about what it holds in memory. */
void transaction_add(struct transaction *t, struct change *c, size_t bytes);
/* Adds one statement, as database_run; the parameters are copied. When it inserts and `id` is not
 * NULL, the row's id is there once it is applied. */
void transaction_run(struct transaction *t, int64_t *id, const char *sql, const char *format, ...);
/* True when a change of it is to be written. */
bool transaction_is_durable(const struct transaction *t);
/* One that is not submitted after all; does not call `done`. */
void transaction_free(struct transaction *t);

/*
 * Submits, and takes `t` over. `done` is called on the port's thread, by commit_port_dispatch; one
 * that writes nothing is committed and done within this call. False: the queue is full
 * (ERROR_STORAGE); `done` is not called and `t` is freed. With a port it is on its way once
 * commit_port_flush is called: a thread flushes at the end of each turn, so that what one turn
 * brings goes into one commit.
 */
bool journal_submit(struct journal *j, struct commit_port *port, struct transaction *t,
                    struct error *e);
/* As journal_submit without a port, for what may wait a tenth of a second for a commit of others;
 * `done` is called on the writer's thread. */
bool journal_submit_lazily(struct journal *j, struct transaction *t, struct error *e);
/* Waits for the end; never from a `change`. */
bool journal_submit_and_wait(struct journal *j, struct transaction *t, struct error *e);

/* ---- what is written with every commit, and what is tidied between them ---- */

struct journal_client {
    struct journal_client *next;
    /* Before each commit, after all changes; as `apply`, but a failure is the commit's. */
    bool (*flush)(struct journal_client *c, struct database *db, struct error *e);
    /* After it: whether it was committed. */
    void (*settled)(struct journal_client *c, bool committed);
    /* Now and then, in a commit of its own: a small piece of work; `*more` asks for another turn
     * soon. */
    bool (*tidy)(struct journal_client *c, struct database *db, bool *more, struct error *e);
};
/* Before journal_start; the client outlives the journal. */
void journal_add_client(struct journal *j, struct journal_client *c);

/* ---- ports ---- */

/* Where a thread hears of its transactions. `wake` is called from the writer; it must only make the
 * owner call commit_port_dispatch soon. */
struct commit_port *commit_port_new(void (*wake)(void *), void *context);
/* Nothing of it may be under way: see commit_port_pending. */
void commit_port_free(struct commit_port *p);
/* Hands to the journal what was submitted since the last call. Owner thread. */
void commit_port_flush(struct commit_port *p, struct journal *j);
/* Calls `done` of what has ended. Owner thread. */
void commit_port_dispatch(struct commit_port *p);
/* How many transactions are submitted and not done. Owner thread. */
size_t commit_port_pending(const struct commit_port *p);

/* ---- life ---- */

struct journal_figures {
    uint64_t commits, transactions, failures;
    uint64_t queued_bytes;
    bool failing; /* the last commit failed */
};

/* `db` is the writer's from journal_start on; the journal reopens and closes it. */
struct journal *journal_new(struct database *db, size_t queue_bytes);
/* Before journal_start: how much may wait to be written. */
void journal_set_queue(struct journal *j, size_t bytes);
bool journal_start(struct journal *j, struct error *e);
/* From now on nothing is written: every transaction fails with this ERROR_STORAGE. */
void journal_refuse(struct journal *j, const struct error *why);
void journal_get_figures(struct journal *j, struct journal_figures *f);
/* When not NULL, why writing fails this moment. */
bool journal_is_failing(struct journal *j, struct error *why);
/* Commits what is queued, and ends the thread. */
void journal_free(struct journal *j);

#endif
