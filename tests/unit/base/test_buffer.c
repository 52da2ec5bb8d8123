/* Buffers and the escapes that signatures depend on. */
#include "../test.h"

#include "base/json.h"
#include "base/utf8.h"

static void test_a_zeroed_buffer_is_an_empty_one(void **state) {
    (void)state;
    struct buffer b = {0};
    assert_string_equal(buffer_string(&b), "");
    buffer_clear(&b);
    char *taken = buffer_take(&b);
    assert_string_equal(taken, "");
    free(taken);
    buffer_free(&b);
}

static void test_adding_and_consuming(void **state) {
    (void)state;
    struct buffer b = {0};
    for (int i = 0; i < 1000; i++)
        buffer_add_string(&b, "0123456789");
    assert_int_equal(b.length, 10000);
    buffer_consume(&b, 9995);
    assert_string_equal(b.data, "56789");
    buffer_add_u64(&b, 0);
    buffer_add_char(&b, ' ');
    buffer_add_u64(&b, UINT64_MAX);
    buffer_add_format(&b, " %s-%d", "x", 7);
    assert_string_equal(b.data, "567890 18446744073709551615 x-7");
    buffer_free(&b);
}

static void test_base64_both_ways(void **state) {
    (void)state;
    static const char *const texts[] = {"a", "ab", "abc", "abcd", "\xff\xfe"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct buffer coded = {0}, plain = {0};
        buffer_add_base64(&coded, texts[i], strlen(texts[i]));
        assert_true(buffer_add_from_base64(&plain, coded.data, coded.length));
        assert_string_equal(plain.data, texts[i]);
        buffer_free(&coded);
        buffer_free(&plain);
    }
    struct buffer b = {0};
    static const char *const bad[] = {"", "a", "ab=", "====", "a===", "ab?=", "abcd\n"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(buffer_add_from_base64(&b, bad[i], strlen(bad[i])) && b.length > 0);
    buffer_free(&b);
}

static void test_utf8_is_checked_strictly(void **state) {
    (void)state;
    static const char *const good[] = {"", "a", "ü", "€", "😀", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf"};
    static const char *const bad[] = {
        "\x80", "\xc0\x80",         "\xc3",     "\xe0\x80\x80", "\xed\xa0\x80",
        "\xff", "\xf4\x90\x80\x80", "a\xe2\x82"};
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_true(utf8_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(utf8_valid(bad[i], strlen(bad[i])));
}

static void test_nesting_is_counted_outside_of_strings(void **state) {
    (void)state;
    assert_false(json_nested_deeper("[[{}]]", 6, 3));
    assert_true(json_nested_deeper("[[{}]]", 6, 2));
    assert_false(json_nested_deeper("[][][][]", 8, 1));
    assert_false(json_nested_deeper("\"[[[[\\\"[[[\"", 11, 1));
    assert_true(json_nested_deeper("\"\\\\\"[[", 6, 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_zeroed_buffer_is_an_empty_one),
        cmocka_unit_test(test_adding_and_consuming),
        cmocka_unit_test(test_base64_both_ways),
        cmocka_unit_test(test_utf8_is_checked_strictly),
        cmocka_unit_test(test_nesting_is_counted_outside_of_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
