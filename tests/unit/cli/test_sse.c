/* The parser of event streams, by the rules of the HTML standard. */
#include "../test.h"

#include "cli/sse.h"

static void on_event(void *context, const char *name, const char *data, size_t length) {
    struct buffer *all = context;
    buffer_add_format(all, "[%s|%.*s]", name, (int)length, data);
}

static void feed(struct sse *s, const char *text) {
    sse_feed(s, text, strlen(text));
}

/* What `stream` says, fed in pieces of each size. */
static void expect(const char *stream, const char *events, const char *id) {
    size_t length = strlen(stream);
    for (size_t step = 1; step <= length; step++) {
        struct buffer all = {0};
        struct sse s;
        sse_init(&s, on_event, &all);
        for (size_t at = 0; at < length; at += step)
            sse_feed(&s, stream + at, at + step <= length ? step : length - at);
        assert_string_equal(buffer_string(&all), events);
        assert_string_equal(buffer_string(&s.id), id);
        sse_free(&s);
        buffer_free(&all);
    }
}

static void test_messages_names_and_ids(void **state) {
    (void)state;
    expect("id: 1:2\ndata: {\"a\":1}\n\n", "[|{\"a\":1}]", "1:2");
    expect("event: gap\ndata: x\n\ndata: y\n\n", "[gap|x][|y]", "");
    expect("data: a\ndata: b\ndata\n\n", "[|a\nb\n]", "");
    expect("data:no space\n\ndata:  two\n\n", "[|no space][| two]", "");
}

static void test_line_ends_of_all_kinds(void **state) {
    (void)state;
    expect("data: a\r\n\r\ndata: b\r\rdata: c\n\n", "[|a][|b][|c]", "");
}

static void test_comments_and_unknown_fields_are_passed_over(void **state) {
    (void)state;
    expect(": heartbeat\n\nretry: 10\nfoo: bar\ndata: x\n\n:\n\n", "[|x]", "");
}

static void test_an_id_without_data_counts_and_half_an_event_does_not(void **state) {
    (void)state;
    expect("id: 7:0\n\nid: 7:1\ndata: never ended\n", "", "7:0");
    expect("id: 7:1\ndata: x\n\nid\n\n", "[|x]", "");
    expect("event: x\n\ndata: y\n\n", "[|y]", "");
}

static void test_a_new_connection_forgets_what_was_half_done(void **state) {
    (void)state;
    struct buffer all = {0};
    struct sse s;
    sse_init(&s, on_event, &all);
    feed(&s, "id: 1:1\ndata: whole\n\nevent: gap\nid: 1:2\ndata: half");
    sse_restart(&s);
    assert_string_equal(buffer_string(&s.id), "1:1");
    feed(&s, "data: whole\n\n");
    assert_string_equal(buffer_string(&all), "[|whole][|whole]");
    assert_string_equal(buffer_string(&s.id), "1:1");
    sse_free(&s);
    buffer_free(&all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_names_and_ids),
        cmocka_unit_test(test_line_ends_of_all_kinds),
        cmocka_unit_test(test_comments_and_unknown_fields_are_passed_over),
        cmocka_unit_test(test_an_id_without_data_counts_and_half_an_event_does_not),
        cmocka_unit_test(test_a_new_connection_forgets_what_was_half_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
