/* Keys of the topics API. */
#include "../test.h"

#include "ingress/access.h"

static struct config_key keys[] = {
    {.id = TEXT("alice"), .key = TEXT("alice-key-1"), .role = CONFIG_ROLE_BOTH},
    {.id = TEXT("bob"),
     .key = TEXT("bob-key-123"),
     .role = CONFIG_ROLE_SUBSCRIBE,
     .cache = TEXT("chat")},
    {.id = TEXT("carol"),
     .key = TEXT("carol-key-1"),
     .role = CONFIG_ROLE_PUBLISH,
     .cache = TEXT("chat"),
     .topic = TEXT("room")},
};
static const struct config config = {.keys = keys, .key_count = COUNT_OF(keys)};

static enum error_code check(const char *token, enum config_role role, const char *cache,
                             const char *topic, const char **id) {
    struct access *a = access_new(&config);
    struct error e = {0};
    const char *ignored;
    bool good = access_check(a, token, role, cache, topic, id != NULL ? id : &ignored, &e);
    access_free(a);
    return good ? ERROR_NONE : e.code;
}

static void test_a_key_opens_what_it_names(void **state) {
    (void)state;
    const char *id;
    assert_int_equal(check("alice-key-1", CONFIG_ROLE_PUBLISH, "any", "topic", &id), ERROR_NONE);
    assert_string_equal(id, "alice");
    assert_int_equal(check("bob-key-123", CONFIG_ROLE_SUBSCRIBE, "chat", "x", NULL), ERROR_NONE);
    assert_int_equal(check("carol-key-1", CONFIG_ROLE_PUBLISH, "chat", "room", NULL), ERROR_NONE);
}

static void test_and_nothing_else(void **state) {
    (void)state;
    assert_int_equal(check("bob-key-123", CONFIG_ROLE_PUBLISH, "chat", "x", NULL),
                     ERROR_PERMISSION);
    assert_int_equal(check("bob-key-123", CONFIG_ROLE_SUBSCRIBE, "other", "x", NULL),
                     ERROR_PERMISSION);
    assert_int_equal(check("carol-key-1", CONFIG_ROLE_PUBLISH, "chat", "room2", NULL),
                     ERROR_PERMISSION);
}

static void test_without_a_valid_key_nobody_gets_in(void **state) {
    (void)state;
    static const char *const tokens[] = {NULL,          "",
                                         "alice-key-",  "alice-key-12",
                                         "Alice-key-1", "Bearer alice-key-1",
                                         "e30=",        "bm90IGpzb24="};
    for (size_t i = 0; i < COUNT_OF(tokens); i++)
        assert_int_equal(check(tokens[i], CONFIG_ROLE_PUBLISH, "chat", "room", NULL),
                         ERROR_UNAUTHENTICATED);
}

static void test_the_wrapped_form_is_the_same_key(void **state) {
    (void)state;
    static const char json[] = "{\"endpoint\":\"127.0.0.1:8080\",\"api_key\":\"alice-key-1\"}";
    struct buffer b = {0};
    buffer_add_base64(&b, json, strlen(json));
    assert_int_equal(check(b.data, CONFIG_ROLE_SUBSCRIBE, "chat", "x", NULL), ERROR_NONE);
    buffer_free(&b);
}

static void test_in_open_mode_nothing_is_asked(void **state) {
    (void)state;
    struct config open = {.open = true};
    struct access *a = access_new(&open);
    const char *id;
    assert_true(access_check(a, NULL, CONFIG_ROLE_PUBLISH, "chat", "x", &id, NULL));
    assert_string_equal(id, "");
    access_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_opens_what_it_names),
        cmocka_unit_test(test_and_nothing_else),
        cmocka_unit_test(test_without_a_valid_key_nobody_gets_in),
        cmocka_unit_test(test_the_wrapped_form_is_the_same_key),
        cmocka_unit_test(test_in_open_mode_nothing_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
