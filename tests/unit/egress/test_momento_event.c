/* The body of a delivery, byte for byte. */
#include "../test.h"

#include "auth/momento_signature.h"
#include "egress/momento_event.h"

static struct item *an_item(enum item_kind kind, const char *value, size_t length, const char *id) {
    struct item *i = item_new(kind, value, length, id, "");
    i->number = 1;
    i->timestamp_ms = 1704296470564;
    return i;
}

static void test_momentos_own_example_and_its_signature(void **state) {
    (void)state;
    struct buffer body = {0};
    struct item *i = an_item(ITEM_TEXT, "Here I am!!", 11, "mo-the-squirrel");
    momento_event_write(&body, "chat", "room-281", i, 1704296470565);
    assert_string_equal(
        body.data, "{\"cache\":\"chat\",\"topic\":\"room-281\",\"event_timestamp\":1704296470564,"
                   "\"publish_timestamp\":1704296470565,\"topic_sequence_number\":1,"
                   "\"token_id\":\"mo-the-squirrel\",\"text\":\"Here I am!!\"}");
    char hex[MOMENTO_SIGNATURE_HEX + 1];
    struct signer *s = signer_new("test-secret", NULL);
    assert_true(signer_sign(s, body.data, body.length, hex));
    assert_string_equal(hex, "97b2a755a21ce7576ebad46d6bc06e893c03933a5ad16ba6449d752864001008");
    signer_free(s);
    item_unref(i);
    buffer_free(&body);
}

static void expect_end(enum item_kind kind, const char *value, size_t length, const char *end) {
    struct buffer body = {0};
    struct item *i = an_item(kind, value, length, "");
    momento_event_write(&body, "c", "t", i, 2);
    const char *at = strstr(body.data, "\"token_id\"");
    assert_string_equal(at, end);
    item_unref(i);
    buffer_free(&body);
}

static void test_escapes_are_those_of_the_receivers_serialiser(void **state) {
    (void)state;
    expect_end(ITEM_TEXT, "\"\\/\b\t\n\f\r\x01\x1f\x7f ü😀", 18,
               "\"token_id\":\"\",\"text\":\"\\\"\\\\/\\b\\t\\n\\f\\r\\u0001\\u001f\x7f ü😀\"}");
}

static void test_bytes_that_are_no_text_have_a_field_of_their_own(void **state) {
    (void)state;
    expect_end(ITEM_BINARY, "\xff\0", 2, "\"token_id\":\"\",\"text\":\"\",\"binary\":\"/wA=\"}");
    expect_end(ITEM_BINARY, "text", 4, "\"token_id\":\"\",\"text\":\"text\"}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_momentos_own_example_and_its_signature),
        cmocka_unit_test(test_escapes_are_those_of_the_receivers_serialiser),
        cmocka_unit_test(test_bytes_that_are_no_text_have_a_field_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
