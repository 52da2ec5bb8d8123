/* The writer's thread: what is committed together, and what one refused transaction does not harm.
 */
#include "fixture.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "store/journal.h"

/* What became of transactions. */
struct outcome {
    unsigned good, bad;
    struct error error;
};

static void note(void *context, const struct error *e) {
    struct outcome *o = context;
    if (e == NULL) {
        o->good++;
    } else {
        o->bad++;
        o->error = *e;
    }
}

static struct transaction *put(const char *name, struct outcome *o) {
    struct transaction *t = transaction_new(o != NULL ? note : NULL, o);
    transaction_run(t, NULL, "INSERT INTO meta (name, value) VALUES (?, 1)", "s", name);
    return t;
}

/* A change that tells what was done with it, and can refuse. */
struct probe {
    struct change change;
    enum error_code refuses; /* ERROR_NONE: it does not */
    atomic_int *applied, *reverted, *committed, *destroyed;
};

static bool apply_probe(struct change *c, struct database *db, struct error *e) {
    struct probe *p = (struct probe *)c;
    atomic_fetch_add(p->applied, 1);
    if (p->refuses != 0)
        return error_set(e, p->refuses, "refused for the test");
    return database_run(db, e, "INSERT INTO meta (name, value) VALUES (hex(randomblob(8)), 2)", "");
}

static void revert_probe(struct change *c) {
    atomic_fetch_add(((struct probe *)c)->reverted, 1);
}

static void commit_probe(struct change *c) {
    atomic_fetch_add(((struct probe *)c)->committed, 1);
}

static void destroy_probe(struct change *c) {
    atomic_fetch_add(((struct probe *)c)->destroyed, 1);
    free(c);
}

struct tally {
    atomic_int applied, reverted, committed, destroyed;
};

static struct transaction *probed(struct tally *tally, enum error_code refuses, struct outcome *o) {
    struct probe *p = xcalloc(1, sizeof *p);
    *p = (struct probe){
        {NULL, apply_probe, revert_probe, commit_probe, destroy_probe},
        refuses,
        &tally->applied,
        &tally->reverted,
        &tally->committed,
        &tally->destroyed,
    };
    struct transaction *t = transaction_new(note, o);
    transaction_add(t, &p->change, sizeof *p);
    return t;
}

static void wake(void *context) {
    atomic_fetch_add((atomic_int *)context, 1);
}

static struct journal *new_journal(const struct place *p, size_t queue) {
    return journal_new(open_prepared(p), queue);
}

static void start(struct journal *j) {
    struct error e;
    assert_true(journal_start(j, &e));
}

static void submit(struct journal *j, struct commit_port *port, struct transaction *t) {
    struct error e;
    if (!journal_submit(j, port, t, &e))
        fail_msg("%s", e.message);
}

static void await(struct commit_port *port) {
    for (int i = 0; i < 5000 && commit_port_pending(port) > 0; i++) {
        commit_port_dispatch(port);
        usleep(1000);
    }
    assert_int_equal(commit_port_pending(port), 0);
}

static void test_what_one_turn_brings_is_one_commit(void **state) {
    struct journal *j = new_journal(*state, 1 << 20);
    struct journal_figures figures;
    struct outcome outcome = {0};
    atomic_int woken = 0;
    struct commit_port *port = commit_port_new(wake, &woken);
    char name[16];
    start(j);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "n%d", i);
        submit(j, port, put(name, &outcome));
    }
    usleep(20000);
    commit_port_dispatch(port);
    assert_int_equal(outcome.good, 0); /* nothing is under way before the flush */
    assert_int_equal(commit_port_pending(port), 100);
    commit_port_flush(port, j);
    await(port);
    assert_int_equal(outcome.good, 100);
    assert_true(woken >= 1);
    journal_get_figures(j, &figures);
    assert_int_equal(figures.commits, 1);
    assert_int_equal(figures.transactions, 100);
    commit_port_free(port);
    journal_free(j);
    struct database *db = open_prepared(*state);
    assert_int_equal(number_of(db, "SELECT count(*) FROM meta"), 100);
    database_close(db);
}

static void test_the_order_is_that_of_submission(void **state) {
    struct journal *j = new_journal(*state, 1 << 20);
    struct outcome outcome = {0};
    atomic_int woken = 0;
    struct commit_port *port = commit_port_new(wake, &woken);
    start(j);
    for (int i = 0; i < 50; i++) {
        struct transaction *t = transaction_new(note, &outcome);
        transaction_run(t, NULL,
                        "INSERT INTO meta (name, value) VALUES ('x', ?) "
                        "ON CONFLICT (name) DO UPDATE SET value = value * 3 % 1000003 + ?",
                        "ii", (int64_t)i, (int64_t)i);
        submit(j, port, t);
    }
    commit_port_flush(port, j);
    await(port);
    commit_port_free(port);
    journal_free(j);
    int64_t expected = 0;
    for (int64_t i = 1; i < 50; i++)
        expected = expected * 3 % 1000003 + i;
    struct database *db = open_prepared(*state);
    assert_int_equal(number_of(db, "SELECT value FROM meta WHERE name = 'x'"), expected);
    database_close(db);
}

