/* How calls end, and the header grpc-timeout. */
#include "../test.h"

#include "rpc/status.h"

static void test_timeouts_in_all_units(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"5S", 5000},       {"5010m", 5010},
        {"1M", 60000},      {"27000H", 97200000000},
        {"1u", 1},          {"999999u", 1000},
        {"1n", 1},          {"99999999n", 100},
        {"0m", 0},          {"99999999H", 359999996400000},
        {"", -1},           {"S", -1},
        {"5", -1},          {"5s", -1},
        {"123456789S", -1}, {"-5S", -1},
        {"5SS", -1},        {" 5S", -1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(rpc_parse_timeout(cases[i].text), cases[i].ms);
}

static void test_messages_are_encoded_no_more_than_needed(void **state) {
    (void)state;
    struct buffer b = {0};
    rpc_status_encode(&b, "a: \"b\" 100%\n\xc3\xa9~\x7f");
    assert_string_equal(b.data, "a: \"b\" 100%25%0A%C3%A9~%7F");
    buffer_free(&b);
}

static void test_errors_have_the_status_that_sdks_expect(void **state) {
    (void)state;
    static const struct {
        enum error_code code;
        enum rpc_status status;
        const char *detail;
    } cases[] = {
        {ERROR_INVALID, RPC_INVALID_ARGUMENT, NULL},
        {ERROR_UNAUTHENTICATED, RPC_UNAUTHENTICATED, NULL},
        {ERROR_PERMISSION, RPC_PERMISSION_DENIED, NULL},
        {ERROR_NOT_FOUND, RPC_NOT_FOUND, NULL},
        {ERROR_EXISTS, RPC_ALREADY_EXISTS, NULL},
        {ERROR_TOO_LARGE, RPC_RESOURCE_EXHAUSTED, "request_size_limit_exceeded"},
        {ERROR_LIMIT, RPC_RESOURCE_EXHAUSTED, NULL},
        {ERROR_SUBSCRIBERS, RPC_RESOURCE_EXHAUSTED, "topic_subscriptions_limit_exceeded"},
        {ERROR_PRECONDITION, RPC_FAILED_PRECONDITION, NULL},
        {ERROR_UNIMPLEMENTED, RPC_UNIMPLEMENTED, NULL},
        {ERROR_DEADLINE, RPC_DEADLINE_EXCEEDED, NULL},
        {ERROR_UNAVAILABLE, RPC_UNAVAILABLE, NULL},
        {ERROR_INTERNAL, RPC_INTERNAL, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error e = {.code = cases[i].code};
        assert_int_equal(rpc_status_of(&e), cases[i].status);
        const char *detail = rpc_status_detail(&e);
        assert_true((detail == NULL) == (cases[i].detail == NULL));
        if (detail != NULL)
            assert_string_equal(detail, cases[i].detail);
    }
    assert_string_equal(rpc_status_word(RPC_UNAUTHENTICATED), "UNAUTHENTICATED");
    assert_string_equal(rpc_status_word(RPC_UNAVAILABLE), "UNAVAILABLE");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timeouts_in_all_units),
        cmocka_unit_test(test_messages_are_encoded_no_more_than_needed),
        cmocka_unit_test(test_errors_have_the_status_that_sdks_expect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
