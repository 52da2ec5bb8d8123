#include "../test.h"

#include "auth/momento_signature.h"

static const struct {
    const char *secret;
    const char *body;
    const char *hex;
} vectors[] = {
    {"1234567890", "{\"text\":\"some text\", \"another_field\": \"another field\" }",
     "b43f72787eb66410ff110295b036ef828e5686af21b414ce092f02c05deea3da"},
    {"test-secret",
     "{\"cache\":\"chat\",\"topic\":\"room-281\",\"event_timestamp\":1704296470564,"
     "\"publish_timestamp\":1704296470565,\"topic_sequence_number\":1,\"token_id\":"
     "\"mo-the-squirrel\",\"text\":\"Here I am!!\"}",
     "97b2a755a21ce7576ebad46d6bc06e893c03933a5ad16ba6449d752864001008"},
    {"secret", "", "6ebda0eca59d9520d8a267e3b3dd3a6060450b2fb6527c942c4788ddf3b60830"},
};

static void test_published_vectors(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        struct signer *s = signer_new(vectors[i].secret, NULL);
        assert_non_null(s);
        char hex[MOMENTO_SIGNATURE_HEX + 1];
        for (int round = 0; round < 2; round++) { /* the keyed context is used again */
            assert_true(signer_sign(s, vectors[i].body, strlen(vectors[i].body), hex));
            assert_string_equal(hex, vectors[i].hex);
        }
        assert_true(signer_verify(s, vectors[i].body, strlen(vectors[i].body), vectors[i].hex));
        signer_free(s);
    }
}

static void test_secrets_around_the_block_size(void **state) {
    (void)state;
    static const struct {
        size_t length;
        const char *hex;
    } keys[] = {
        {136, "f5c372c808700f3fd82f82c3c37c1b798167049a0b796b7c7ae788f214557391"},
        {137, "404d94578373dacae1c37be30ddf50857641c8c4829a8599c349d6072426c7aa"},
        {200, "6fe7b73bbb308f6c4a97f1b92cf716851092698532c59c14e068d6be9cb43a62"},
    };
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        char secret[256] = {0};
        memset(secret, 'a', keys[i].length);
        struct signer *s = signer_new(secret, NULL);
        assert_true(signer_verify(s, "msg", 3, keys[i].hex));
        signer_free(s);
    }
}

static void test_any_damage_is_refused(void **state) {
    (void)state;
    struct signer *s = signer_new(vectors[1].secret, NULL);
    char body[256];
    size_t length = strlen(vectors[1].body);
    memcpy(body, vectors[1].body, length);
    for (size_t bit = 0; bit < length * 8; bit++) {
        body[bit / 8] ^= (char)(1 << bit % 8);
        assert_false(signer_verify(s, body, length, vectors[1].hex));
        body[bit / 8] ^= (char)(1 << bit % 8);
    }
    char hex[MOMENTO_SIGNATURE_HEX + 1];
    memcpy(hex, vectors[1].hex, sizeof hex);
    for (size_t bit = 0; bit < MOMENTO_SIGNATURE_HEX * 8; bit++) {
        hex[bit / 8] ^= (char)(1 << bit % 8);
        assert_false(signer_verify(s, body, length, hex));
        hex[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_true(signer_verify(s, body, length, hex));
    signer_free(s);
}

static void test_defects_are_named(void **state) {
    (void)state;
    assert_null(momento_signature_defect(vectors[0].hex));
    assert_string_equal(momento_signature_defect(""), "the signature is empty");
    assert_string_equal(momento_signature_defect("abc"), "the signature is not 64 characters long");
    assert_string_equal(momento_signature_defect("B43F72787EB66410FF110295B036EF828E5686AF21B414CE0"
                                                 "92F02C05DEEA3DA"),
                        "the signature has upper-case digits");
    assert_string_equal(momento_signature_defect("z43f72787eb66410ff110295b036ef828e5686af21b414ce0"
                                                 "92f02c05deea3da"),
                        "the signature is not hexadecimal");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_vectors),
        cmocka_unit_test(test_secrets_around_the_block_size),
        cmocka_unit_test(test_any_damage_is_refused),
        cmocka_unit_test(test_defects_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