static void test_one_that_is_refused_fails_alone(void **state) {
    struct journal *j = new_journal(*state, 1 << 20);
    struct outcome good = {0}, bad = {0};
    struct tally well = {0}, refused = {0};
    atomic_int woken = 0;
    struct commit_port *port = commit_port_new(wake, &woken);
    start(j);
    submit(j, port, probed(&well, 0, &good));
    submit(j, port, probed(&refused, ERROR_NOT_FOUND, &bad));
    submit(j, port, probed(&well, 0, &good));
    commit_port_flush(port, j);
    await(port);
    assert_int_equal(good.good, 2);
    assert_int_equal(bad.bad, 1);
    assert_string_equal(bad.error.message, "refused for the test");
    assert_int_equal(well.committed, 2);
    assert_int_equal(refused.committed, 0);
    /* All that had been applied was undone once, and done again. */
    assert_int_equal(well.applied - well.reverted, 2);
    assert_int_equal(refused.applied - refused.reverted, 0);
    assert_int_equal(well.destroyed + refused.destroyed, 3);
    assert_false(journal_is_failing(j, NULL));
    commit_port_free(port);
    journal_free(j);
    struct database *db = open_prepared(*state);
    assert_int_equal(number_of(db, "SELECT count(*) FROM meta"), 2);
    database_close(db);
}

static void test_a_failure_of_the_disk_fails_them_all(void **state) {
    struct journal *j = new_journal(*state, 1 << 20);
    struct outcome outcome = {0};
    struct tally tally = {0};
    struct error why;
    atomic_int woken = 0;
    struct commit_port *port = commit_port_new(wake, &woken);
    start(j);
    submit(j, port, probed(&tally, 0, &outcome));
    submit(j, port, probed(&tally, ERROR_STORAGE, &outcome));
    submit(j, port, probed(&tally, 0, &outcome));
    commit_port_flush(port, j);
    await(port);
    assert_int_equal(outcome.bad, 3);
    assert_int_equal(outcome.error.code, ERROR_STORAGE);
    assert_int_equal(tally.committed, 0);
    assert_int_equal(tally.applied, tally.reverted);
    assert_true(journal_is_failing(j, &why));
    assert_string_equal(why.message, "refused for the test");
    /* The next one is tried anew. */
    submit(j, port, probed(&tally, 0, &outcome));
    commit_port_flush(port, j);
    await(port);
    assert_int_equal(outcome.good, 1);
    assert_false(journal_is_failing(j, &why));
    commit_port_free(port);
    journal_free(j);
}

