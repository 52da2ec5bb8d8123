/* Topics that are on the disk: what is there after a restart, what retention drops, what is held.
 */
#include "../store/fixture.h"

#include "broker/broker.h"

struct fixture {
    struct place *place;
    struct store *store;
    struct broker *broker;
    struct mailbox *mailbox;
    struct retention retention;
    uint64_t backlog;
    unsigned good, bad; /* publishes */
    struct error error;
    int readies;
};

static void wake(void *context) {
    (void)context;
}

static void count(void *context) {
    ++*(int *)context;
}

static void open_all(struct fixture *f) {
    const struct broker_limits limits = {
        .topics = 3,
        .subscribers = 4,
        .retained_items = 5,
        .retained_bytes = 1 << 20,
        .message_bytes = 1000,
        .backlog = f->backlog,
    };
    struct error e;
    f->store = store_open(f->place->folder, true, &e);
    assert_non_null(f->store);
    f->broker = broker_new(&limits, 100, f->store);
    const struct cache_settings settings = {true, f->retention}, memory = {0};
    assert_true(broker_create_cache(f->broker, "c", &settings, &e));
    assert_true(broker_create_cache(f->broker, "mem", &memory, &e));
    assert_true(broker_restore(f->broker, &e));
    assert_true(store_start(f->store, &e));
    f->mailbox = mailbox_new(f->broker, wake, NULL);
}

static void await_all(struct fixture *f) {
    mailbox_flush(f->mailbox);
    for (int i = 0; i < 5000 && mailbox_pending(f->mailbox) > 0; i++) {
        mailbox_dispatch(f->mailbox);
        usleep(500);
    }
    assert_int_equal(mailbox_pending(f->mailbox), 0);
    mailbox_dispatch(f->mailbox);
}

static void close_all(struct fixture *f) {
    await_all(f);
    mailbox_free(f->mailbox);
    store_close(f->store);
    broker_free(f->broker);
}

static int setup(void **state) {
    struct fixture *f = xcalloc(1, sizeof *f);
    void *place;
    make_place(&place);
    f->place = place;
    f->backlog = 1000000;
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    void *place = f->place;
    free(f);
    return remove_place(&place);
}

static void on_published(void *context, const struct error *e) {
    struct fixture *f = context;
    if (e == NULL) {
        f->good++;
    } else {
        f->bad++;
        f->error = *e;
    }
}

static bool try_publish(struct fixture *f, const char *cache, const char *topic, const char *text,
                        struct error *e) {
    struct item *item = item_new(ITEM_TEXT, text, strlen(text), "me", "request");
    const struct publish p = {cache, topic, item};
    bool taken = broker_publish(f->mailbox, &p, 1, on_published, f, e);
    item_unref(item);
    return taken;
}

static void publish(struct fixture *f, const char *topic, unsigned many) {
    struct error e;
    char text[16];
    for (unsigned i = 1; i <= many; i++) {
        snprintf(text, sizeof text, "v%u", i);
        if (!try_publish(f, "c", topic, text, &e))
            fail_msg("%s", e.message);
    }
    await_all(f);
}

static struct subscription *subscribe(struct fixture *f, const char *topic, uint64_t page,
                                      uint64_t number) {
    struct error e;
    struct subscription *s = subscription_open(
        f->mailbox, "c", topic, (struct resume){page, number}, count, &f->readies, &e);
    if (s == NULL)
        fail_msg("%s", e.message);
    return s;
}

static uint64_t page_of(struct fixture *f) {
    struct resume position;
    struct error e;
    assert_true(broker_topic_position(f->broker, "c", "t", &position, &e));
    return position.page;
}

/* Reads everything: first and last number, how many, in order; and the gap before. */
struct reading {
    uint64_t first, last, count;
    bool gap;
    struct discontinuity d;
};

static struct reading read_all(struct subscription *s) {
    struct reading r = {0};
    struct item *items[7];
    size_t n;
    bool gap;
    struct discontinuity d;
    while ((n = subscription_read(s, items, COUNT_OF(items), &gap, &d)) > 0) {
        if (gap) {
            assert_int_equal(r.count, 0); /* only before the first here */
            r.gap = true;
            r.d = d;
        }
        for (size_t i = 0; i < n; i++) {
            if (r.count == 0)
                r.first = items[i]->number;
            else
                assert_int_equal(items[i]->number, r.last + 1);
            r.last = items[i]->number;
            r.count++;
            item_unref(items[i]);
        }
    }
    return r;
}

