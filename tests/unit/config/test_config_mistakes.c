#include "config_test.h"

static const char role_words[] =
    "\"publishsubscribe\", \"publishonly\", \"subscribeonly\" or \"admin\"";

static void test_unknown_fields_are_mistakes(void **state) {
    (void)state;
    assert_mistakes("lsten = 'x'", "1 lsten: is not known; did you mean \"listen\"?\n");
    assert_mistakes("limits = {\n bdoy = '1k' }",
                    "2 limits.bdoy: is not known; did you mean \"body\"?\n");
    assert_mistakes("log = { colour = 1 }",
                    "1 log.colour: is not known; known are level, format\n");
    assert_mistakes("log = { ['a b'] = 1 }",
                    "1 log[\"a b\"]: is not known; known are level, format\n");
    assert_mistakes("log = {\n 'info' }",
                    "2 log: has a number among its fields, which have names\n");
    assert_mistake("hooks = { a = { secert = '12345678' } }",
                   "1 hooks.a.secert: is not known; did you mean \"secret\"?");
    assert_mistake("xyzzy = 1", "1 xyzzy: is not known; known are listen, public_url,");
}

static void test_types(void **state) {
    (void)state;
    assert_mistakes("listen = 8080", "1 listen: must be a string, not a number\n");
    assert_mistakes("scripts = ''", "1 scripts: is empty\n");
    assert_mistakes("scripts = 'a\\0b'", "1 scripts: has a NUL character\n");
    assert_mistakes("open = 'yes'", "1 open: must be true or false, without quotes\n");
    assert_mistakes("workers = 1.5", "1 workers: must be a whole number\n");
    assert_mistakes("workers = '2'", "1 workers: must be a whole number\n");
    assert_mistake("limits = 5", "1 limits: must be a table { body");
    assert_mistake("log = 'info'", "1 log: must be a table { level");
    assert_mistake("caches = 'chat'", "1 caches: must be a list of names");
    assert_mistake("caches = { 5 }", "1 caches[1]: must be a cache's name, or { name = ... }");
    assert_mistake("webhooks = { 5 }", "1 webhooks[1]: must be a table { cache");
    assert_mistake("keys = { 5 }", "1 keys[1]: must be a table { id");
    assert_mistake("hooks = { a = 5 }", "1 hooks.a: must be a table { secret");
    assert_mistake("hooks = { a = { secrets = 'x' } }", "1 hooks.a.secrets: must be a list of");
}

static void test_ranges(void **state) {
    (void)state;
    assert_mistakes("workers = 0", "1 workers: must be from 1 to 256\n");
    assert_mistakes("limits = { body = '2g' }",
                    "1 limits.body: must be from \"1\" to \"1g\"; a plain number means bytes\n");
    assert_mistakes("limits = { idle_timeout = 10 }",
                    "1 limits.idle_timeout: must be from \"1s\" to \"1d\"; a plain number means "
                    "milliseconds\n");
    assert_mistake("limits = { body = -1 }", "1 limits.body: must be a size such as \"64k\"");
    assert_mistake("limits = { body = '64q' }", "1 limits.body: must be a size such as");
    assert_mistake("limits = { body = '64k\\0' }", "1 limits.body: must be a size such as");
    assert_mistake("limits = { heartbeat = '10' .. 'x' }",
                   "1 limits.heartbeat: must be a duration such as \"250ms\", \"10s\"");
    assert_mistake("hooks = { a = { rate = -1 } }", "1 hooks.a.rate: must be from 0 to");
    assert_mistake("hooks = { a = { rate = 0/0 } }", "1 hooks.a.rate: must be from 0 to");
}

static void test_listen_is_host_and_port(void **state) {
    (void)state;
    const char *const good[] = {"127.0.0.1:0", "localhost:65535", ":8080", "[::]:80"};
    const char *const bad[] = {"8080",   "localhost", "h:",     "h:65536", "h:080000", "h:8x",
                               "::1:80", "[::1]",     "[x]:80", "a b:80",  "h:-1",     "[]:80"};
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        char *text = xasprintf("listen = '%s'", good[i]);
        assert_mistakes(text, "");
        free(text);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char *text = xasprintf("\nlisten = '%s'", bad[i]);
        assert_mistake(text, "2 listen: must be HOST:PORT, such as");
        free(text);
    }
}

