/* No event runs twice. */
#include "../test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "ingress/replay.h"

#define SECOND 1000000000ull

static struct event an_event(int64_t number) {
    return (struct event){.cache = "chat",
                          .topic = "t",
                          .token_id = "",
                          .text = "x",
                          .event_timestamp = 1000,
                          .publish_timestamp = 1001,
                          .sequence_number = number};
}

static struct fingerprint print_of(struct replay *r, int64_t number) {
    struct event ev = an_event(number);
    return replay_fingerprint(r, "hook", &ev);
}

static void test_an_accepted_event_is_known(void **state) {
    (void)state;
    struct replay *r = replay_new(60000, 1000, 7);
    struct fingerprint f = print_of(r, 1);
    assert_int_equal(replay_begin(r, f, SECOND), REPLAY_NEW);
    assert_int_equal(replay_begin(r, f, SECOND), REPLAY_RUNNING);
    replay_done(r, f);
    assert_int_equal(replay_begin(r, f, SECOND), REPLAY_DONE);
    assert_int_equal(replay_begin(r, f, 60 * SECOND), REPLAY_DONE);
    replay_free(r);
}

static void test_a_failed_event_may_come_again(void **state) {
    (void)state;
    struct replay *r = replay_new(60000, 1000, 7);
    struct fingerprint f = print_of(r, 1);
    assert_int_equal(replay_begin(r, f, SECOND), REPLAY_NEW);
    replay_forget(r, f);
    assert_int_equal(replay_begin(r, f, SECOND), REPLAY_NEW);
    replay_free(r);
}

static void test_it_is_remembered_for_the_window_and_forgotten_later(void **state) {
    (void)state;
    struct replay *r = replay_new(60000, 1000, 7);
    struct fingerprint late = print_of(r, 1);
    replay_begin(r, print_of(r, 2), SECOND);
    assert_int_equal(replay_begin(r, late, 60 * SECOND), REPLAY_NEW);
    replay_done(r, late);
    assert_int_equal(replay_begin(r, late, 119 * SECOND), REPLAY_DONE);
    assert_int_equal(replay_begin(r, late, 400 * SECOND), REPLAY_NEW);
    replay_free(r);
}

static void test_a_retry_with_a_new_publish_timestamp_is_the_same_event(void **state) {
    (void)state;
    struct replay *r = replay_new(60000, 1000, 7);
    struct event a = an_event(1), b = an_event(1);
    b.publish_timestamp += 5000;
    struct fingerprint fa = replay_fingerprint(r, "hook", &a),
                       fb = replay_fingerprint(r, "hook", &b);
    assert_memory_equal(&fa, &fb, sizeof fa);
    b.text = "y";
    fb = replay_fingerprint(r, "hook", &b);
    assert_memory_not_equal(&fa, &fb, sizeof fa);
    fb = replay_fingerprint(r, "other", &a);
    assert_memory_not_equal(&fa, &fb, sizeof fa);
    replay_free(r);
}

static void test_when_full_new_events_are_refused_and_known_ones_still_known(void **state) {
    (void)state;
    struct replay *r = replay_new(60000, 16, 7);
    int64_t i = 0;
    while (replay_begin(r, print_of(r, i), SECOND) == REPLAY_NEW)
        replay_done(r, print_of(r, i++));
    assert_in_range(i, 2, 33);
    assert_int_equal(replay_begin(r, print_of(r, i), SECOND), REPLAY_FULL);
    assert_int_equal(replay_begin(r, print_of(r, 0), SECOND), REPLAY_DONE);
    replay_free(r);
}

static void test_forgetting_leaves_the_others(void **state) {
    (void)state;
    struct replay *r = replay_new(60000, 1000000, 7);
    for (int64_t i = 0; i < 20000; i++)
        assert_int_equal(replay_begin(r, print_of(r, i), SECOND), REPLAY_NEW);
    for (int64_t i = 0; i < 20000; i += 3)
        replay_forget(r, print_of(r, i));
    for (int64_t i = 0; i < 20000; i++)
        assert_int_equal(replay_begin(r, print_of(r, i), SECOND),
                         i % 3 == 0 ? REPLAY_NEW : REPLAY_RUNNING);
    replay_free(r);
}

static struct replay *shared;
static _Atomic unsigned ran;

static void *race(void *context) {
    (void)context;
    for (int64_t i = 0; i < 5000; i++) {
        struct fingerprint f = print_of(shared, i);
        if (replay_begin(shared, f, SECOND) == REPLAY_NEW) {
            atomic_fetch_add(&ran, 1);
            replay_done(shared, f);
        }
    }
    return NULL;
}

static void test_of_several_workers_one_runs_it(void **state) {
    (void)state;
    pthread_t threads[4];
    shared = replay_new(60000, 1000000, 7);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_create(&threads[i], NULL, race, NULL);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(ran, 5000);
    replay_free(shared);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_accepted_event_is_known),
        cmocka_unit_test(test_a_failed_event_may_come_again),
        cmocka_unit_test(test_it_is_remembered_for_the_window_and_forgotten_later),
        cmocka_unit_test(test_a_retry_with_a_new_publish_timestamp_is_the_same_event),
        cmocka_unit_test(test_when_full_new_events_are_refused_and_known_ones_still_known),
        cmocka_unit_test(test_forgetting_leaves_the_others),
        cmocka_unit_test(test_of_several_workers_one_runs_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