static void test_nothing_is_seen_or_acknowledged_before_it_is_committed(void **state) {
    struct fixture *f = *state;
    struct error e;
    open_all(f);
    struct subscription *s = subscribe(f, "t", 0, 0);
    assert_true(try_publish(f, "c", "t", "x", &e));
    assert_int_equal(f->good, 0);
    assert_int_equal(read_all(s).count, 0);
    assert_int_equal(subscription_tip(s), 1);
    await_all(f);
    assert_int_equal(f->good, 1);
    assert_true(f->readies > 0);
    assert_int_equal(read_all(s).last, 1);
    /* In memory it is done within the call. */
    assert_true(try_publish(f, "mem", "t", "x", &e));
    assert_int_equal(f->good, 2);
    subscription_close(s);
    close_all(f);
}

static void test_page_and_numbers_go_on_after_a_restart(void **state) {
    struct fixture *f = *state;
    open_all(f);
    publish(f, "t", 12);
    uint64_t page = page_of(f);
    close_all(f);
    open_all(f);
    assert_true(page_of(f) == page);
    publish(f, "t", 1);
    struct subscription *s = subscribe(f, "t", page, 13);
    struct reading r = read_all(s);
    assert_int_equal(r.first, 13);
    assert_int_equal(r.count, 1);
    assert_false(r.gap);
    subscription_close(s);
    close_all(f);
}

static void test_resuming_reaches_past_the_ring(void **state) {
    struct fixture *f = *state;
    open_all(f);
    publish(f, "t", 200); /* the ring has 5 */
    struct subscription *s = subscribe(f, "t", page_of(f), 3);
    struct reading r = read_all(s);
    assert_int_equal(r.first, 3);
    assert_int_equal(r.last, 200);
    assert_false(r.gap);
    subscription_close(s);
    close_all(f);
    open_all(f); /* nothing is in the ring */
    s = subscribe(f, "t", page_of(f), 150);
    r = read_all(s);
    assert_int_equal(r.first, 150);
    assert_int_equal(r.last, 200);
    publish(f, "t", 1);
    assert_int_equal(read_all(s).last, 201);
    subscription_close(s);
    close_all(f);
}

static void test_an_item_is_the_same_from_the_disk(void **state) {
    struct fixture *f = *state;
    struct item *ring, *disk;
    struct error e;
    bool gap;
    struct discontinuity d;
    static const char bytes[] = {0, 1, (char)0xff, 'x'};
    open_all(f);
    struct subscription *s = subscribe(f, "t", 0, 0);
    struct item *item = item_new(ITEM_BINARY, bytes, sizeof bytes, "who", "request");
    const struct publish p = {"c", "t", item};
    assert_true(broker_publish(f->mailbox, &p, 1, on_published, f, &e));
    item_unref(item);
    await_all(f);
    assert_int_equal(subscription_read(s, &ring, 1, &gap, &d), 1);
    subscription_close(s);
    close_all(f);
    open_all(f);
    s = subscribe(f, "t", page_of(f), 1);
    assert_int_equal(subscription_read(s, &disk, 1, &gap, &d), 1);
    assert_int_equal(disk->kind, ITEM_BINARY);
    assert_int_equal(disk->length, sizeof bytes);
    assert_memory_equal(disk->value, bytes, sizeof bytes);
    assert_string_equal(disk->publisher_id, "who");
    assert_true(disk->timestamp_ms == ring->timestamp_ms);
    assert_true(disk->page == ring->page);
    assert_true(disk->timestamp_ms > 0);
    item_unref(ring);
    item_unref(disk);
    subscription_close(s);
    close_all(f);
}

static void await_floor(struct fixture *f, int64_t floor) {
    struct error e;
    struct database *db = store_open_reader(f->store, &e);
    for (int i = 0; i < 10000; i++) {
        if (number_of(db, "SELECT coalesce(min(id & 0xffffffffff), 0) FROM items") == floor)
            break;
        usleep(1000);
    }
    assert_int_equal(number_of(db, "SELECT coalesce(min(id & 0xffffffffff), 0) FROM items"), floor);
    database_close(db);
}

static void test_retention_by_count(void **state) {
    struct fixture *f = *state;
    f->retention.items = 20;
    open_all(f);
    publish(f, "t", 100);
    await_floor(f, 81);
    struct subscription *s = subscribe(f, "t", page_of(f), 3);
    struct reading r = read_all(s);
    assert_true(r.gap); /* and it is said */
    assert_int_equal(r.d.last_number, 2);
    assert_int_equal(r.d.new_number, 81);
    assert_int_equal(r.first, 81);
    assert_int_equal(r.last, 100);
    subscription_close(s);
    close_all(f);
}

static void test_retention_by_bytes(void **state) {
    struct fixture *f = *state;
    struct error e;
    char text[101];
    memset(text, 'x', 100);
    text[100] = '\0';
    f->retention.bytes = 1000;
    open_all(f);
    for (int i = 0; i < 50; i++)
        assert_true(try_publish(f, "c", "t", text, &e));
    await_all(f);
    await_floor(f, 41);
    close_all(f);
}

