/* Caches, webhooks and keys while the gateway runs, and after it was started again. */
#include "../test.h"

#include <unistd.h>

#include "control/control.h"

struct fixture {
    char dir[32];
    struct config config;
    struct broker *broker;
    struct store *store;
    struct token_key *key;
    struct access *access;
    struct webhook_set *webhooks;
    struct control *control;
};

static void open_all(struct fixture *f) {
    static const struct broker_limits limits = {100, 100, 1000, 1 << 20, 1 << 20, 1000000};
    struct error e;
    uint64_t page;
    char *path = xasprintf("%s/token.key", f->dir);
    f->store = store_open(f->dir, true, &e);
    assert_non_null(f->store);
    f->key = token_key_open(path, true, &e);
    assert_non_null(f->key);
    free(path);
    assert_true(store_next_page(f->store, 1000, &page, &e));
    f->broker = broker_new(&limits, page, NULL);
    f->access = access_new(&f->config, f->key);
    f->webhooks = webhook_set_new();
    struct control_options options = {.config = &f->config,
                                      .url = "http://127.0.0.1:8080",
                                      .broker = f->broker,
                                      .store = f->store,
                                      .access = f->access,
                                      .token_key = f->key,
                                      .webhooks = f->webhooks};
    f->control = control_new(&options, &e);
    assert_non_null(f->control);
}

static void close_all(struct fixture *f) {
    control_free(f->control);
    webhook_set_free(f->webhooks);
    access_free(f->access);
    broker_free(f->broker);
    token_key_free(f->key);
    store_close(f->store);
}

static void restart(struct fixture *f) {
    close_all(f);
    open_all(f);
}

static struct config_cache caches[] = {{.name = TEXT("fixed")}};
static struct config_webhook webhooks[] = {{.cache = TEXT("fixed"),
                                            .name = TEXT("own"),
                                            .topic = TEXT("t"),
                                            .url = TEXT("http://127.0.0.1:8080/hooks/up"),
                                            .own_hook = TEXT("up"),
                                            .secret = TEXT("configured")}};

static int set_up(void **state) {
    struct fixture *f = *state = xcalloc(1, sizeof *f);
    log_setup(LOG_OFF, LOG_JSON);
    strcpy(f->dir, "/tmp/hookmoon-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->config.caches = caches;
    f->config.cache_count = COUNT_OF(caches);
    f->config.webhooks = webhooks;
    f->config.webhook_count = COUNT_OF(webhooks);
    f->config.limits.webhooks = 2;
    f->config.limits.rotation_grace_ms = 60000;
    open_all(f);
    return 0;
}

static int tear_down(void **state) {
    static const char *const names[] = {"hookmoon.db", "hookmoon.db-wal", "hookmoon.db-shm",
                                        "token.key", "lock"};
    struct fixture *f = *state;
    close_all(f);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char *path = xasprintf("%s/%s", f->dir, names[i]);
        unlink(path);
        free(path);
    }
    rmdir(f->dir);
    free(f);
    return 0;
}

static char *names(struct fixture *f) {
    struct cache_info *list;
    struct buffer b = {0};
    size_t count = control_list_caches(f->control, &list);
    for (size_t i = 0; i < count; i++)
        buffer_add_format(&b, "%s%s ", list[i].name, list[i].configured ? "*" : "");
    cache_list_free(list, count);
    return buffer_take(&b);
}

static void assert_names(struct fixture *f, const char *expected) {
    char *got = names(f);
    assert_string_equal(got, expected);
    free(got);
}

static void test_caches_stay_after_a_restart(void **state) {
    struct fixture *f = *state;
    struct error e;
    assert_true(control_create_cache(f->control, "b", true, &e));
    assert_true(control_create_cache(f->control, "a", true, &e));
    assert_false(control_create_cache(f->control, "a", true, &e));
    assert_int_equal(e.code, ERROR_EXISTS);
    assert_false(control_create_cache(f->control, "", true, &e));
    assert_int_equal(e.code, ERROR_INVALID);
    restart(f);
    assert_names(f, "a b fixed* ");
    assert_true(control_delete_cache(f->control, "a", &e));
    assert_false(control_delete_cache(f->control, "a", &e));
    assert_int_equal(e.code, ERROR_NOT_FOUND);
    assert_false(control_delete_cache(f->control, "fixed", &e));
    assert_int_equal(e.code, ERROR_PRECONDITION);
    restart(f);
    assert_names(f, "b fixed* ");
}

