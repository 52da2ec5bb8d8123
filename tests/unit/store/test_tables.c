/* Items, deliveries, events and dead letters as they are on the disk. */
#include "fixture.h"

#include "store/deadletter_table.h"
#include "store/inbox_table.h"
#include "store/item_table.h"
#include "store/outbox_table.h"

struct fixture {
    struct place *place;
    struct journal *journal;
    struct database *db; /* reads */
};

static struct fixture set_up(void **state) {
    struct fixture f = {.place = *state};
    struct error e;
    f.journal = journal_new(open_prepared(f.place), 1 << 20);
    assert_true(journal_start(f.journal, &e));
    f.db = database_open(f.place->file, DATABASE_READ, &e);
    assert_non_null(f.db);
    return f;
}

static void tear_down(struct fixture *f) {
    database_close(f->db);
    journal_free(f->journal);
}

static void write_now(struct fixture *f, struct transaction *t) {
    struct error e;
    if (!journal_submit_and_wait(f->journal, t, &e))
        fail_msg("%s", e.message);
}

static struct transaction *begin(void) {
    return transaction_new(NULL, NULL);
}

/* What readers collect. */
struct list {
    size_t count, most;
    uint64_t numbers[64];
    char text[64];
    size_t lengths;
};

/* ---- items ---- */

static bool see_item(void *context, const struct item_row *row) {
    struct list *l = context;
    l->numbers[l->count++] = row->number;
    l->lengths += row->length;
    if (row->value != NULL)
        snprintf(l->text, sizeof l->text, "%.*s", (int)row->length, (const char *)row->value);
    return l->most == 0 || l->count < l->most;
}

static void see_topic(void *context, const struct topic_row *t) {
    struct list *l = context;
    l->numbers[l->count++] = t->next;
    snprintf(l->text, sizeof l->text, "%s/%s", t->cache, t->name);
}

static void add_items(struct database *db, int64_t topic, uint64_t from, uint64_t before) {
    struct error e;
    for (uint64_t n = from; n < before; n++) {
        char *value = xasprintf("value %d", (int)n);
        const struct item_row row = {n, 1, 1000 + (int64_t)n, "me", value, strlen(value)};
        assert_true(item_table_add(db, topic, &row, &e));
        free(value);
    }
}

static void test_items_of_a_topic_lie_together(void **state) {
    struct database *db = open_prepared(*state);
    struct error e;
    struct list l = {0};
    add_items(db, 1, 1, 11);
    add_items(db, 2, 1, 5); /* a neighbour */
    add_items(db, 1, ITEM_NUMBER_MAX, ITEM_NUMBER_MAX + 1);
    assert_true(item_table_read(db, 1, 3, 8, see_item, &l, &e));
    assert_int_equal(l.count, 5);
    assert_int_equal(l.numbers[0], 3);
    assert_int_equal(l.numbers[4], 7);
    assert_string_equal(l.text, "value 7");
    l = (struct list){.most = 2};
    assert_true(item_table_read(db, 1, 1, 100, see_item, &l, &e));
    assert_int_equal(l.count, 2);
    l = (struct list){0};
    assert_true(item_table_sizes(db, 2, 1, 100, see_item, &l, &e));
    assert_int_equal(l.count, 4);
    assert_int_equal(l.lengths, 4 * strlen("value 1"));
    assert_string_equal(l.text, "");
    assert_true(item_table_drop(db, 1, 1, 9, &e));
    l = (struct list){0};
    assert_true(item_table_read(db, 1, 1, ITEM_NUMBER_MAX + 1, see_item, &l, &e));
    assert_int_equal(l.count, 3); /* 9, 10 and the last that can be */
    assert_int_equal(l.numbers[0], 9);
    assert_true(l.numbers[2] == ITEM_NUMBER_MAX);
    l = (struct list){0};
    assert_true(item_table_read(db, 2, 1, 100, see_item, &l, &e));
    assert_int_equal(l.count, 4);
    database_close(db);
}