static void test_words(void **state) {
    (void)state;
    assert_mistakes("log = { level = 'loud' }",
                    "1 log.level: must be \"debug\", \"info\", \"warn\", \"error\" or \"off\"\n");
    assert_mistakes("log = { format = 5 }",
                    "1 log.format: must be \"auto\", \"human\" or \"json\"\n");
    char *expected = xasprintf("1 keys[1].role: must be %s\n"
                               "1 keys[2].role: is missing: must be %s\n",
                               role_words, role_words);
    assert_mistakes("keys = { { id = 'a', key = '12345678', role = 'boss' },"
                    " { id = 'b', key = '23456789' } }",
                    expected);
    free(expected);
}

static void test_lists_have_nothing_but_items(void **state) {
    (void)state;
    assert_mistake("caches = { 'a', name = 'b' }", "1 caches: has a field with a name or behind a");
    assert_mistake("caches = { 'a', [5] = 'b' }", "1 caches: has a field with a name or behind a");
    /* The name is not told: it can be a key that was put where the id belongs. */
    assert_mistake("keys = { ['my-key-1234'] = { id = 'a' } }", "1 keys: has a field with a name");
}

static void test_names(void **state) {
    (void)state;
    assert_mistakes("caches = { '' }", "1 caches[1]: is empty\n");
    assert_mistakes("caches = { { name = 'a\\n' } }",
                    "1 caches[1].name: has a control character\n");
    assert_mistakes("caches = { {} }", "1 caches[1].name: is missing\n");
    assert_mistakes("keys = { { id = '\\xff', key = '12345678', role = 'publishonly' } }",
                    "1 keys[1].id: is not UTF-8\n");
    const char *const bad[] = {"a b", "a/", "/a", "a/b/c", "", "a\\0b", "\\xc3\\xa4"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char *text = xasprintf("hooks = { ['%s'] = {} }", bad[i]);
        assert_mistake(text, "1 hooks: has a key that is no hook's name");
        free(text);
    }
}

static void test_what_is_there_twice(void **state) {
    (void)state;
    assert_mistakes("caches = { 'a', { name = 'a' } }", "1 caches[2].name: is there twice\n");
    assert_mistakes("caches = { 'a', 'b' }\n"
                    "local function hook(cache)\n"
                    "  return { cache = cache, name = 'n', topic = 't', url = 'http://x',\n"
                    "           secret = '12345678' }\n"
                    "end\n"
                    "webhooks = { hook('a'), hook('b'), hook('b') }",
                    "3 webhooks[3].name: is there twice in this cache: see webhooks[2]\n");
    assert_mistakes("keys = { { id = 'a', key = '12345678', role = 'publishonly' },\n"
                    "{ id = 'a', key = '23456789', role = 'publishonly' },\n"
                    "{ id = 'b', key = '12345678', role = 'publishonly' } }",
                    "2 keys[2].id: is there twice: see keys[1]\n"
                    "3 keys[3].key: is the same as that of keys[1]\n");
}

/* Lua would take the last of them. */
static void test_hooks_that_are_there_twice(void **state) {
    (void)state;
    assert_mistakes("hooks = {\n"
                    "  a = { rate = 1 },\n"
                    "  b = {\n"
                    "    rate = 1,\n"
                    "  },\n"
                    "  a = { rate = 2 },\n"
                    "  b = {\n"
                    "    rate = 2,\n"
                    "  },\n"
                    "  c = {\n"
                    "    rate = 2 },\n"
                    "}\n",
                    "6 hooks.a: is there twice\n"
                    "7 hooks.b: is there twice\n");
    /* Meant, this is no mistake. */
    assert_mistakes("hooks = {\n"
                    "  a = { rate = 1 },\n"
                    "}\n"
                    "hooks.a = { rate = 2 }\n"
                    "for i = 1, 3 do\n"
                    "  hooks.a = {\n"
                    "    rate = i }\n"
                    "end\n",
                    "");
}

