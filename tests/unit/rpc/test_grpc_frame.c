/* The bytes of gRPC messages, as Momento's service sends them. */
#include "../test.h"

#include "rpc/grpc_frame.h"

static void assert_hex(struct grpc_frame *f, const char *hex) {
    struct buffer b = {0};
    for (size_t i = 0; i < f->length; i++)
        buffer_add_format(&b, "%02x", f->bytes[i]);
    assert_string_equal(buffer_string(&b), hex);
    buffer_free(&b);
    grpc_frame_unref(f);
}

static struct item *item(enum item_kind kind, const char *value, size_t length, const char *id,
                         uint64_t number) {
    struct item *i = item_new(kind, value, length, id, "");
    i->number = number;
    i->page = 3;
    return i;
}

static void test_the_bytes_are_exact(void **state) {
    (void)state;
    struct item *text = item(ITEM_TEXT, "hi", 2, "u1", 1);
    struct item *binary = item(ITEM_BINARY, "\x00\xff", 2, "", 2);
    struct item *empty = item(ITEM_TEXT, "", 0, "", 3);
    const struct discontinuity gap = {100, 104, 1748358253};
    assert_hex(grpc_frame_new(NULL, 0), "0000000000");
    assert_hex(grpc_frame_heartbeat(), "00000000021a00");
    assert_hex(grpc_frame_items(&text, 1), "00000000100a0e080112040a0268691a0275312003");
    assert_hex(grpc_frame_items(&binary, 1), "000000000c0a0a08021204120200ff2003");
    assert_hex(grpc_frame_items(&empty, 1), "000000000a0a08080312020a002003");
    assert_hex(grpc_frame_gap(&gap), "000000000c120a0864106818eda8d7c106");
    struct item *both[] = {text, empty};
    assert_hex(grpc_frame_items(both, 2), "00000000100a0e080112040a0268691a0275312003"
                                          "000000000a0a08080312020a002003");
    item_unref(text);
    item_unref(binary);
    item_unref(empty);
}

static void test_a_request_holds_one_message(void **state) {
    (void)state;
    static const struct {
        const char *body;
        size_t length;
        enum error_code code;
    } cases[] = {
        {"", 0, ERROR_INVALID},
        {"\0\0\0\0", 4, ERROR_INVALID},
        {"\0\0\0\0\1", 5, ERROR_INVALID},
        {"\0\0\0\0\1xy", 7, ERROR_INVALID},
        {"\0\0\0\0\0\0\0\0\0\0", 10, ERROR_INVALID},
        {"\1\0\0\0\1x", 6, ERROR_UNIMPLEMENTED},
        {"\0\xff\xff\xff\xffx", 6, ERROR_INVALID},
    };
    size_t length;
    struct error e;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_null(grpc_frame_open(cases[i].body, cases[i].length, &length, &e));
        assert_int_equal(e.code, cases[i].code);
    }
    assert_memory_equal(grpc_frame_open("\0\0\0\0\2hi", 7, &length, &e), "hi", 2);
    assert_int_equal(length, 2);
    assert_non_null(grpc_frame_open("\0\0\0\0\0", 5, &length, &e));
    assert_int_equal(length, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_bytes_are_exact),
        cmocka_unit_test(test_a_request_holds_one_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
