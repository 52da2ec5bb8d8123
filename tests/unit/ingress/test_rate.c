/* The token bucket. */
#include "../test.h"

#include <unistd.h>

#include "ingress/rate.h"

static void test_a_seconds_worth_at_once_then_at_the_rate(void **state) {
    (void)state;
    struct rate *r = rate_new(50);
    unsigned taken = 0;
    while (rate_take(r))
        taken++;
    assert_in_range(taken, 50, 500); /* more when the machine pauses meanwhile */
    usleep(80000);                   /* three more at least */
    assert_true(rate_take(r) && rate_take(r) && rate_take(r));
    rate_free(r);
}

static void test_a_slow_rate_gives_one_at_least(void **state) {
    (void)state;
    struct rate *r = rate_new(0.01);
    assert_true(rate_take(r));
    assert_false(rate_take(r));
    rate_free(r);
}

static void test_without_a_limit_all_is_given(void **state) {
    (void)state;
    assert_true(rate_take(NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_seconds_worth_at_once_then_at_the_rate),
        cmocka_unit_test(test_a_slow_rate_gives_one_at_least),
        cmocka_unit_test(test_without_a_limit_all_is_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