static void test_caches_that_are_not_there(void **state) {
    (void)state;
    assert_mistakes("webhooks = { {\n"
                    "  cache = 'a', name = 'n', topic = 't', url = 'http://x',\n"
                    "  secret = '12345678' } }\n"
                    "keys = { { id = 'a', key = '12345678', role = 'publishonly',\n"
                    "  cache = 'b' } }",
                    "2 webhooks[1].cache: is not among caches\n"
                    "5 keys[1].cache: is not among caches\n");
}

static void test_urls(void **state) {
    (void)state;
    const char *const bad[] = {"ftp://x", "x",          "http://", "http://a b/", "/x",
                               "/hooks/", "/hooks/a b", "//x",     "http://a:x",  "javascript:1"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char *text =
            xasprintf("caches = { 'c' } webhooks = { { cache = 'c', name = 'n', topic = 't',"
                      "secret = '12345678',\nurl = '%s' } }",
                      bad[i]);
        assert_mistake(text, "2 webhooks[1].url: must be a whole http:// or https:// URL, or");
        free(text);
    }
}

static void test_secrets_are_not_too_short(void **state) {
    (void)state;
    static const char too_short[] = "is too short: 8 characters or more are asked for";
    char *expected =
        xasprintf("1 keys[1].key: %s\n2 hooks.a.secret: %s\n3 hooks.b.secrets[2]: %s\n", too_short,
                  too_short, too_short);
    assert_mistakes("keys = { { id = 'a', key = '1234567', role = 'publishonly' } }\n"
                    "hooks = { a = { secret = '1234567' },\n"
                    "b = { secrets = { '12345678', '1234567' } } }",
                    expected);
    free(expected);
    assert_mistake("hooks = { a = { secrets = {} } }", "1 hooks.a.secrets: is empty, so nobody");
    assert_mistake("keys = { { id = 'a', key = '12345678\\n', role = 'publishonly' } }",
                   "1 keys[1].key: has a space or control character");
}

static void test_open_contradicts_keys(void **state) {
    (void)state;
    assert_mistake("keys = { { id = 'a', key = '12345678', role = 'publishonly' } }\nopen = true",
                   "2 open: contradicts keys");
}

/* A mistake per line, and each is found. */
static void test_many_mistakes_at_once(void **state) {
    (void)state;
    unsetenv("HOOKMOON_TEST_NONE");
    assert_mistakes("listen = 5\n"
                    "caches = {\n"
                    "  'a',\n"
                    "  'a',\n"
                    "}\n"
                    "webhooks = {\n"
                    "  {\n"
                    "    cache = 'a',\n"
                    "    name = 'n',\n"
                    "    url = 'nothing',\n"
                    "    secret = env('HOOKMOON_TEST_NONE'),\n"
                    "  },\n"
                    "}\n"
                    "hooks = {\n"
                    "  uppercase = {\n"
                    "    max_age = 'long',\n"
                    "  },\n"
                    "}\n"
                    "limits = { connections = 0 }\n",
                    "1 listen: must be a string, not a number\n"
                    "4 caches[2]: is there twice\n"
                    "7 webhooks[1].topic: is missing\n"
                    "10 webhooks[1].url: must be a whole http:// or https:// URL, or "
                    "\"/hooks/NAME\" for a hook of this gateway\n"
                    "11 : the environment variable HOOKMOON_TEST_NONE is not set; env(NAME, "
                    "\"...\") gives a default\n"
                    "16 hooks.uppercase.max_age: must be a duration such as \"250ms\", \"10s\" or "
                    "\"2m\"; a plain number means milliseconds\n"
                    "19 limits.connections: must be from 1 to 1000000\n");
}

static void test_very_many_mistakes_are_counted(void **state) {
    (void)state;
    struct loaded l = load("hooks = {} for i = 1, 300 do hooks['h' .. i] = 5 end");
    assert_int_equal(l.count, 201);
    assert_non_null(strstr(l.mistakes.data, "- : has 100 more mistakes\n"));
    unload(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown_fields_are_mistakes),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_listen_is_host_and_port),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_lists_have_nothing_but_items),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_what_is_there_twice),
        cmocka_unit_test(test_hooks_that_are_there_twice),
        cmocka_unit_test(test_caches_that_are_not_there),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_secrets_are_not_too_short),
        cmocka_unit_test(test_open_contradicts_keys),
        cmocka_unit_test(test_many_mistakes_at_once),
        cmocka_unit_test(test_very_many_mistakes_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