static void test_topics_and_what_a_deleted_cache_leaves(void **state) {
    struct database *db = open_prepared(*state);
    struct error e;
    struct list l = {0};
    int64_t last = -1;
    const struct topic_row a = {1, "c", "a", 77, 1, 6, 40}, b = {2, "d", "b", 77, 1, 4, 24};
    assert_true(item_table_last_topic(db, &last, &e));
    assert_int_equal(last, 0);
    assert_true(item_table_put_topic(db, &a, &e));
    assert_true(item_table_put_topic(db, &b, &e));
    struct topic_row longer = a;
    longer.next = 9;
    assert_true(item_table_put_topic(db, &longer, &e));
    assert_true(item_table_each_topic(db, see_topic, &l, &e));
    assert_int_equal(l.count, 2);
    assert_int_equal(l.numbers[0] + l.numbers[1], 13);
    add_items(db, 1, 1, 6);
    add_items(db, 2, 1, 4);
    /* The cache is deleted: its topic has no name any more, its items go bit by bit. */
    assert_true(database_script(db, &e, "UPDATE topics SET cache = NULL WHERE cache = 'd'"));
    l = (struct list){0};
    assert_true(item_table_each_topic(db, see_topic, &l, &e));
    assert_int_equal(l.count, 1);
    bool more = true;
    for (int i = 0; more && i < 100; i++) {
        more = false;
        assert_true(item_table_reap(db, &more, &e));
    }
    assert_false(more);
    assert_int_equal(number_of(db, "SELECT count(*) FROM items"), 5);
    assert_int_equal(number_of(db, "SELECT count(*) FROM topics"), 1);
    database_close(db);
}

/* ---- the outbox ---- */

static void see_row(void *context, const struct outbox_row *row) {
    struct outbox_row *rows = context;
    for (size_t i = 0; i < 4; i++) {
        if (rows[i].id != 0)
            continue;
        rows[i] = *row;
        rows[i].topic = row->topic[0] == 'a' ? "a" : "b";
        return;
    }
    fail_msg("too many rows");
}

static bool see_retry(void *context, const struct retry_row *row) {
    struct list *l = context;
    l->numbers[l->count++] = row->item.number;
    snprintf(l->text, sizeof l->text, "%s after %u: %.*s", row->error, row->attempts,
             (int)row->item.length, (const char *)row->item.value);
    return true;
}

static bool see_number(void *context, uint64_t number) {
    struct list *l = context;
    l->numbers[l->count++] = number;
    return true;
}

static struct retry_row retry_of(uint64_t number, int64_t due_ms, unsigned attempts) {
    return (struct retry_row){5,      attempts,     1,
                              due_ms, "status 500", {number, 1, 2, "me", "text", 4}};
}

static void test_how_far_a_webhook_got(void **state) {
    struct fixture f = set_up(state);
    struct database *writer = open_prepared(f.place);
    struct outbox_row rows[4] = {0};
    struct error e;
    assert_true(outbox_table_begin(writer, "c", "w", "a", 5, 10, &e));
    assert_true(outbox_table_begin(writer, "c", "w", "a", 6, 99, &e)); /* it is there already */
    assert_true(outbox_table_each(f.db, "c", "w", see_row, rows, &e));
    assert_int_equal(rows[1].id, 0);
    assert_int_equal(rows[0].page, 5);
    assert_int_equal(rows[0].number, 10);
    rows[0].number = 20;
    rows[0].failing_since_ms = 123;
    rows[0].disabled = true;
    struct transaction *t = begin();
    outbox_table_save(t, &rows[0]);
    write_now(&f, t);
    /* Another topic: the first one ends with what it has by now. */
    const struct topic_row topic = {1, "c", "a", 5, 1, 42, 0};
    assert_true(item_table_put_topic(writer, &topic, &e));
    assert_true(outbox_table_begin(writer, "c", "w", "b", 7, 3, &e));
    memset(rows, 0, sizeof rows);
    assert_true(outbox_table_each(f.db, "c", "w", see_row, rows, &e));
    assert_string_equal(rows[0].topic, "a");
    assert_int_equal(rows[0].number, 20);
    assert_int_equal(rows[0].until, 42);
    assert_int_equal(rows[0].failing_since_ms, 123);
    assert_true(rows[0].disabled);
    assert_string_equal(rows[1].topic, "b");
    assert_int_equal(rows[1].until, 0);
    /* And back again. */
    assert_true(outbox_table_begin(writer, "c", "w", "a", 8, 50, &e));
    memset(rows, 0, sizeof rows);
    assert_true(outbox_table_each(f.db, "c", "w", see_row, rows, &e));
    assert_int_equal(rows[0].until, 0);
    assert_int_equal(rows[0].number, 20);
    database_close(writer);
    tear_down(&f);
}