static void test_retention_by_age(void **state) {
    struct fixture *f = *state;
    f->retention.age_ms = 300;
    open_all(f);
    publish(f, "t", 10);
    await_floor(f, 0);
    /* Numbers go on, also when nothing is left. */
    close_all(f);
    open_all(f);
    struct subscription *s = subscribe(f, "t", 0, 0);
    assert_int_equal(subscription_tip(s), 11);
    subscription_close(s);
    close_all(f);
}

static void test_what_is_held_stays(void **state) {
    struct fixture *f = *state;
    f->retention.items = 20;
    open_all(f);
    publish(f, "t", 10);
    struct subscription *holder = subscribe(f, "t", page_of(f), 5);
    subscription_hold(holder, 5);
    publish(f, "t", 90);
    await_floor(f, 5); /* all from 5 on, though 20 are kept */
    struct reading r = read_all(holder);
    assert_int_equal(r.first, 5);
    assert_int_equal(r.last, 100);
    assert_false(r.gap);
    /* Others are given what the retention says. */
    struct subscription *other = subscribe(f, "t", page_of(f), 1);
    assert_int_equal(read_all(other).first, 81);
    subscription_hold(holder, 95);
    await_floor(f, 81);
    subscription_hold(holder, UINT64_MAX);
    publish(f, "t", 20);
    await_floor(f, 101);
    subscription_close(other);
    subscription_close(holder);
    close_all(f);
}

static void test_one_who_holds_too_much_refuses_publishes(void **state) {
    struct fixture *f = *state;
    struct error e;
    f->backlog = 10;
    open_all(f);
    struct subscription *holder = subscribe(f, "t", 0, 0);
    subscription_hold(holder, 1);
    publish(f, "t", 10);
    assert_false(try_publish(f, "c", "t", "x", &e));
    assert_int_equal(e.code, ERROR_LIMIT);
    publish(f, "another", 1); /* the other topics go on */
    subscription_hold(holder, 6);
    publish(f, "t", 5);
    assert_false(try_publish(f, "c", "t", "x", &e));
    subscription_close(holder);
    publish(f, "t", 1);
    close_all(f);
}

static void test_a_deleted_cache_is_gone_for_good(void **state) {
    struct fixture *f = *state;
    struct error e;
    open_all(f);
    publish(f, "t", 10);
    uint64_t page = page_of(f);
    struct subscription *s = subscribe(f, "t", page, 1);
    assert_true(broker_close_cache(f->broker, "c", true, &e));
    assert_false(try_publish(f, "c", "t", "x", &e));
    assert_true(broker_delete_cache(f->broker, "c", &e));
    assert_true(store_delete_cache(f->store, "c", &e));
    mailbox_dispatch(f->mailbox);
    assert_true(subscription_ended(s));
    subscription_close(s);
    /* Made again, it begins anew, with a page that it never had. */
    const struct cache_settings settings = {.durable = true};
    assert_true(broker_create_cache(f->broker, "c", &settings, &e));
    publish(f, "t", 1);
    assert_true(page_of(f) > page);
    s = subscribe(f, "t", page, 1);
    struct reading r = read_all(s);
    assert_int_equal(r.count, 1);
    assert_true(r.gap);
    subscription_close(s);
    close_all(f);
}

static void test_flushing_drops_what_is_retained(void **state) {
    struct fixture *f = *state;
    struct error e;
    open_all(f);
    publish(f, "t", 10);
    uint64_t page = page_of(f);
    assert_true(broker_flush_cache(f->broker, "c", &e));
    publish(f, "t", 1);
    close_all(f);
    open_all(f);
    struct subscription *s = subscribe(f, "t", page, 1);
    struct reading r = read_all(s);
    assert_int_equal(r.first, 11);
    assert_int_equal(r.count, 1);
    assert_true(r.gap);
    subscription_close(s);
    close_all(f);
}

#define durable(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        durable(test_nothing_is_seen_or_acknowledged_before_it_is_committed),
        durable(test_page_and_numbers_go_on_after_a_restart),
        durable(test_resuming_reaches_past_the_ring),
        durable(test_an_item_is_the_same_from_the_disk),
        durable(test_retention_by_count),
        durable(test_retention_by_bytes),
        durable(test_retention_by_age),
        durable(test_what_is_held_stays),
        durable(test_one_who_holds_too_much_refuses_publishes),
        durable(test_a_deleted_cache_is_gone_for_good),
        durable(test_flushing_drops_what_is_retained),
    };
    log_setup(LOG_OFF, LOG_AUTO);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
