#include "config_test.h"

/* ---- the box ---- */

static void test_only_the_harmless_is_there(void **state) {
    (void)state;
    const char *const gone[] = {"os",     "io",     "debug",    "package",      "require",
                                "load",   "dofile", "loadfile", "setmetatable", "getmetatable",
                                "rawset", "rawget", "pcall",    "coroutine",    "collectgarbage",
                                "_G",     "print",  "next"};
    for (size_t i = 0; i < COUNT_OF(gone); i++) {
        char *text = xasprintf("listen = %s", gone[i]);
        assert_mistake(text, "1 : a name is used here that is not defined");
        free(text);
    }
    assert_mistakes("assert(string.dump == nil)", "");
    assert_mistake("\x1bLua", "- : this is compiled Lua");
}

static void test_endless_loops_are_stopped(void **state) {
    (void)state;
    static const char too_long[] = "2 : this runs too long for a configuration";
    assert_mistake("\nwhile true do end", too_long);
    assert_mistake("\nlocal function f() return f() end f()", too_long);
    assert_mistake("\nstring.rep('', math.maxinteger)", "2 : bad argument #2 to 'rep'");
    assert_mistake("\ntable.move({}, 1, math.maxinteger - 1, 2)", "2 : bad argument #3 to 'move'");
    assert_mistake("\nlocal x = ('a'):rep(99):find(('a*'):rep(50) .. 'b')",
                   "2 : this could search");
    assert_mistake("\nlocal x = ('a'):rep(1e6):find(('a'):rep(5e5) .. 'b', 1, true)",
                   "2 : this could search too long");
}

static void test_patterns_of_a_usual_size_are_fine(void **state) {
    (void)state;
    struct loaded l = load_good("caches = {}\n"
                                "for name in ('chat, orders'):gmatch('[^, ]+') do\n"
                                "  caches[#caches + 1] = name:gsub('s$', ''):upper()\n"
                                "end\n"
                                "assert(('a.b'):find('.', 1, true) == 2)\n"
                                "assert(('1.22.333'):match('^(%d+)%.(%d+)%.(%d+)$') == '1')");
    assert_int_equal(l.config.cache_count, 2);
    assert_string_equal(l.config.caches[1].name, "ORDER");
    unload(&l);
}

static void test_memory_is_bounded(void **state) {
    (void)state;
    static const char too_much[] = "2 : this needs more than 16 MiB of memory";
    assert_mistake("local t = {}\nwhile true do t[#t + 1] = ('x'):rep(1e6) .. #t end", too_much);
    assert_mistake("\nlocal function f() return 1 + f() end f()", too_much);
    assert_mistake("\nlocal s = ('x'):rep(16e6) .. 'y'", too_much);
    assert_mistakes("for i = 1, 50000 do local t = { i } end", "");
}

/* ---- what goes wrong while it runs ---- */

static void test_errors_tell_their_line(void **state) {
    (void)state;
    assert_mistake("\nlisten = = 1", "2 : unexpected symbol near '='");
    assert_mistake("caches = {\n'a'\n", "3 : '}' expected (to close '{' at line 1) near <eof>");
    assert_mistake("\nerror('no')", "2 : no");
    assert_mistake("\nerror({})", "2 : the file raised an error without a message");
    assert_mistake("\n\nlisten = 1 + {}", "3 : attempt to perform arithmetic on a table value");
    assert_mistake("\n_ENV[nil] = 1", "2 : table index is nil");
}

static void test_lines_are_told_of_a_file_with_a_long_path(void **state) {
    (void)state;
    struct loaded l = {0};
    char name[301];
    memset(name, 'x', 300);
    name[300] = '\0';
    config_init(&l.config);
    assert_false(config_load_text(&l.config, name, "\nerror('no')", 12, note_mistake, &l));
    assert_string_equal(l.mistakes.data, "2 : no\n");
    unload(&l);
}