static void test_what_is_tried_again(void **state) {
    struct fixture f = set_up(state);
    struct database *writer = open_prepared(f.place);
    struct outbox_row rows[4] = {0};
    struct list l = {0};
    struct error e;
    int64_t count;
    assert_true(outbox_table_begin(writer, "c", "w", "a", 5, 10, &e));
    assert_true(outbox_table_each(writer, "c", "w", see_row, rows, &e));
    int64_t id = rows[0].id;
    struct retry_row late = retry_of(11, 3000, 1), soon = retry_of(12, 1000, 1);
    struct transaction *t = begin();
    outbox_table_put_retry(t, id, &late);
    outbox_table_put_retry(t, id, &soon);
    outbox_table_put_retry(t, id + 7, &soon); /* whose webhook was deleted a moment ago */
    write_now(&f, t);
    assert_int_equal(number_of(f.db, "SELECT count(*) FROM retries"), 2);
    assert_true(outbox_table_each_retry(f.db, id, see_retry, &l, &e));
    assert_int_equal(l.numbers[0], 12);
    assert_int_equal(l.numbers[1], 11);
    assert_string_equal(l.text, "status 500 after 1: text");
    /* It fails once more, and is due later: one row still. */
    soon = retry_of(12, 9000, 2);
    t = begin();
    outbox_table_put_retry(t, id, &soon);
    write_now(&f, t);
    assert_true(outbox_table_count(f.db, id, &count, &e));
    assert_int_equal(count, 2);
    l = (struct list){0};
    assert_true(outbox_table_numbers(f.db, id, 5, 12, see_number, &l, &e));
    assert_int_equal(l.count, 1);
    assert_true(outbox_table_numbers(f.db, id, 6, 0, see_number, &l, &e)); /* another page */
    assert_int_equal(l.count, 1);
    t = begin();
    outbox_table_drop_retry(t, id, 5, 11);
    write_now(&f, t);
    assert_true(outbox_table_count(f.db, id, &count, &e));
    assert_int_equal(count, 1);
    /* A dead letter comes back, as long as there is a webhook for it. */
    t = begin();
    assert_true(outbox_table_revive(t, f.db, "c", "w", "a", &late, &e));
    write_now(&f, t);
    t = begin();
    assert_false(outbox_table_revive(t, f.db, "c", "gone", "a", &late, &e));
    assert_int_equal(e.code, ERROR_PRECONDITION);
    transaction_free(t);
    t = begin();
    outbox_table_end(t, id);
    write_now(&f, t);
    assert_int_equal(number_of(f.db, "SELECT count(*) FROM retries"), 0);
    assert_int_equal(number_of(f.db, "SELECT count(*) FROM outbox"), 0);
    database_close(writer);
    tear_down(&f);
}

/* ---- the inbox ---- */

