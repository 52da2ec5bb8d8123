/* Paths, numbers and Last-Event-ID as subscribers write them. */
#include "../test.h"

#include "ingress/query.h"

static void test_a_path_is_split_and_decoded(void **state) {
    (void)state;
    char *cache, *topic;
    assert_null(query_split_path("chat/topic%201+a%2Fb", &cache, &topic));
    assert_string_equal(cache, "chat");
    assert_string_equal(topic, "topic 1+a/b");
    free(cache);
    free(topic);
}

static void test_other_paths_are_refused(void **state) {
    (void)state;
    static const char *const paths[] = {"",      "/",    "chat",  "chat/",  "/topic",
                                        "a/b/c", "a/b%", "a/b%4", "a/b%zz", "a/b%00c"};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        char *cache, *topic;
        assert_non_null(query_split_path(paths[i], &cache, &topic));
        assert_null(cache);
        assert_null(topic);
    }
}

static void test_where_to_start(void **state) {
    (void)state;
    struct resume r;
    assert_true(query_resume(&r, NULL, NULL, NULL, NULL));
    assert_int_equal(r.number, 0);
    assert_true(query_resume(&r, "18446744073709551615", "7", NULL, NULL));
    assert_true(r.number == UINT64_MAX && r.page == 7);
    /* Last-Event-ID names the last one received, so the next is wanted; and it goes first. */
    assert_true(query_resume(&r, "1", "1", "1700000000:41", NULL));
    assert_true(r.page == 1700000000 && r.number == 42);
    assert_true(query_resume(&r, "5", NULL, "", NULL));
    assert_int_equal(r.number, 5);
}

static void test_what_is_no_number_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"", " 1", "-1", "+1", "1x", "0x1", "18446744073709551616"};
    struct resume r;
    struct error e;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_false(query_resume(&r, bad[i], NULL, NULL, &e));
        assert_false(query_resume(&r, NULL, bad[i], NULL, &e));
        assert_int_equal(e.code, ERROR_INVALID);
    }
    static const char *const bad_ids[] = {"1",     ":",   "1:",   ":1",
                                          "1:2:3", "a:b", "1: 2", "1:18446744073709551615"};
    for (size_t i = 0; i < COUNT_OF(bad_ids); i++)
        assert_false(query_resume(&r, NULL, NULL, bad_ids[i], &e));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_path_is_split_and_decoded),
        cmocka_unit_test(test_other_paths_are_refused),
        cmocka_unit_test(test_where_to_start),
        cmocka_unit_test(test_what_is_no_number_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
