#include "config_test.h"

#include <unistd.h>

/* ---- what is read ---- */

static void test_an_empty_file_leaves_the_defaults(void **state) {
    (void)state;
    struct loaded l = load_good("-- nothing\n");
    assert_string_equal(l.config.listen, "127.0.0.1:8080");
    assert_string_equal(l.config.scripts, "scripts");
    assert_false(l.config.open);
    assert_int_equal(l.config.limits.body_bytes, 64 * 1024);
    assert_int_equal(l.config.limits.webhook_timeout_ms, 5000);
    assert_int_equal(l.config.cache_count + l.config.hook_count + l.config.key_count, 0);
    unload(&l);
}

static void test_globals(void **state) {
    (void)state;
    struct loaded l = load_good("listen = '[::1]:0' scripts = 's' data = 'd' workers = 3\n"
                                "open = true allow_open_public = true\n"
                                "log = { level = 'warn', format = 'json' }");
    assert_string_equal(l.config.listen, "[::1]:0");
    assert_string_equal(l.config.scripts, "s");
    assert_string_equal(l.config.data, "d");
    assert_int_equal(l.config.workers, 3);
    assert_true(l.config.open);
    assert_true(l.config.allow_open_public);
    assert_int_equal(l.config.log_level, LOG_WARN);
    assert_int_equal(l.config.log_format, LOG_JSON);
    unload(&l);
}

static void test_caches_are_names_or_tables(void **state) {
    (void)state;
    struct loaded l = load_good("caches = { 'chat', { name = 'orders' } }");
    assert_int_equal(l.config.cache_count, 2);
    assert_string_equal(l.config.caches[0].name, "chat");
    assert_string_equal(l.config.caches[1].name, "orders");
    unload(&l);
}

static void test_webhooks(void **state) {
    (void)state;
    struct loaded l = load_good(
        "caches = { 'chat' }\n"
        "local function hook(name, url)\n"
        "  return { cache = 'chat', name = name, topic = 't 1', url = url, secret = '12345678' }\n"
        "end\n"
        "webhooks = { hook('a', '/hooks/orders/refund'), hook('b', 'https://example.com/x?y') }");
    assert_int_equal(l.config.webhook_count, 2);
    const struct config_webhook *w = &l.config.webhooks[0];
    assert_string_equal(w->cache, "chat");
    assert_string_equal(w->name, "a");
    assert_string_equal(w->topic, "t 1");
    assert_string_equal(w->url, "/hooks/orders/refund");
    assert_string_equal(w->secret, "12345678");
    assert_string_equal(l.config.webhooks[1].url, "https://example.com/x?y");
    unload(&l);
}

static void test_hooks_have_defaults_and_one_or_more_secrets(void **state) {
    (void)state;
    struct loaded l = load_good(
        "hooks = { b = { secret = 'one secret', max_age = '2m', max_future = 0, body = '1m',\n"
        "                rate = 0.5 },\n"
        "  ['a/refund'] = { secrets = { 'new secret', 'old secret' } }, c = {} }");
    assert_int_equal(l.config.hook_count, 3);
    const struct config_hook *a = config_find_hook(&l.config, "a/refund");
    const struct config_hook *b = config_find_hook(&l.config, "b");
    assert_ptr_equal(a, &l.config.hooks[0]); /* sorted: the same order at each start */
    assert_int_equal(a->secret_count, 2);
    assert_string_equal(a->secrets[0], "new secret");
    assert_string_equal(a->secrets[1], "old secret");
    assert_int_equal(a->max_age_ms, 60000);
    assert_int_equal(a->max_future_ms, 60000);
    assert_int_equal(b->secret_count, 1);
    assert_string_equal(b->secrets[0], "one secret");
    assert_int_equal(b->max_age_ms, 120000);
    assert_int_equal(b->max_future_ms, 0);
    assert_int_equal(b->body_bytes, 1 << 20);
    assert_true(b->rate > 0.49 && b->rate < 0.51);
    assert_int_equal(config_find_hook(&l.config, "c")->secret_count, 0);
    unload(&l);
}

