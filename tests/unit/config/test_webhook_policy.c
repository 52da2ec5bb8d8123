/* How a webhook delivers, as the API says it; and how long it waits before it tries again. */
#include "../test.h"

#include "config/webhook_policy.h"

static bool read_policy(struct webhook_policy *p, const char *text, struct error *e) {
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    webhook_policy_init(p);
    bool good = webhook_policy_from_json(p, json, e);
    json_decref(json);
    return good;
}

static void test_what_is_set_is_told_again(void **state) {
    static const char *const same[] = {
        "{}",
        "{\"order\":\"topic\"}",
        "{\"delivery\":\"once\"}",
        "{\"order\":\"topic\",\"delivery\":\"once\",\"concurrency\":1000,\"rate\":2.5}",
    };
    struct webhook_policy p;
    struct error e;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(same); i++) {
        assert_true(read_policy(&p, same[i], &e));
        json_t *json = webhook_policy_to_json(&p);
        char *text = json_dumps(json, JSON_COMPACT);
        assert_string_equal(text, same[i]);
        free(text);
        json_decref(json);
    }
    assert_true(read_policy(&p,
                            "{\"order\":\"none\",\"delivery\":\"at_least_once\",\"rate\":0,"
                            "\"another\":\"member\"}",
                            &e));
    assert_false(p.ordered || p.once);
}

static void test_mistakes_are_named(void **state) {
    static const char *const wrong[][2] = {
        {"{\"order\":\"yes\"}", "order must be \"none\" or \"topic\""},
        {"{\"order\":true}", "order must be"},
        {"{\"order\":null}", "order must be"},
        {"{\"delivery\":\"twice\"}", "delivery must be \"at_least_once\" or \"once\""},
        {"{\"concurrency\":0}", "concurrency must be a number from 1 to 1000"},
        {"{\"concurrency\":1001}", "concurrency must be"},
        {"{\"concurrency\":1.5}", "concurrency must be"},
        {"{\"concurrency\":\"1\"}", "concurrency must be"},
        {"{\"concurrency\":9223372036854775807}", "concurrency must be"},
        {"{\"rate\":-1}", "rate must be a number"},
        {"{\"rate\":1e10}", "rate must be a number"},
        {"{\"rate\":\"1\"}", "rate must be a number"},
    };
    struct webhook_policy p;
    struct error e;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_false(read_policy(&p, wrong[i][0], &e));
        assert_int_equal(e.code, ERROR_INVALID);
        assert_non_null(strstr(e.message, wrong[i][1]));
    }
}

static void test_waiting_doubles_up_to_a_bound_and_differs(void **state) {
    const struct backoff b = {1000, 2, 60000};
    int64_t least = INT64_MAX, most = 0;
    (void)state;
    static const int64_t full[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    for (unsigned attempt = 1; attempt <= COUNT_OF(full); attempt++) {
        int64_t ms = backoff_ms(&b, attempt);
        assert_true(ms >= full[attempt - 1] * 3 / 4 && ms <= full[attempt - 1]);
    }
    for (unsigned i = 0; i < 1000; i++) {
        int64_t ms = backoff_ms(&b, UINT32_MAX); /* tried for years */
        assert_true(ms >= 45000 && ms <= 60000);
        least = ms < least ? ms : least;
        most = ms > most ? ms : most;
    }
    assert_true(most - least > 10000); /* those who failed together do not come again together */
    /* A factor of one waits the same each time. */
    const struct backoff even = {1000, 1, 60000};
    assert_true(backoff_ms(&even, 1000) <= 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_set_is_told_again),
        cmocka_unit_test(test_mistakes_are_named),
        cmocka_unit_test(test_waiting_doubles_up_to_a_bound_and_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