static bool see_event(void *context, const struct inbox_row *row) {
    struct list *l = context;
    l->numbers[l->count++] = (uint64_t)row->id;
    snprintf(l->text, sizeof l->text, "%s %u %s %.*s", row->hook, row->attempts, row->request,
             (int)row->length, row->event);
    return l->most == 0 || l->count < l->most;
}

static void test_events_that_wait_for_their_script(void **state) {
    struct fixture f = set_up(state);
    struct list l = {0};
    struct error e;
    int64_t ids[4] = {0}, count;
    struct transaction *t = begin();
    for (size_t i = 0; i < 4; i++) {
        const struct inbox_row row = {0, "h", 1, 0, 1000, "0123456789abcdef", "{}", "event", 5};
        inbox_table_add(t, &ids[i], &row);
    }
    write_now(&f, t);
    assert_true(ids[0] > 0 && ids[3] == ids[0] + 3);
    /* Each belongs to one worker. */
    assert_true(inbox_table_due(f.db, 999, 0, 2, see_event, &l, &e));
    assert_int_equal(l.count, 0);
    assert_true(inbox_table_due(f.db, 1000, 0, 2, see_event, &l, &e));
    assert_int_equal(l.count, 2);
    assert_true(inbox_table_due(f.db, 1000, 1, 2, see_event, &l, &e));
    assert_int_equal(l.count, 4);
    assert_string_equal(l.text, "h 0 {} event");
    t = begin();
    inbox_table_retry(t, ids[0], 2, 5000);
    inbox_table_remove(t, ids[1]);
    write_now(&f, t);
    l = (struct list){0};
    assert_true(inbox_table_due(f.db, 1000, 0, 1, see_event, &l, &e));
    assert_int_equal(l.count, 2);
    assert_true(inbox_table_count(f.db, &count, &e));
    assert_int_equal(count, 3);
    l = (struct list){0};
    assert_true(inbox_table_due(f.db, 5000, 0, 1, see_event, &l, &e));
    assert_int_equal(l.count, 3);
    tear_down(&f);
}

/* ---- dead letters ---- */

static void see_deadletter(void *context, const struct deadletter *d) {
    struct list *l = context;
    l->numbers[l->count++] = (uint64_t)d->id;
    snprintf(l->text, sizeof l->text, "%s %u %s %.*s", d->kind, d->attempts, d->error,
             d->event != NULL ? (int)d->length : 0, d->event != NULL ? d->event : "");
}

static void see_fingerprint(void *context, const void *fingerprint) {
    struct list *l = context;
    assert_memory_equal(fingerprint, "0123456789abcde", 15);
    l->count++;
}

static struct deadletter of_script(const char *fingerprint, const char *error, unsigned attempts) {
    return (struct deadletter){
        .kind = DEADLETTER_SCRIPT,
        .created_ms = 1,
        .updated_ms = 1000,
        .attempts = attempts,
        .error = error,
        .traceback = "stack traceback: ...",
        .hook = "h",
        .version = "v1",
        .fingerprint = fingerprint,
        .request = "{\"headers\":{}}",
        .cache = "c",
        .topic = "t",
        .number = 7,
        .event = "the event",
        .length = 9,
    };
}

static struct deadletter of_delivery(uint64_t number) {
    return (struct deadletter){
        .kind = DEADLETTER_DELIVERY,
        .created_ms = 1,
        .updated_ms = 2000,
        .attempts = 3,
        .error = "status 500",
        .traceback = "",
        .cache = "c",
        .topic = "t",
        .number = number,
        .page = 5,
        .webhook = "w",
        .url = "http://127.0.0.1:1/",
        .item_kind = 1,
        .timestamp_ms = 9,
        .publisher_id = "",
        .event = "the item",
        .length = 8,
    };
}

static size_t listed(struct database *db, struct deadletter_filter filter) {
    struct list l = {0};
    struct error e;
    if (filter.limit == 0)
        filter.limit = 100;
    assert_true(deadletter_table_list(db, &filter, see_deadletter, &l, &e));
    return l.count;
}