static struct webhook_entry *put(struct fixture *f, const char *name, const char *url,
                                 struct error *e) {
    return control_put_webhook(f->control, "c", name, "topic 1", url, NULL, e);
}

static void test_webhooks_stay_after_a_restart(void **state) {
    struct fixture *f = *state;
    struct error e;
    assert_null(put(f, "w", "/hooks/up", &e));
    assert_int_equal(e.code, ERROR_NOT_FOUND);
    assert_true(control_create_cache(f->control, "c", true, &e));
    struct webhook_entry *first = put(f, "w", "/hooks/up", &e);
    assert_non_null(first);
    assert_string_equal(first->own_hook, "up");
    assert_int_equal(strlen(first->secret), 64);
    struct webhook_entry *changed = put(f, "w", "https://example.com/x", &e);
    assert_string_equal(changed->secret, first->secret);
    assert_null(changed->own_hook);
    assert_int_equal(changed->id, first->id);
    assert_int_equal(changed->delivery, first->delivery);
    restart(f);
    struct webhook_entry *later = control_get_webhook(f->control, "c", "w", &e);
    assert_non_null(later);
    assert_string_equal(later->secret, first->secret);
    assert_string_equal(later->url, "https://example.com/x");
    webhook_entry_unref(first);
    webhook_entry_unref(changed);
    webhook_entry_unref(later);
    assert_true(control_delete_webhook(f->control, "c", "w", &e));
    assert_false(control_delete_webhook(f->control, "c", "w", &e));
    assert_int_equal(e.code, ERROR_NOT_FOUND);
    restart(f);
    assert_null(control_get_webhook(f->control, "c", "w", &e));
}

static void test_what_a_webhook_may_not_be(void **state) {
    struct fixture *f = *state;
    struct error e;
    char name[130];
    memset(name, 'n', 129);
    name[129] = '\0';
    control_create_cache(f->control, "c", true, &e);
    static const char *const urls[] = {"",
                                       "x",
                                       "ftp://a/",
                                       "/elsewhere",
                                       "//a/b",
                                       "file:///etc/passwd",
                                       "javascript:alert(1)",
                                       "/hooks/"};
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        assert_null(put(f, "w", urls[i], &e));
        assert_int_equal(e.code, ERROR_INVALID);
    }
    assert_null(put(f, name, "http://a/", &e));
    assert_int_equal(e.code, ERROR_INVALID);
    webhook_entry_unref(put(f, "1", "http://a/", &e));
    webhook_entry_unref(put(f, "2", "http://a/", &e));
    assert_null(put(f, "3", "http://a/", &e));
    assert_int_equal(e.code, ERROR_LIMIT);
    struct webhook_entry *again = put(f, "2", "http://b/", &e);
    assert_non_null(again);
    webhook_entry_unref(again);
    assert_null(control_put_webhook(f->control, "fixed", "own", "t", "http://a/", NULL, &e));
    assert_int_equal(e.code, ERROR_PRECONDITION);
    assert_false(control_delete_webhook(f->control, "fixed", "own", &e));
    assert_int_equal(e.code, ERROR_PRECONDITION);
}

