/* Who a client is, by configured key or by token, and what it may do. */
#include "../test.h"

#include "auth/access.h"

static struct config_key keys[] = {
    {.id = TEXT("alice"), .key = TEXT("alice-key-1"), .role = ROLE_PUBLISH_SUBSCRIBE},
    {.id = TEXT("bob"), .key = TEXT("bob-key-123"), .role = ROLE_SUBSCRIBE, .cache = TEXT("chat")},
    {.id = TEXT("carol"),
     .key = TEXT("carol-key-1"),
     .role = ROLE_PUBLISH,
     .cache = TEXT("chat"),
     .topic = TEXT("room")},
};
static const struct config config = {.keys = keys, .key_count = COUNT_OF(keys)};

static enum error_code check_in(struct access *a, const char *token, enum role role,
                                const char *cache, const char *topic, char id[64]) {
    struct error e = {0};
    struct identity *who = access_identify(a, token, &e);
    if (who == NULL)
        return e.code;
    if (id != NULL)
        snprintf(id, 64, "%s", who->id);
    bool good = identity_may(who, role, cache, topic, &e);
    identity_unref(who);
    return good ? ERROR_NONE : e.code;
}

static enum error_code check(const char *token, enum role role, const char *cache,
                             const char *topic, char id[64]) {
    struct token_key *key = token_key_random();
    struct access *a = access_new(&config, key);
    enum error_code code = check_in(a, token, role, cache, topic, id);
    access_free(a);
    token_key_free(key);
    return code;
}

static void test_a_key_opens_what_it_names(void **state) {
    (void)state;
    char id[64];
    assert_int_equal(check("alice-key-1", ROLE_PUBLISH, "any", "topic", id), ERROR_NONE);
    assert_string_equal(id, "alice");
    assert_int_equal(check("bob-key-123", ROLE_SUBSCRIBE, "chat", "x", NULL), ERROR_NONE);
    assert_int_equal(check("carol-key-1", ROLE_PUBLISH, "chat", "room", NULL), ERROR_NONE);
}

static void test_and_nothing_else(void **state) {
    (void)state;
    assert_int_equal(check("bob-key-123", ROLE_PUBLISH, "chat", "x", NULL), ERROR_PERMISSION);
    assert_int_equal(check("bob-key-123", ROLE_SUBSCRIBE, "other", "x", NULL), ERROR_PERMISSION);
    assert_int_equal(check("carol-key-1", ROLE_PUBLISH, "chat", "room2", NULL), ERROR_PERMISSION);
}

static void test_without_a_valid_key_nobody_gets_in(void **state) {
    (void)state;
    static const char *const tokens[] = {NULL,          "",
                                         "alice-key-",  "alice-key-12",
                                         "Alice-key-1", "Bearer alice-key-1",
                                         "e30=",        "bm90IGpzb24="};
    for (size_t i = 0; i < COUNT_OF(tokens); i++)
        assert_int_equal(check(tokens[i], ROLE_PUBLISH, "chat", "room", NULL),
                         ERROR_UNAUTHENTICATED);
}

static void test_the_wrapped_form_is_the_same_key(void **state) {
    (void)state;
    static const char json[] = "{\"endpoint\":\"127.0.0.1:8080\",\"api_key\":\"alice-key-1\"}";
    struct buffer b = {0};
    buffer_add_base64(&b, json, strlen(json));
    assert_int_equal(check(b.data, ROLE_SUBSCRIBE, "chat", "x", NULL), ERROR_NONE);
    buffer_free(&b);
}