static void test_dead_letters(void **state) {
    struct fixture f = set_up(state);
    struct list l = {0};
    struct error e;
    int64_t count;
    struct deadletter a = of_script("0123456789abcdeA", "first", 1);
    struct deadletter b = of_script("0123456789abcdeB", "other", 1);
    struct deadletter c = of_delivery(1), d = of_delivery(2);
    struct transaction *t = begin();
    deadletter_table_put(t, &a);
    deadletter_table_put(t, &b);
    deadletter_table_put(t, &c);
    deadletter_table_put(t, &d);
    write_now(&f, t);
    /* The same event fails again: the same dead letter. */
    a = of_script("0123456789abcdeA", "second", 4);
    t = begin();
    deadletter_table_put(t, &a);
    write_now(&f, t);
    assert_true(deadletter_table_count(f.db, &count, &e));
    assert_int_equal(count, 4);
    assert_true(deadletter_table_get(f.db, 1, see_deadletter, &l, &e));
    assert_int_equal(l.count, 1);
    assert_non_null(strstr(l.text, "second the event"));
    assert_true(deadletter_table_get(f.db, 77, see_deadletter, &l, &e));
    assert_int_equal(l.count, 1);
    assert_int_equal(listed(f.db, (struct deadletter_filter){0}), 4);
    assert_int_equal(listed(f.db, (struct deadletter_filter){.kind = DEADLETTER_DELIVERY}), 2);
    assert_int_equal(listed(f.db, (struct deadletter_filter){.hook = "h"}), 2);
    assert_int_equal(listed(f.db, (struct deadletter_filter){.cache = "c", .webhook = "w"}), 2);
    assert_int_equal(listed(f.db, (struct deadletter_filter){.cache = "other"}), 0);
    assert_int_equal(listed(f.db, (struct deadletter_filter){.after = 3}), 1);
    assert_int_equal(listed(f.db, (struct deadletter_filter){.limit = 3}), 3);
    l = (struct list){0};
    assert_true(deadletter_table_each_event(f.db, 10, see_fingerprint, &l, &e));
    assert_int_equal(l.count, 2);
    t = begin();
    deadletter_table_resolve(t, "h", "0123456789abcdeA");
    deadletter_table_resolve(t, "another", "0123456789abcdeB"); /* of another hook: not it */
    deadletter_table_drop(t, 3);
    write_now(&f, t);
    assert_int_equal(listed(f.db, (struct deadletter_filter){0}), 2);
    tear_down(&f);
}

static void test_old_dead_letters_go(void **state) {
    struct fixture f = set_up(state);
    struct database *writer = open_prepared(f.place);
    struct error e;
    struct transaction *t = begin();
    for (uint64_t i = 0; i < 10; i++) {
        struct deadletter d = of_delivery(i);
        d.updated_ms = 1000 + (int64_t)i;
        deadletter_table_put(t, &d);
    }
    write_now(&f, t);
    assert_true(deadletter_table_tidy(writer, 100, 1003, &e));
    assert_int_equal(number_of(f.db, "SELECT min(number) FROM deadletters"), 3);
    assert_true(deadletter_table_tidy(writer, 2, 0, &e));
    assert_int_equal(number_of(f.db, "SELECT min(number) FROM deadletters"), 8);
    assert_int_equal(number_of(f.db, "SELECT count(*) FROM deadletters"), 2);
    database_close(writer);
    tear_down(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        with_place(test_items_of_a_topic_lie_together),
        with_place(test_topics_and_what_a_deleted_cache_leaves),
        with_place(test_how_far_a_webhook_got),
        with_place(test_what_is_tried_again),
        with_place(test_events_that_wait_for_their_script),
        with_place(test_dead_letters),
        with_place(test_old_dead_letters_go),
    };
    log_setup(LOG_OFF, LOG_AUTO);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
