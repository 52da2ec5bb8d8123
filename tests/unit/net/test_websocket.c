/* The handshake's answer to a key. */
#include "../test.h"

#include "net/websocket.h"

static void test_the_example_of_the_rfc(void **state) {
    (void)state;
    char accept[WEBSOCKET_ACCEPT_SIZE];
    assert_true(websocket_accept_key("dGhlIHNhbXBsZSBub25jZQ==", accept));
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void test_what_is_no_key(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZSEh", /* 18 bytes */
        "dGhlIHNhbXBsZSBub25jZSE=", /* 17 bytes */
        "!GhlIHNhbXBsZSBub25jZQ==",
    };
    char accept[WEBSOCKET_ACCEPT_SIZE];
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(websocket_accept_key(bad[i], accept));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_example_of_the_rfc),
        cmocka_unit_test(test_what_is_no_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
