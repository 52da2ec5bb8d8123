#include "../test.h"

#include "broker/broker.h"

static void wake(void *context) {
    ++*(int *)context;
}

static void count(void *context) {
    ++*(int *)context;
}

struct fixture {
    struct broker *broker;
    struct mailbox *mailbox;
    int wakes;
    int readies;
};

static int setup(void **state) {
    struct fixture *f = xcalloc(1, sizeof *f);
    const struct broker_limits limits = {.topics = 3,
                                         .subscribers = 4,
                                         .retained_items = 5,
                                         .retained_bytes = 1 << 20,
                                         .message_bytes = 100};
    f->broker = broker_new(&limits, 0, NULL);
    f->mailbox = mailbox_new(f->broker, wake, &f->wakes);
    broker_create_cache(f->broker, "c", &(struct cache_settings){0}, NULL);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    mailbox_free(f->mailbox);
    broker_free(f->broker);
    free(f);
    return 0;
}

static bool publish(struct fixture *f, const char *topic, const char *text, struct error *e) {
    struct item *item = item_new(ITEM_TEXT, text, strlen(text), "", "");
    bool done = broker_publish(f->mailbox, &(struct publish){"c", topic, item}, 1, NULL, NULL, e);
    item_unref(item);
    return done;
}

static struct subscription *subscribe(struct fixture *f, uint64_t page, uint64_t number) {
    return subscription_open(f->mailbox, "c", "t", (struct resume){page, number}, count,
                             &f->readies, NULL);
}

/* Reads everything as "gap:LAST:NEW 4 5 6". */
static const char *read_all(struct subscription *s) {
    static struct buffer text;
    struct item *items[2];
    size_t n;
    bool gap;
    struct discontinuity d;
    buffer_clear(&text);
    buffer_add_string(&text, "");
    while ((n = subscription_read(s, items, 2, &gap, &d)) > 0) {
        if (gap)
            buffer_add_format(&text, "gap:%d:%d ", (int)d.last_number, (int)d.new_number);
        for (size_t i = 0; i < n; i++) {
            buffer_add_format(&text, "%d ", (int)items[i]->number);
            item_unref(items[i]);
        }
    }
    return buffer_string(&text);
}

static void test_numbers_start_at_one_and_fresh_subscribers_see_only_what_is_new(void **state) {
    struct fixture *f = *state;
    assert_true(publish(f, "t", "a", NULL));
    struct subscription *s = subscribe(f, 0, 0);
    assert_string_equal(read_all(s), "");
    assert_true(publish(f, "t", "b", NULL));
    mailbox_dispatch(f->mailbox);
    assert_int_equal(f->readies, 1);
    assert_string_equal(read_all(s), "2 ");
    subscription_close(s);
}

static void test_resume_replays_what_is_retained(void **state) {
    struct fixture *f = *state;
    for (int i = 0; i < 4; i++)
        publish(f, "t", "x", NULL);
    struct subscription *s = subscribe(f, 0, 2);
    assert_string_equal(read_all(s), "2 3 4 ");
    subscription_close(s);
    s = subscribe(f, 0, 5);
    assert_string_equal(read_all(s), "");
    publish(f, "t", "x", NULL);
    assert_string_equal(read_all(s), "5 ");
    subscription_close(s);
}

static void test_resume_past_the_ring_announces_the_gap(void **state) {
    struct fixture *f = *state;
    for (int i = 0; i < 8; i++)
        publish(f, "t", "x", NULL);
    struct subscription *s = subscribe(f, 0, 2);
    assert_string_equal(read_all(s), "gap:1:4 4 5 6 7 8 ");
    subscription_close(s);
}

static void test_another_page_or_a_number_beyond_announces_a_gap_and_gives_all(void **state) {
    struct fixture *f = *state;
    publish(f, "t", "x", NULL);
    struct subscription *s = subscribe(f, 5435435, 300);
    assert_string_equal(read_all(s), "gap:299:1 1 ");
    subscription_close(s);
    s = subscribe(f, 0, 300);
    assert_string_equal(read_all(s), "gap:299:1 1 ");
    subscription_close(s);
}

static void test_a_gap_waits_for_the_item_behind_it(void **state) {
    struct fixture *f = *state;
    struct subscription *s = subscribe(f, 77, 10);
    assert_string_equal(read_all(s), "");
    publish(f, "t", "x", NULL);
    assert_string_equal(read_all(s), "gap:9:1 1 ");
    subscription_close(s);
}

static void test_a_slow_subscriber_is_told_what_it_missed(void **state) {
    struct fixture *f = *state;
    struct subscription *s = subscribe(f, 0, 0);
    for (int i = 0; i < 9; i++)
        publish(f, "t", "x", NULL);
    assert_string_equal(read_all(s), "gap:0:5 5 6 7 8 9 ");
    publish(f, "t", "x", NULL);
    assert_string_equal(read_all(s), "10 ");
    subscription_close(s);
}

