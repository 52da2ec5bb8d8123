/* What a hook takes for an event. */
#include "../test.h"

#include "ingress/event.h"

static const char good[] =
    "{\"cache\":\"chat\",\"topic\":\"room-281\",\"event_timestamp\":1704296470564,"
    "\"publish_timestamp\":1704296470565,\"topic_sequence_number\":1,"
    "\"token_id\":\"mo-the-squirrel\",\"text\":\"Here I am!!\"}";

static void test_momentos_own_example_is_decoded(void **state) {
    (void)state;
    struct event ev;
    struct error e;
    assert_true(event_parse(&ev, good, strlen(good), 64, &e));
    assert_string_equal(ev.cache, "chat");
    assert_string_equal(ev.topic, "room-281");
    assert_string_equal(ev.token_id, "mo-the-squirrel");
    assert_string_equal(ev.text, "Here I am!!");
    assert_int_equal(ev.event_timestamp, 1704296470564);
    assert_int_equal(ev.publish_timestamp, 1704296470565);
    assert_int_equal(ev.sequence_number, 1);
    event_clear(&ev);
}

static void test_the_compact_form_is_taken_apart_directly_and_nothing_else(void **state) {
    (void)state;
    struct event ev;
    assert_true(event_parse_compact(&ev, good, strlen(good)));
    assert_null(ev.json);
    assert_string_equal(ev.text, "Here I am!!");
    event_clear(&ev);
    static const char *const changes[][2] = {
        {"\"text\"", " \"text\""},
        {"!!", "\\n"},
        {"!!", "\n"},
        {"!!", "\xff"},
        {":1,", ":01,"},
        {":1,", ":-1,"},
        {":1,", ":1.0,"},
        {":1,", ":,"},
        {"}", "} "},
        {"}", ""},
        {"\"cache\"", "\"Cache\""},
        {":1,", ":9223372036854775807,"},
    };
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        const char *at = strstr(good, changes[i][0]);
        char *other = xasprintf("%.*s%s%s", (int)(at - good), good, changes[i][1],
                                at + strlen(changes[i][0]));
        if (event_parse_compact(&ev, other, strlen(other)))
            fail_msg("taken: %s", other);
        free(other);
    }
    char *large = xasprintf("{\"cache\":\"%010000d\"", 0);
    assert_false(event_parse_compact(&ev, large, strlen(large)));
    free(large);
}

static void test_further_fields_are_kept(void **state) {
    (void)state;
    struct event ev;
    char *text = xasprintf("%.*s,\"binary\":\"AA==\"}", (int)strlen(good) - 1, good);
    assert_true(event_parse(&ev, text, strlen(text), 64, NULL));
    assert_string_equal(json_string_value(json_object_get(ev.json, "binary")), "AA==");
    event_clear(&ev);
    free(text);
}

static void test_what_is_wrong_is_said(void **state) {
    (void)state;
    static const struct {
        const char *body, *message;
    } cases[] = {
        {"", "empty"},
        {"{", "not valid JSON"},
        {"[]", "not a JSON object"},
        {"\"text\"", "not valid JSON"},
        {"{\"cache\":1}", "\"cache\" is not a string"},
        {"{\"cache\":\"a\"}", "no \"topic\""},
        {"{\"cache\":\"a\",\"cache\":\"b\"}", "duplicate"},
        {"{\"cache\":\"a\\u0000b\"}", "not valid JSON"},
        {"{\"cache\":\"\xff\"}", "not valid JSON"},
        {"{\"cache\":\"a\",\"topic\":\"t\",\"event_timestamp\":1.5}",
         "\"event_timestamp\" is not a whole number"},
        {"{\"cache\":\"a\",\"topic\":\"t\",\"event_timestamp\":-1}", "negative"},
        {"{\"cache\":\"a\",\"topic\":\"t\",\"event_timestamp\":99999999999999999999}",
         "not valid JSON"},
        {"{\"cache\":\"a\"} x", "not valid JSON"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct event ev;
        struct error e = {0};
        assert_false(event_parse(&ev, cases[i].body, strlen(cases[i].body), 64, &e));
        assert_int_equal(e.code, ERROR_INVALID);
        if (strstr(e.message, cases[i].message) == NULL)
            fail_msg("%s: \"%s\" is not in \"%s\"", cases[i].body, cases[i].message, e.message);
        assert_null(ev.json);
    }
}

static void test_deep_nesting_is_refused_before_it_is_decoded(void **state) {
    (void)state;
    struct event ev;
    struct error e;
    struct buffer b = {0};
    for (int i = 0; i < 100000; i++)
        buffer_add_char(&b, '[');
    assert_false(event_parse(&ev, b.data, b.length, 64, &e));
    assert_non_null(strstr(e.message, "deeper than 64"));
    buffer_free(&b);
    /* Brackets in a string do not nest. */
    for (int i = 0; i < 100; i++)
        buffer_add_char(&b, '[');
    char *text = xasprintf("{\"cache\":\"%s\"}", b.data);
    assert_false(event_parse(&ev, text, strlen(text), 64, &e));
    assert_non_null(strstr(e.message, "no \"topic\""));
    free(text);
    buffer_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_momentos_own_example_is_decoded),
        cmocka_unit_test(test_the_compact_form_is_taken_apart_directly_and_nothing_else),
        cmocka_unit_test(test_further_fields_are_kept),
        cmocka_unit_test(test_what_is_wrong_is_said),
        cmocka_unit_test(test_deep_nesting_is_refused_before_it_is_decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