static void test_rotation_keeps_the_old_secret_for_a_while(void **state) {
    struct fixture *f = *state;
    struct error e;
    control_create_cache(f->control, "c", true, &e);
    struct webhook_entry *before = put(f, "w", "/hooks/up", &e);
    struct webhook_entry *after = control_rotate_webhook(f->control, "c", "w", &e);
    assert_non_null(after);
    assert_string_not_equal(after->secret, before->secret);
    assert_string_equal(after->previous_secret, before->secret);
    assert_true(after->previous_until_ms > clock_wall_ms() + 50000);
    assert_int_equal(after->delivery, before->delivery);
    restart(f);
    struct webhook_entry *later = control_get_webhook(f->control, "c", "w", &e);
    assert_string_equal(later->secret, after->secret);
    assert_string_equal(later->previous_secret, before->secret);
    assert_string_equal(later->own_hook, "up");
    webhook_entry_unref(before);
    webhook_entry_unref(after);
    webhook_entry_unref(later);
}

static void test_a_cache_takes_its_webhooks_with_it(void **state) {
    struct fixture *f = *state;
    struct error e;
    struct webhook_entry **list;
    size_t count;
    control_create_cache(f->control, "c", true, &e);
    webhook_entry_unref(put(f, "w", "/hooks/up", &e));
    assert_true(control_delete_cache(f->control, "c", &e));
    assert_false(control_list_webhooks(f->control, "c", &list, &count, &e));
    control_create_cache(f->control, "c", true, &e);
    assert_true(control_list_webhooks(f->control, "c", &list, &count, &e));
    assert_int_equal(count, 0);
    webhook_list_free(list, count);
}

static void test_a_topic_made_anew_has_a_larger_page(void **state) {
    struct fixture *f = *state;
    struct error e;
    struct resume first, second, third;
    control_create_cache(f->control, "c", true, &e);
    assert_true(broker_topic_position(f->broker, "c", "t", &first, &e));
    control_delete_cache(f->control, "c", &e);
    control_create_cache(f->control, "c", true, &e);
    assert_true(broker_topic_position(f->broker, "c", "t", &second, &e));
    assert_true(second.page > first.page);
    restart(f);
    assert_true(broker_topic_position(f->broker, "c", "t", &third, &e));
    assert_true(third.page > second.page);
}

static const struct grant room = {ROLE_PUBLISH, TEXT("c"), TEXT("room"), false};

static bool make(struct fixture *f, struct key_request r, struct key_result *result,
                 struct error *e) {
    r.id = r.id != NULL ? r.id : "";
    r.description = "";
    return control_make_key(f->control, &r, result, e);
}

static void test_keys_are_made_listed_and_revoked(void **state) {
    struct fixture *f = *state;
    struct error e;
    struct key_result result;
    struct key_record *list;
    size_t count;
    struct key_request request = {.id = "mo", .grants = &room, .grant_count = 1, .valid_for_s = 60};
    assert_true(make(f, request, &result, &e));
    restart(f);
    assert_true(control_list_keys(f->control, &list, &count, &e));
    assert_int_equal(count, 1);
    assert_string_equal(list[0].serial, result.serial);
    assert_string_equal(list[0].id, "mo");
    assert_string_equal(list[0].rights, "publishonly on topic \"room\" of cache \"c\"");
    assert_int_equal(list[0].expires_s, result.expires_s);
    key_list_free(list, count);
    struct identity *i = access_identify(f->access, result.token, &e);
    assert_non_null(i);
    assert_string_equal(i->id, "mo");
    identity_unref(i);
    char *wrapped = keys_wrap("127.0.0.1:8080", result.token);
    assert_true(control_revoke_key(f->control, wrapped, &e));
    free(wrapped);
    assert_null(access_identify(f->access, result.token, &e));
    assert_int_equal(e.code, ERROR_UNAUTHENTICATED);
    restart(f);
    assert_null(access_identify(f->access, result.token, &e));
    assert_true(control_list_keys(f->control, &list, &count, &e));
    assert_int_equal(count, 0);
    key_list_free(list, count);
    assert_false(control_revoke_key(f->control, result.serial, &e));
    assert_int_equal(e.code, ERROR_NOT_FOUND);
    key_result_free(&result);
}