static void test_keys(void **state) {
    (void)state;
    struct loaded l =
        load_good("caches = { 'chat' }\n"
                  "keys = { { id = 'a', key = 'key of a'..'-----', role = 'publishonly',\n"
                  "           cache = 'chat', topic = 'room' },\n"
                  "         { id = 'b', key = 'key-of-b', role = 'publishsubscribe' } }"
                  "keys[1].key = 'key-of-a'");
    assert_int_equal(l.config.key_count, 2);
    assert_string_equal(l.config.keys[0].id, "a");
    assert_string_equal(l.config.keys[0].key, "key-of-a");
    assert_int_equal(l.config.keys[0].role, ROLE_PUBLISH);
    assert_string_equal(l.config.keys[0].cache, "chat");
    assert_string_equal(l.config.keys[0].topic, "room");
    assert_int_equal(l.config.keys[1].role, ROLE_PUBLISH_SUBSCRIBE);
    assert_null(l.config.keys[1].cache);
    unload(&l);
}

static void test_limits(void **state) {
    (void)state;
    struct loaded l = load_good(
        "limits = { body = '1k', message = 2048, header = '8k', connections = 1, subscribers = 2,\n"
        "  topics = 3, retained_items = 4, retained = '1g', request_timeout = '1m',\n"
        "  idle_timeout = 1000, heartbeat = '250ms', stop_grace = 0, json_depth = 5,\n"
        "  script_memory = '1m', script_instructions = 3000000000, script_deadline = '2s',\n"
        "  script_publishes = 6, webhook_queue = 7, webhook_concurrency = 8,\n"
        "  webhook_timeout = '1h' }");
    const struct config_limits *limits = &l.config.limits;
    assert_int_equal(limits->body_bytes, 1024);
    assert_int_equal(limits->message_bytes, 2048);
    assert_int_equal(limits->header_bytes, 8192);
    assert_int_equal(limits->connections, 1);
    assert_int_equal(limits->subscribers, 2);
    assert_int_equal(limits->topics, 3);
    assert_int_equal(limits->retained_items, 4);
    assert_int_equal(limits->retained_bytes, 1 << 30);
    assert_int_equal(limits->request_timeout_ms, 60000);
    assert_int_equal(limits->idle_timeout_ms, 1000);
    assert_int_equal(limits->heartbeat_ms, 250);
    assert_int_equal(limits->stop_grace_ms, 0);
    assert_int_equal(limits->json_depth, 5);
    assert_int_equal(limits->script_memory_bytes, 1 << 20);
    assert_int_equal(limits->script_instructions, 3000000000);
    assert_int_equal(limits->script_deadline_ms, 2000);
    assert_int_equal(limits->script_publishes, 6);
    assert_int_equal(limits->webhook_queue, 7);
    assert_int_equal(limits->webhook_concurrency, 8);
    assert_int_equal(limits->webhook_timeout_ms, 3600000);
    unload(&l);
}

static void test_env_reads_the_environment(void **state) {
    (void)state;
    setenv("HOOKMOON_TEST", "from outside", 1);
    unsetenv("HOOKMOON_TEST_NONE");
    struct loaded l = load_good("scripts = env('HOOKMOON_TEST')\n"
                                "data = env('HOOKMOON_TEST_NONE', 'fallback')");
    assert_string_equal(l.config.scripts, "from outside");
    assert_string_equal(l.config.data, "fallback");
    unload(&l);
    unsetenv("HOOKMOON_TEST");
}