/* A disk without room: files of this process may not grow. */
static void test_a_full_disk_and_room_again(void **state) {
    struct journal *j = new_journal(*state, 8 << 20);
    struct rlimit before, tight;
    struct error e;
    static char large[256 * 1024];
    start(j);
    assert_true(journal_submit_and_wait(j, put("before", NULL), &e));
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = before;
    tight.rlim_cur = 200 * 1024;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    struct transaction *t = transaction_new(NULL, NULL);
    transaction_run(t, NULL, "INSERT INTO meta (name, value) VALUES ('large', ?)", "b",
                    (const void *)large, sizeof large);
    bool taken = journal_submit_and_wait(j, t, &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_false(taken);
    assert_int_equal(e.code, ERROR_STORAGE);
    assert_true(journal_is_failing(j, NULL));
    assert_true(journal_submit_and_wait(j, put("after", NULL), &e));
    assert_false(journal_is_failing(j, NULL));
    journal_free(j);
    struct database *db = open_prepared(*state);
    assert_int_equal(number_of(db, "SELECT count(*) FROM meta WHERE name IN ('before', 'after')"),
                     2);
    assert_int_equal(number_of(db, "SELECT count(*) FROM meta WHERE name = 'large'"), 0);
    database_close(db);
}

static void test_the_queue_is_bounded(void **state) {
    struct journal *j = new_journal(*state, 4096);
    struct outcome outcome = {0};
    struct tally tally = {0};
    struct error e;
    unsigned taken = 0;
    /* The thread is not started yet: nothing leaves the queue. */
    while (taken < 1000 && journal_submit(j, NULL, probed(&tally, 0, &outcome), &e))
        taken++;
    assert_in_range(taken, 2, 40);
    assert_int_equal(e.code, ERROR_STORAGE);
    assert_non_null(strstr(e.message, "the disk does not keep up"));
    assert_int_equal(tally.destroyed, 1); /* the refused one, whose `done` is not called */
    assert_int_equal(outcome.good + outcome.bad, 0);
    start(j);
    journal_free(j); /* commits what is queued */
    assert_int_equal(outcome.good, taken);
    assert_int_equal(tally.committed, (int)taken);
}

static void test_one_larger_than_the_queue_is_taken_when_it_is_empty(void **state) {
    struct journal *j = new_journal(*state, 4096);
    static char large[64 * 1024];
    struct error e;
    start(j);
    struct transaction *t = transaction_new(NULL, NULL);
    transaction_run(t, NULL, "INSERT INTO meta (name, value) VALUES ('large', ?)", "b",
                    (const void *)large, sizeof large);
    assert_true(journal_submit_and_wait(j, t, &e));
    journal_free(j);
}

static void test_what_may_wait_goes_with_the_others(void **state) {
    struct journal *j = new_journal(*state, 1 << 20);
    struct outcome lazy = {0};
    struct journal_figures figures;
    struct error e;
    start(j);
    usleep(50000); /* the thread sleeps */
    assert_true(journal_submit_lazily(j, put("lazy", &lazy), &e));
    assert_true(journal_submit_and_wait(j, put("urgent", NULL), &e));
    journal_get_figures(j, &figures);
    assert_int_equal(figures.transactions, 2);
    assert_true(journal_submit_lazily(j, put("alone", &lazy), &e));
    for (int i = 0; i < 5000 && figures.transactions < 3; i++) {
        usleep(1000);
        journal_get_figures(j, &figures);
    }
    assert_int_equal(figures.transactions, 3);
    journal_free(j);
    assert_int_equal(lazy.good, 2);
}

static void test_what_writes_nothing_is_done_at_once(void **state) {
    struct journal *j = new_journal(*state, 1 << 20);
    struct outcome outcome = {0};
    struct tally tally = {0};
    struct transaction *t = probed(&tally, 0, &outcome);
    struct error e;
    transaction_free(t);
    assert_int_equal(tally.destroyed, 1);
    t = transaction_new(note, &outcome);
    struct probe *p = xcalloc(1, sizeof *p);
    *p = (struct probe){.change = {NULL, NULL, NULL, commit_probe, destroy_probe},
                        .committed = &tally.committed,
                        .destroyed = &tally.destroyed};
    transaction_add(t, &p->change, sizeof *p);
    assert_false(transaction_is_durable(t));
    assert_true(journal_submit(j, NULL, t, &e)); /* no thread runs */
    assert_int_equal(tally.committed, 1);
    assert_int_equal(tally.destroyed, 2);
    assert_int_equal(outcome.good, 1);
    journal_free(j);
}

/* ---- clients ---- */

struct client {
    struct journal_client client;
    atomic_int flushed, committed, reverted, tidied;
    atomic_bool fails;
};

static bool flush_client(struct journal_client *c, struct database *db, struct error *e) {
    struct client *client = (struct client *)c;
    if (atomic_load(&client->fails))
        return error_set(e, ERROR_STORAGE, "the client's failure");
    atomic_fetch_add(&client->flushed, 1);
    return database_run(db, e,
                        "INSERT INTO meta (name, value) VALUES ('flushed', 1) "
                        "ON CONFLICT (name) DO UPDATE SET value = value + 1",
                        "");
}

static void settle_client(struct journal_client *c, bool committed) {
    struct client *client = (struct client *)c;
    atomic_fetch_add(committed ? &client->committed : &client->reverted, 1);
}

static bool tidy_client(struct journal_client *c, struct database *db, bool *more,
                        struct error *e) {
    struct client *client = (struct client *)c;
    (void)db, (void)e;
    *more = *more || atomic_fetch_add(&client->tidied, 1) < 20;
    return true;
}

static void test_clients_write_with_every_commit(void **state) {
    struct journal *j = new_journal(*state, 1 << 20);
    struct client client = {.client = {NULL, flush_client, settle_client, tidy_client}};
    struct error e;
    journal_add_client(j, &client.client);
    start(j);
    assert_true(journal_submit_and_wait(j, put("a", NULL), &e));
    assert_true(client.flushed >= 1);
    assert_int_equal(client.flushed, client.committed);
    atomic_store(&client.fails, true);
    assert_false(journal_submit_and_wait(j, put("b", NULL), &e));
    assert_string_equal(e.message, "the client's failure");
    assert_true(client.reverted >= 1);
    atomic_store(&client.fails, false);
    assert_true(journal_submit_and_wait(j, put("c", NULL), &e));
    /* A second after the start it tidies, and again at once as long as there is more. */
    for (int i = 0; i < 5000 && atomic_load(&client.tidied) < 21; i++)
        usleep(1000);
    assert_true(client.tidied >= 21);
    journal_free(j);
    struct database *db = open_prepared(*state);
    assert_int_equal(number_of(db, "SELECT value FROM meta WHERE name = 'flushed'"),
                     client.committed);
    assert_int_equal(number_of(db, "SELECT count(*) FROM meta WHERE name = 'b'"), 0);
    database_close(db);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        with_place(test_what_one_turn_brings_is_one_commit),
        with_place(test_the_order_is_that_of_submission),
        with_place(test_one_that_is_refused_fails_alone),
        with_place(test_a_failure_of_the_disk_fails_them_all),
        with_place(test_a_full_disk_and_room_again),
        with_place(test_the_queue_is_bounded),
        with_place(test_one_larger_than_the_queue_is_taken_when_it_is_empty),
        with_place(test_what_may_wait_goes_with_the_others),
        with_place(test_what_writes_nothing_is_done_at_once),
        with_place(test_clients_write_with_every_commit),
    };
    log_setup(LOG_OFF, LOG_AUTO);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
