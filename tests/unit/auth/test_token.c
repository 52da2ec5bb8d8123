/* Tokens: what goes in comes out, and nothing else is accepted. */
#include "../test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "auth/token.h"

static struct identity *make(void) {
    struct identity *i = identity_new("mo-the-squirrel");
    i->issued_s = 1000;
    i->expires_s = 2000;
    identity_add(i, ROLE_PUBLISH_SUBSCRIBE, "chat", "room", false);
    identity_add(i, ROLE_SUBSCRIBE, NULL, "news-", true);
    identity_add(i, ROLE_PUBLISH, NULL, NULL, false);
    return i;
}

static void test_what_goes_in_comes_out(void **state) {
    (void)state;
    struct token_key *key = token_key_random();
    struct identity *in = make();
    char *token = token_sign(key, in, NULL);
    struct identity *out = token_verify(key, token);
    assert_non_null(out);
    assert_true(out->is_token);
    assert_false(out->admin);
    assert_false(out->is_disposable);
    assert_string_equal(out->id, "mo-the-squirrel");
    assert_int_equal(out->issued_s, 1000);
    assert_int_equal(out->expires_s, 2000);
    assert_memory_equal(out->serial, in->serial, sizeof in->serial);
    assert_int_equal(out->grant_count, 3);
    assert_string_equal(out->grants[0].cache, "chat");
    assert_string_equal(out->grants[1].topic, "news-");
    assert_true(out->grants[1].prefix);
    assert_null(out->grants[2].cache);
    assert_null(out->grants[2].topic);
    assert_int_equal(out->grants[2].role, ROLE_PUBLISH);
    identity_unref(out);
    free(token);
    identity_unref(in);
    token_key_free(key);
}

static void test_every_changed_character_is_noticed(void **state) {
    (void)state;
    struct token_key *key = token_key_random(), *other = token_key_random();
    struct identity *in = make();
    char *token = token_sign(key, in, NULL);
    assert_null(token_verify(other, token));
    for (size_t i = 0; token[i] != '\0'; i++) {
        char before = token[i];
        token[i] = before == 'A' ? 'B' : 'A';
        struct identity *out = token_verify(key, token);
        assert_null(out);
        token[i] = before;
    }
    char *longer = xasprintf("%sA", token);
    assert_null(token_verify(key, longer));
    token[strlen(token) - 1] = '\0';
    assert_null(token_verify(key, token));
    free(longer);
    free(token);
    identity_unref(in);
    token_key_free(key);
    token_key_free(other);
}

static void test_what_is_no_token(void **state) {
    (void)state;
    struct token_key *key = token_key_random();
    static const char *const texts[] = {
        "",  "hm1.",         "hm1..", "hm1.AAAA", "hm1.AAAA.", "hm1.AAAA.AAAA", "hm2.AAAA.AAAA",
        ".", "hm1.!!!!.!!!!"};
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        assert_null(token_verify(key, texts[i]));
    token_key_free(key);
}

static void test_one_that_is_too_long_is_not_made(void **state) {
    (void)state;
    struct token_key *key = token_key_random();
    struct identity *i = identity_new("x");
    struct error e = {0};
    char name[256];
    memset(name, 'n', 255);
    name[255] = '\0';
    for (int n = 0; n < 20; n++)
        identity_add(i, ROLE_PUBLISH, name, name, false);
    assert_null(token_sign(key, i, &e));
    assert_int_equal(e.code, ERROR_INVALID);
    identity_unref(i);
    token_key_free(key);
}

static void test_refreshing_is_bound_to_the_token(void **state) {
    (void)state;
    struct token_key *key = token_key_random();
    struct identity *a = make(), *b = make();
    free(token_sign(key, a, NULL));
    free(token_sign(key, b, NULL));
    char *refresh = token_refresh_sign(key, a);
    assert_true(token_refresh_verify(key, a, refresh));
    assert_false(token_refresh_verify(key, b, refresh));
    assert_false(token_refresh_verify(key, a, ""));
    free(refresh);
    identity_unref(a);
    identity_unref(b);
    token_key_free(key);
}

static void test_the_key_is_kept_in_a_file_of_its_own(void **state) {
    (void)state;
    char dir[] = "/tmp/hookmoon-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *path = xasprintf("%s/token.key", dir);
    struct error e = {0};
    assert_null(token_key_open(path, false, &e));
    assert_int_equal(e.code, ERROR_UNAVAILABLE);
    struct token_key *first = token_key_open(path, true, &e);
    struct token_key *second = token_key_open(path, true, &e);
    assert_non_null(first);
    assert_non_null(second);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    struct identity *i = make();
    char *token = token_sign(first, i, NULL);
    struct identity *out = token_verify(second, token);
    assert_non_null(out);
    assert_int_equal(truncate(path, 10), 0);
    assert_null(token_key_open(path, true, &e));
    assert_non_null(strstr(e.message, "not whole"));
    identity_unref(out);
    identity_unref(i);
    free(token);
    token_key_free(first);
    token_key_free(second);
    unlink(path);
    rmdir(dir);
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_goes_in_comes_out),
        cmocka_unit_test(test_every_changed_character_is_noticed),
        cmocka_unit_test(test_what_is_no_token),
        cmocka_unit_test(test_one_that_is_too_long_is_not_made),
        cmocka_unit_test(test_refreshing_is_bound_to_the_token),
        cmocka_unit_test(test_the_key_is_kept_in_a_file_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