static void test_keys_that_are_not_made(void **state) {
    struct fixture *f = *state;
    struct error e;
    struct key_result result;
    const struct grant twice[] = {room, room};
    const struct grant nameless = {ROLE_PUBLISH, TEXT(""), NULL, false};
    char long_id[70];
    memset(long_id, 'i', 65);
    long_id[65] = '\0';
    const struct key_request cases[] = {
        {.grant_count = 0},
        {.grants = twice, .grant_count = 2},
        {.grants = &nameless, .grant_count = 1},
        {.grants = &room, .grant_count = 1, .valid_for_s = -1},
        {.grants = &room, .grant_count = 1, .disposable = true},
        {.grants = &room, .grant_count = 1, .disposable = true, .valid_for_s = 3601},
        {.grants = &room, .grant_count = 1, .id = long_id},
        {.grants = &room, .grant_count = 1, .id = "\xff"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_false(make(f, cases[i], &result, &e));
        assert_int_equal(e.code, ERROR_INVALID);
    }
}

static void test_a_key_is_refreshed_with_its_own_refresh_token(void **state) {
    struct fixture *f = *state;
    struct error e;
    struct key_result a, b, fresh;
    struct key_request request = {.id = "mo", .grants = &room, .grant_count = 1, .valid_for_s = 60};
    assert_true(make(f, request, &a, &e));
    assert_true(make(f, request, &b, &e));
    assert_false(control_refresh_key(f->control, a.token, b.refresh_token, &fresh, &e));
    assert_int_equal(e.code, ERROR_UNAUTHENTICATED);
    assert_true(control_refresh_key(f->control, a.token, a.refresh_token, &fresh, &e));
    assert_string_not_equal(fresh.token, a.token);
    struct identity *i = access_identify(f->access, fresh.token, &e);
    assert_string_equal(i->id, "mo");
    assert_int_equal(i->expires_s - i->issued_s, 60);
    assert_true(identity_may(i, ROLE_PUBLISH, "c", "room", &e));
    identity_unref(i);
    key_result_free(&a);
    key_result_free(&b);
    key_result_free(&fresh);
    request.disposable = true;
    assert_true(make(f, request, &a, &e));
    assert_null(a.refresh_token);
    assert_false(control_refresh_key(f->control, a.token, "", &fresh, &e));
    key_result_free(&a);
}

static void test_another_process_revokes(void **state) {
    struct fixture *f = *state;
    struct error e;
    struct key_result result;
    unsigned char serial[IDENTITY_SERIAL_BYTES];
    int64_t expires_s;
    struct key_request request = {.grants = &room, .grant_count = 1};
    assert_true(make(f, request, &result, &e));
    struct store *other = store_open(f->dir, false, &e);
    assert_non_null(other);
    assert_true(keys_revoke(f->key, other, result.serial, serial, &expires_s, &e));
    store_close(other);
    control_refresh(f->control);
    assert_null(access_identify(f->access, result.token, &e));
    key_result_free(&result);
}

static void test_one_gateway_a_directory(void **state) {
    struct fixture *f = *state;
    struct error e;
    assert_null(store_open(f->dir, true, &e));
    assert_non_null(strstr(e.message, "in use by another gateway"));
    assert_null(store_open("/proc/nowhere", true, &e));
    assert_non_null(strstr(e.message, "/proc/nowhere"));
}

#define CONTROL_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CONTROL_TEST(test_caches_stay_after_a_restart),
        CONTROL_TEST(test_webhooks_stay_after_a_restart),
        CONTROL_TEST(test_what_a_webhook_may_not_be),
        CONTROL_TEST(test_rotation_keeps_the_old_secret_for_a_while),
        CONTROL_TEST(test_a_cache_takes_its_webhooks_with_it),
        CONTROL_TEST(test_a_topic_made_anew_has_a_larger_page),
        CONTROL_TEST(test_keys_are_made_listed_and_revoked),
        CONTROL_TEST(test_keys_that_are_not_made),
        CONTROL_TEST(test_a_key_is_refreshed_with_its_own_refresh_token),
        CONTROL_TEST(test_another_process_revokes),
        CONTROL_TEST(test_one_gateway_a_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
