/* What clients say over a WebSocket, decoded. */
#include "../test.h"

#include "ingress/socket_message.h"

static struct socket_message m;
static struct error e;

static bool parse(const char *text) {
    socket_message_clear(&m);
    e = (struct error){0};
    return socket_message_parse(&m, text, strlen(text), &e);
}

static void refuse(const char *text, const char *why) {
    assert_false(parse(text));
    assert_int_equal(e.code, ERROR_INVALID);
    if (strstr(e.message, why) == NULL)
        fail_msg("%s: \"%s\", not \"%s\"", text, e.message, why);
}

static int clear(void **state) {
    (void)state;
    socket_message_clear(&m);
    return 0;
}

static void test_each_verb(void **state) {
    (void)state;
    assert_true(parse("{\"type\":\"auth\",\"token\":\"k\"}"));
    assert_int_equal(m.verb, SOCKET_AUTH);
    assert_string_equal(m.token, "k");
    assert_null(m.id);
    assert_true(parse("{\"topic\":\"t\",\"cache\":\"c\",\"text\":\"a\\u0000b\",\"id\":7,"
                      "\"type\":\"publish\"}"));
    assert_int_equal(m.verb, SOCKET_PUBLISH);
    assert_int_equal(m.kind, ITEM_TEXT);
    assert_int_equal(m.length, 3);
    assert_memory_equal(m.value, "a\0b", 4);
    assert_string_equal(m.id, "7");
    assert_true(parse("{\"type\":\"subscribe\",\"id\":\"a\\\"\\n\",\"cache\":\"c\",\"topic\":\"t\","
                      "\"sequence_number\":9223372036854775807,\"sequence_page\":3}"));
    assert_int_equal(m.verb, SOCKET_SUBSCRIBE);
    assert_string_equal(m.id, "\"a\\\"\\n\"");
    assert_true(m.resume.number == INT64_MAX && m.resume.page == 3);
    assert_true(parse("{\"type\":\"unsubscribe\",\"id\":-1}"));
    assert_int_equal(m.verb, SOCKET_UNSUBSCRIBE);
    assert_string_equal(m.id, "-1");
    assert_true(parse("{\"type\":\"ping\",\"id\":\"\"}"));
    assert_int_equal(m.verb, SOCKET_PING);
    assert_string_equal(m.id, "\"\"");
}

static void test_binary_values(void **state) {
    (void)state;
    assert_true(
        parse("{\"type\":\"publish\",\"cache\":\"c\",\"topic\":\"t\",\"binary\":\"AP8=\"}"));
    assert_int_equal(m.kind, ITEM_BINARY);
    assert_int_equal(m.length, 2);
    assert_memory_equal(m.value, "\0\xff", 3); /* a NUL follows */
    assert_true(parse("{\"type\":\"publish\",\"cache\":\"c\",\"topic\":\"t\",\"binary\":\"\"}"));
    assert_int_equal(m.length, 0);
    assert_string_equal(m.value, "");
}

static void test_what_is_refused(void **state) {
    (void)state;
    refuse("", "no JSON");
    refuse("{\"type\":\"ping\"", "no JSON");
    refuse("{\"type\":\"ping\"}x", "no JSON");
    refuse("[]", "an object");
    refuse("{\"a\":[[[[]]]]}", "nested");
    refuse("{\"type\":\"ping\",\"type\":\"ping\"}", "duplicate");
    refuse("{\"type\":\"Ping\"}", "not known");
    refuse("{\"type\":\"ping\\u0000\"}", "NUL");
    refuse("{\"type\":null}", "missing");
    refuse("{\"type\":\"ping\",\"token\":\"k\"}", "\"token\" is not known");
    refuse("{\"type\":\"ping\",\"id\":1.0}", "id must be");
    refuse("{\"type\":\"ping\",\"id\":null}", "id must be");
    refuse("{\"type\":\"ping\",\"id\":9223372036854775808}", "no JSON");
    refuse("{\"type\":\"subscribe\",\"cache\":\"c\",\"topic\":\"t\"}", "id is missing");
    refuse("{\"type\":\"subscribe\",\"id\":1,\"cache\":\"c\",\"topic\":\"t\","
           "\"sequence_number\":1.5}",
           "sequence_number is not a whole number");
    refuse("{\"type\":\"publish\",\"cache\":\"c\",\"topic\":\"t\",\"binary\":\"AP8\"}", "base64");
}

static void test_a_refused_message_keeps_its_id(void **state) {
    (void)state;
    refuse("{\"type\":\"fly\",\"id\":\"x\"}", "not known");
    assert_string_equal(m.id, "\"x\"");
    refuse("{\"type\":\"unsubscribe\",\"id\":5,\"x\":1}", "\"x\"");
    assert_string_equal(m.id, "5");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_each_verb, clear),
        cmocka_unit_test_teardown(test_binary_values, clear),
        cmocka_unit_test_teardown(test_what_is_refused, clear),
        cmocka_unit_test_teardown(test_a_refused_message_keeps_its_id, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