static void test_publishing_is_all_or_nothing(void **state) {
    struct fixture *f = *state;
    struct item *item = item_new(ITEM_TEXT, "x", 1, "", "");
    struct error e;
    const struct publish list[] = {{"c", "t", item}, {"missing", "t", item}};
    assert_false(broker_publish(f->mailbox, list, 2, NULL, NULL, &e));
    assert_int_equal(e.code, ERROR_NOT_FOUND);
    item_unref(item);
    struct subscription *s = subscribe(f, 0, 1);
    assert_string_equal(read_all(s), "");
    subscription_close(s);
}

static void test_limits_are_named(void **state) {
    struct fixture *f = *state;
    struct error e;
    char big[102] = {0};
    memset(big, 'x', 101);
    assert_false(publish(f, "t", big, &e));
    assert_int_equal(e.code, ERROR_TOO_LARGE);
    assert_true(publish(f, "t1", "", NULL) && publish(f, "t2", "", NULL) &&
                publish(f, "t3", "", NULL));
    assert_false(publish(f, "t4", "", &e));
    assert_int_equal(e.code, ERROR_LIMIT);
    assert_false(publish(f, "", "", &e));
    assert_int_equal(e.code, ERROR_INVALID);
    assert_false(publish(f, "a\nb", "", &e));
    assert_false(publish(f, "\xff", "", &e));
}

static struct subscription *victims[3];

static void close_all(void *context) {
    ++*(int *)context;
    for (int i = 0; i < 3; i++) {
        subscription_close(victims[i]);
        victims[i] = NULL;
    }
}

static void test_subscriptions_may_close_each_other_while_being_told(void **state) {
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++)
        victims[i] = subscription_open(f->mailbox, "c", "t", (struct resume){0, 0}, close_all,
                                       &f->readies, NULL);
    publish(f, "t", "x", NULL);
    mailbox_dispatch(f->mailbox);
    assert_int_equal(f->readies, 1);
    publish(f, "t", "x", NULL);
    mailbox_dispatch(f->mailbox);
    assert_int_equal(f->readies, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void test_a_deleted_cache_ends_its_subscriptions(void **state) {
    struct fixture *f = *state;
    struct error e;
    struct resume old, anew;
    struct subscription *s = subscribe(f, 0, 0);
    old = subscription_position(s);
    assert_true(publish(f, "t", "a", NULL));
    assert_true(broker_delete_cache(f->broker, "c", &e));
    mailbox_dispatch(f->mailbox);
    assert_true(f->readies > 0);
    assert_true(subscription_ended(s));
    assert_false(publish(f, "t", "b", &e));
    assert_int_equal(e.code, ERROR_NOT_FOUND);
    assert_false(broker_delete_cache(f->broker, "c", &e));
    assert_int_equal(e.code, ERROR_NOT_FOUND);
    assert_true(broker_create_cache(f->broker, "c", &(struct cache_settings){0}, &e));
    struct subscription *fresh = subscribe(f, 0, 0);
    anew = subscription_position(fresh);
    assert_true(anew.page > old.page);
    assert_int_equal(anew.number, 1);
    assert_false(subscription_ended(fresh));
    struct broker_stats stats;
    broker_get_stats(f->broker, &stats);
    assert_int_equal(stats.topics, 1);
    subscription_close(s);
    subscription_close(fresh);
}

static void test_flushing_forgets_but_goes_on_counting(void **state) {
    struct fixture *f = *state;
    struct error e;
    assert_true(publish(f, "t", "a", NULL));
    assert_true(publish(f, "t", "b", NULL));
    struct subscription *live = subscribe(f, 0, 0), *late = subscribe(f, 0, 1);
    assert_true(broker_flush_cache(f->broker, "c", &e));
    assert_string_equal(read_all(late), "");
    assert_true(publish(f, "t", "c", NULL));
    assert_string_equal(read_all(live), "3 ");
    assert_string_equal(read_all(late), "gap:0:3 3 ");
    assert_false(broker_flush_cache(f->broker, "nope", &e));
    assert_int_equal(e.code, ERROR_NOT_FOUND);
    subscription_close(live);
    subscription_close(late);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_numbers_start_at_one_and_fresh_subscribers_see_only_what_is_new),
        TEST(test_resume_replays_what_is_retained),
        TEST(test_resume_past_the_ring_announces_the_gap),
        TEST(test_another_page_or_a_number_beyond_announces_a_gap_and_gives_all),
        TEST(test_a_gap_waits_for_the_item_behind_it),
        TEST(test_a_slow_subscriber_is_told_what_it_missed),
        TEST(test_publishing_is_all_or_nothing),
        TEST(test_limits_are_named),
        TEST(test_subscriptions_may_close_each_other_while_being_told),
        TEST(test_a_deleted_cache_ends_its_subscriptions),
        TEST(test_flushing_forgets_but_goes_on_counting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