static void test_all_that_is_unset_is_told(void **state) {
    (void)state;
    unsetenv("HOOKMOON_TEST_NONE");
    assert_mistakes("caches = { env('HOOKMOON_TEST_NONE') }\n"
                    "keys = { { id = 'a',\n"
                    "  key = 'x' .. env('HOOKMOON_TEST_NONE'),\n"
                    "  role = publishonly } }\n"
                    "open = yes\n"
                    "limits = { body = env('HOOKMOON_TEST_NONE') }",
                    "1 : the environment variable HOOKMOON_TEST_NONE is not set; env(NAME, "
                    "\"...\") gives a default\n"
                    "3 : the environment variable HOOKMOON_TEST_NONE is not set; env(NAME, "
                    "\"...\") gives a default\n"
                    "4 : a name is used here that is not defined; text must be in quotes\n"
                    "5 : a name is used here that is not defined; text must be in quotes\n"
                    "6 : the environment variable HOOKMOON_TEST_NONE is not set; env(NAME, "
                    "\"...\") gives a default\n");
    struct loaded l = load("while true do local x = nothing end");
    assert_int_equal(l.count, 101);
    unload(&l);
}

/* ---- secrets ---- */

static void test_no_secret_is_told(void **state) {
    (void)state;
    setenv("HOOKMOON_TEST", "hunter2222", 1);
    const char *const texts[] = {
        "hooks = { a = { secret = \"hunter2222 } }",
        "hooks = { a = { secret = 'hunter2222\n } }",
        "hooks = { a = { secret = [[hunter2222 } }",
        "hooks = { a = { secret = hunter2222 } }",
        "hooks = { a = { secret = 'x' hunter2222 } }",
        "hooks = { a = { secret = 'x' 'hunter2222' } }",
        "hooks = { a = { secret = '\\qhunter2222' } }",
        "hooks = { a = { secret = 'hunter2222\\q' } }",
        "hooks = { a = { secret = 9hunter2222 } }",
        "hooks = { a = { secret = 'hunter2222' + 1 } }",
        "hooks = { a = { secret = -'hunter2222' } }",
        "hooks = { a = { secret = 'hunter2222' < 1 } }",
        "hooks = { a = { secret = ('hunter2222')() } }",
        "hooks = { a = { secret = 'hunter2222' .. {} } }",
        "hooks = { a = { secret = ('x'):rep('hunter2222') } }",
        "hooks = { a = { max_age = 'hunter2222' } }",
        "hooks = { a = { body = 'hunter2222' } }",
        "hooks = { a = { secrets = 'hunter2222' } }",
        "hooks = { a = { 'hunter2222' } }",
        "hooks = { a = 'hunter2222' }",
        "hooks = { 'hunter2222' }",
        "hooks = { ['hunter2222!'] = 'a' }",
        "keys = 'hunter2222'",
        "keys = { 'hunter2222' }",
        "keys = { hunter2222 = { id = 'a' } }",
        "keys = { { id = 'a', key = env('HOOKMOON_TEST'), role = env('HOOKMOON_TEST') } }",
        "keys = { { id = 'a', key = 'hunter2222\\n', role = 'publishonly' } }",
        "webhooks = { { cache = 'hunter2222', url = 'hunter2222', secret = 'hunter2222' } }",
        "limits = 'hunter2222' log = 'hunter2222' listen = 'hunter2222' open = 'hunter2222'",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct loaded l = load(texts[i]);
        assert_false(l.good);
        if (strstr(l.mistakes.data, "hunter") != NULL)
            assert_string_equal(l.mistakes.data, texts[i]);
        unload(&l);
    }
    unsetenv("HOOKMOON_TEST");
}

static void test_what_is_told_is_printable(void **state) {
    (void)state;
    assert_mistakes("error('a\\27[31m\\255')", "1 : a?[31m?\n");
    assert_mistake("log = { ['\\n\\xe4'] = 1 }", "1 log[\"??\"]: is not known");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_harmless_is_there),
        cmocka_unit_test(test_endless_loops_are_stopped),
        cmocka_unit_test(test_patterns_of_a_usual_size_are_fine),
        cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_errors_tell_their_line),
        cmocka_unit_test(test_lines_are_told_of_a_file_with_a_long_path),
        cmocka_unit_test(test_all_that_is_unset_is_told),
        cmocka_unit_test(test_no_secret_is_told),
        cmocka_unit_test(test_what_is_told_is_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