static void test_a_prefix_and_an_administrator(void **state) {
    (void)state;
    struct config_key list[] = {
        {.key = TEXT("prefix-key"), .role = ROLE_PUBLISH, .topic_prefix = TEXT("room-")},
        {.key = TEXT("admin-key1"), .role = ROLE_ADMIN},
    };
    const struct config c = {.keys = list, .key_count = COUNT_OF(list)};
    struct access *a = access_new(&c, NULL);
    struct error e;
    assert_int_equal(check_in(a, "prefix-key", ROLE_PUBLISH, "any", "room-1", NULL), ERROR_NONE);
    assert_int_equal(check_in(a, "prefix-key", ROLE_PUBLISH, "any", "room-", NULL), ERROR_NONE);
    assert_int_equal(check_in(a, "prefix-key", ROLE_PUBLISH, "any", "Room-1", NULL),
                     ERROR_PERMISSION);
    assert_int_equal(check_in(a, "admin-key1", ROLE_SUBSCRIBE, "any", "x", NULL), ERROR_NONE);
    struct identity *prefix = access_identify(a, "prefix-key", &e);
    struct identity *admin = access_identify(a, "admin-key1", &e);
    assert_false(identity_may_administer(prefix, &e));
    assert_true(identity_may_administer(admin, &e));
    identity_unref(prefix);
    identity_unref(admin);
    access_free(a);
}

static void test_in_open_mode_nothing_is_asked(void **state) {
    (void)state;
    struct config open = {.open = true};
    struct token_key *key = token_key_random();
    struct access *a = access_new(&open, key);
    struct identity *guest = identity_new("guest");
    char id[64];
    assert_int_equal(check_in(a, NULL, ROLE_PUBLISH, "chat", "x", id), ERROR_NONE);
    assert_string_equal(id, "");
    assert_int_equal(check_in(a, "whatever", ROLE_PUBLISH, "chat", "x", id), ERROR_NONE);
    /* But a token says who its holder is, and what that may do. */
    identity_add(guest, ROLE_SUBSCRIBE, NULL, NULL, false);
    char *token = token_sign(key, guest, NULL);
    assert_int_equal(check_in(a, token, ROLE_SUBSCRIBE, "chat", "x", id), ERROR_NONE);
    assert_string_equal(id, "guest");
    assert_int_equal(check_in(a, token, ROLE_PUBLISH, "chat", "x", id), ERROR_PERMISSION);
    free(token);
    identity_unref(guest);
    access_free(a);
    token_key_free(key);
}

static void test_expired_and_revoked(void **state) {
    (void)state;
    struct token_key *key = token_key_random();
    struct access *a = access_new(&config, key);
    struct identity *i = identity_new("x");
    struct error e;
    identity_add(i, ROLE_PUBLISH, NULL, NULL, false);
    i->expires_s = clock_wall_ms() / 1000 - 1;
    char *token = token_sign(key, i, NULL);
    assert_int_equal(check_in(a, token, ROLE_PUBLISH, "c", "t", NULL), ERROR_UNAUTHENTICATED);
    free(token);
    i->expires_s = clock_wall_ms() / 1000 + 60;
    token = token_sign(key, i, NULL);
    assert_int_equal(check_in(a, token, ROLE_PUBLISH, "c", "t", NULL), ERROR_NONE);
    struct identity *found = access_identify(a, token, &e);
    assert_true(access_still_valid(a, found, &e));
    access_revoke(a, i->serial, i->expires_s);
    access_revoke(a, i->serial, i->expires_s);
    assert_false(access_still_valid(a, found, &e));
    assert_int_equal(e.code, ERROR_UNAUTHENTICATED);
    assert_int_equal(check_in(a, token, ROLE_PUBLISH, "c", "t", NULL), ERROR_UNAUTHENTICATED);
    identity_unref(found);
    free(token);
    identity_unref(i);
    access_free(a);
    token_key_free(key);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_opens_what_it_names),
        cmocka_unit_test(test_and_nothing_else),
        cmocka_unit_test(test_without_a_valid_key_nobody_gets_in),
        cmocka_unit_test(test_the_wrapped_form_is_the_same_key),
        cmocka_unit_test(test_a_prefix_and_an_administrator),
        cmocka_unit_test(test_in_open_mode_nothing_is_asked),
        cmocka_unit_test(test_expired_and_revoked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
