#include "../test.h"

#include "base/backoff.h"
#include "egress/breaker.h"

static void test_it_opens_after_failures_in_a_row_and_probes(void **state) {
    struct breaker b = {0};
    (void)state;
    for (int i = 0; i < 4; i++)
        breaker_failed(&b, 1000, 0);
    assert_true(breaker_lets_through(&b, 1000, 3));
    breaker_failed(&b, 1000, 0);
    assert_true(breaker_is_open(&b));
    assert_false(breaker_lets_through(&b, 1700, 0));
    assert_true(breaker_lets_through(&b, 2000, 0));
    assert_false(breaker_lets_through(&b, 2000, 1)); /* one probe at a time */
    breaker_failed(&b, 2000, 0);                     /* and twice as long */
    assert_false(breaker_lets_through(&b, 3400, 0));
    assert_true(breaker_lets_through(&b, 4000, 0));
    breaker_succeeded(&b);
    assert_true(breaker_lets_through(&b, 4000, 3));
}

static void test_a_destination_may_ask_for_a_pause(void **state) {
    struct breaker b = {0};
    (void)state;
    breaker_failed(&b, 1000, 5000);
    assert_false(breaker_lets_through(&b, 5999, 0));
    assert_true(breaker_lets_through(&b, 6000, 0));
}

static void test_backoff_grows_to_its_bound(void **state) {
    const struct backoff b = {100, 2, 1000};
    (void)state;
    for (unsigned attempt = 1; attempt < 40; attempt++) {
        int64_t whole = attempt < 5 ? 100 << (attempt - 1) : 1000;
        int64_t delay = backoff_ms(&b, attempt);
        assert_in_range(delay, whole * 3 / 4, whole);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_opens_after_failures_in_a_row_and_probes),
        cmocka_unit_test(test_a_destination_may_ask_for_a_pause),
        cmocka_unit_test(test_backoff_grows_to_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