static void test_the_file_may_compute(void **state) {
    (void)state;
    struct loaded l = load_good("caches = {}\n"
                                "for i, name in ipairs { 'a', 'b' } do\n"
                                "  caches[i] = name .. tostring(i):rep(2)\n"
                                "end\n"
                                "workers = math.max(1, select('#', table.unpack(caches)))");
    assert_string_equal(l.config.caches[1].name, "b22");
    assert_int_equal(l.config.workers, 2);
    unload(&l);
}

/* ---- files ---- */

static struct loaded load_file(const char *path) {
    struct loaded l = {0};
    config_init(&l.config);
    l.good = config_load(&l.config, path, note_mistake, &l);
    return l;
}

static void test_folders_are_relative_to_the_file(void **state) {
    (void)state;
    char folder[] = "/tmp/hookmoon-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *path = xasprintf("%s/hookmoon.lua", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("\xef\xbb\xbf"
          "data = '/var/data'",
          file); /* with the mark that some editors write */
    fclose(file);
    struct loaded l = load_file(path);
    char *scripts = xasprintf("%s/scripts", folder);
    assert_string_equal(buffer_string(&l.mistakes), "");
    assert_string_equal(l.config.file, path);
    assert_string_equal(l.config.scripts, scripts);
    assert_string_equal(l.config.data, "/var/data");
    unload(&l);
    unlink(path);
    l = load_file(path);
    assert_string_equal(buffer_string(&l.mistakes),
                        "- : cannot open it: No such file or directory\n");
    assert_false(l.good);
    unload(&l);
    l = load_file(folder);
    assert_string_equal(buffer_string(&l.mistakes), "- : cannot read it: Is a directory\n");
    unload(&l);
    rmdir(folder);
    free(scripts);
    free(path);
}

/* ---- sizes and durations ---- */

static void test_durations(void **state) {
    (void)state;
    int64_t ms;
    assert_true(config_parse_duration("250", &ms) && ms == 250);
    assert_true(config_parse_duration("250ms", &ms) && ms == 250);
    assert_true(config_parse_duration("10s", &ms) && ms == 10000);
    assert_true(config_parse_duration("2m", &ms) && ms == 120000);
    assert_true(config_parse_duration("1h", &ms) && ms == 3600000);
    assert_true(config_parse_duration("1d", &ms) && ms == 86400000);
    const char *const bad[] = {"",
                               "s",
                               "-1s",
                               "+1s",
                               " 1s",
                               "1 s",
                               "1x",
                               "1.5s",
                               "0x10",
                               "9223372036854775807s",
                               "99999999999999999999"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(config_parse_duration(bad[i], &ms));
    char text[CONFIG_QUANTITY_SIZE];
    config_format_duration(text, 90000);
    assert_string_equal(text, "90s");
    config_format_duration(text, 0);
    assert_string_equal(text, "0ms");
}

static void test_sizes(void **state) {
    (void)state;
    size_t bytes;
    assert_true(config_parse_size("10", &bytes) && bytes == 10);
    assert_true(config_parse_size("64k", &bytes) && bytes == 64 << 10);
    assert_true(config_parse_size("64KB", &bytes) && bytes == 64 << 10);
    assert_true(config_parse_size("16m", &bytes) && bytes == 16 << 20);
    assert_true(config_parse_size("1G", &bytes) && bytes == 1 << 30);
    assert_false(config_parse_size("1t", &bytes));
    assert_false(config_parse_size("99999999999g", &bytes));
    char text[CONFIG_QUANTITY_SIZE];
    config_format_size(text, 65536);
    assert_string_equal(text, "64k");
    config_format_size(text, 65537);
    assert_string_equal(text, "65537");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_file_leaves_the_defaults),
        cmocka_unit_test(test_globals),
        cmocka_unit_test(test_caches_are_names_or_tables),
        cmocka_unit_test(test_webhooks),
        cmocka_unit_test(test_hooks_have_defaults_and_one_or_more_secrets),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_env_reads_the_environment),
        cmocka_unit_test(test_the_file_may_compute),
        cmocka_unit_test(test_folders_are_relative_to_the_file),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
