/* Items as subscribers over HTTP see them. */
#include "../test.h"

#include "ingress/frame.h"

static struct item *an_item(enum item_kind kind, const char *value, size_t length,
                            uint64_t number) {
    struct item *i = item_new(kind, value, length, "", "");
    i->page = 3;
    i->number = number;
    return i;
}

static void expect(struct buffer *b, const char *text) {
    assert_string_equal(buffer_string(b), text);
    buffer_free(b);
}

static void test_the_json_of_momento(void **state) {
    (void)state;
    struct buffer b = {0};
    struct item *text = an_item(ITEM_TEXT, "he\"llo\n", 7, 1);
    frame_item(&b, text);
    expect(&b, "{\"item\":{\"topic_sequence_number\":1,\"sequence_page\":3,"
               "\"value\":{\"text\":\"he\\\"llo\\n\"},\"timestamp\":0}}");
    struct item *binary = an_item(ITEM_BINARY, "\0\xff", 2, 2);
    frame_item(&b, binary);
    expect(&b, "{\"item\":{\"topic_sequence_number\":2,\"sequence_page\":3,"
               "\"value\":{\"binary\":\"AP8=\"},\"timestamp\":0}}");
    frame_discontinuity(&b, &(struct discontinuity){100, 104, 1748358253});
    expect(&b, "{\"discontinuity\":{\"last_topic_sequence\":100,\"new_topic_sequence\":104,"
               "\"new_sequence_page\":1748358253}}");
    item_unref(text);
    item_unref(binary);
}

static void test_a_batch_is_formatted_once_for_all(void **state) {
    (void)state;
    struct frame_cache *c = frame_cache_new();
    struct item *items[] = {an_item(ITEM_TEXT, "a", 1, 1), an_item(ITEM_TEXT, "b", 1, 2)};
    const struct buffer *both = frame_batch(c, items, 2);
    assert_string_equal(both->data,
                        "id: 3:1\ndata: {\"item\":{\"topic_sequence_number\":1,\"sequence_page\":3,"
                        "\"value\":{\"text\":\"a\"},\"timestamp\":0}}\n\n"
                        "id: 3:2\ndata: {\"item\":{\"topic_sequence_number\":2,\"sequence_page\":3,"
                        "\"value\":{\"text\":\"b\"},\"timestamp\":0}}\n\n");
    const char *at = both->data;
    assert_ptr_equal(frame_batch(c, items, 2)->data, at);
    /* A subscriber that is behind by one takes another batch, and gets it. */
    assert_null(strstr(frame_batch(c, items + 1, 1)->data, "id: 3:1"));
    frame_cache_free(c);
    item_unref(items[0]);
    item_unref(items[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_json_of_momento),
        cmocka_unit_test(test_a_batch_is_formatted_once_for_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
