/* Bundles as they lie on disk. */
#include "fixture.h"

static struct bundle *load(const char *folder, const char *name, struct error *e) {
    char *path = xasprintf("%s/%s", folder, name);
    struct bundle *b = bundle_load(path, e);
    free(path);
    return b;
}

static void test_a_folder_with_a_manifest(void **state) {
    (void)state;
    struct error e;
    char *folder = make_folder();
    write_file(folder, "shop/bundle.lua",
               "name = 'shop' version = '1.2' description = 'x' hooks = {'orders', 'refunds'}\n"
               "config = { list = {1, 2.5, 'x'}, deep = { yes = true }, none = {} }\n"
               "limits = { memory = '16m', instructions = 5000, deadline = '50ms' }");
    write_file(folder, "shop/main.lua", "function on_event() end");
    struct bundle *b = load(folder, "shop", &e);
    assert_non_null(b);
    assert_string_equal(b->name, "shop");
    assert_int_equal(strncmp(b->version, "1.2+", 4), 0);
    assert_true(bundle_has_hook(b, "orders") && bundle_has_hook(b, "refunds"));
    assert_false(bundle_has_hook(b, "other"));
    assert_int_equal(b->memory_bytes, 16 << 20);
    assert_int_equal(b->instructions, 5000);
    assert_int_equal(b->deadline_ms, 50);
    char *config = json_dumps(b->config, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(config, "{\"deep\":{\"yes\":true},\"list\":[1,2.5,\"x\"],\"none\":{}}");
    free(config);
    bundle_free(b);
    remove_folder(folder);
}

static void test_mistakes_of_a_manifest_are_told_with_their_line(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"version = 1", "bundle.lua:1: version must be a string"},
        {"\nhocks = {}", "bundle.lua:2: hocks is not known; did you mean \"hooks\"?"},
        {"name = 'other'", "is \"other\", but the folder is \"b\""},
        {"hooks = {'a b'}", "bundle.lua:1: hooks is a list of names"},
        {"hooks = {'a', 'a'}", "twice"},
        {"hooks = {a = 'b'}", "hooks is a list of names, without holes or named fields"},
        {"config = { print = function() end }", "config has a value"},
        {"config = { 1, x = 2 }", "not both"},
        {"config = setmetatable({}, {})", "bundle.lua:1:"},
        {"limits = { memory = '1' }", "limits.memory must be from"},
        {"limits = { deadline = 'soon' }", "limits.deadline must be a duration"},
        {"x = ", "bundle.lua:1:"},
        {"while true do end", "too long"},
        {"local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end", "memory"},
        {"\033Lua", "compiled"},
        {"version = 1 nmae = 2", "(and 1 more)"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error e = {0};
        char *folder = make_folder();
        write_file(folder, "b/bundle.lua", cases[i][0]);
        write_file(folder, "b/main.lua", "function on_event() end");
        assert_null(load(folder, "b", &e));
        if (strstr(e.message, cases[i][1]) == NULL)
            fail_msg("%s: \"%s\" is not in \"%s\"", cases[i][0], cases[i][1], e.message);
        remove_folder(folder);
    }
}

static void test_what_is_missing_or_no_file_is_said(void **state) {
    (void)state;
    struct error e;
    char *folder = make_folder();
    assert_null(load(folder, "none.lua", &e));
    assert_non_null(strstr(e.message, "none.lua: there is no such file"));
    write_file(folder, "empty/x.lua", "");
    assert_null(load(folder, "empty", &e));
    assert_non_null(strstr(e.message, "empty/main.lua: there is no such file"));
    write_file(folder, "big.lua", "--");
    char *path = xasprintf("%s/big.lua", folder);
    assert_int_equal(truncate(path, 2 << 20), 0);
    free(path);
    assert_null(load(folder, "big.lua", &e));
    assert_non_null(strstr(e.message, "larger than 1 MiB"));
    remove_folder(folder);
}

static unsigned problems;

static void on_problem(void *context, const char *path, const struct error *e) {
    (void)context, (void)path, (void)e;
    problems++;
}

static void test_a_folder_of_bundles(void **state) {
    (void)state;
    struct bundle_list l;
    char *folder = make_folder();
    static const char *const names[] = {
        "b.lua",        "a.lua",        "a_test.lua",    ".hidden.lua", "x.event.json", "README.md",
        "bad name.lua", "dir/main.lua", "both/main.lua", "both.lua",    "_draft.lua"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        write_file(folder, names[i], "function on_event() end");
    assert_true(bundle_list_load(&l, folder, on_problem, NULL, NULL));
    assert_int_equal(problems, 2); /* the bad name, and the name that is there twice */
    assert_int_equal(l.count, 4);
    assert_string_equal(l.list[0]->name, "a");
    assert_string_equal(l.list[1]->name, "b");
    assert_string_equal(l.list[2]->name, "both");
    assert_non_null(l.list[2]->folder); /* of the two, always the folder */
    assert_non_null(bundle_list_find(&l, "dir/x", 3));
    assert_null(bundle_list_find(&l, "dirx", 4));
    bundle_list_free(&l);
    assert_false(bundle_list_load(&l, "/nowhere/at/all", on_problem, NULL, NULL));
    remove_folder(folder);
}

/* ---- require ---- */

static void expect_require(const char *folder, const char *source, const char *library,
                           const char *expected) {
    struct error e;
    struct script_limits limits = test_limits;
    limits.library = library;
    write_file(folder, "b/main.lua", source);
    struct bundle *b = load(folder, "b", &e);
    struct script *s = script_new(b, &limits, &e);
    char *got = xstrdup("loaded");
    if (s == NULL) {
        free(got);
        got = xstrdup(e.message);
    }
    if (strstr(got, expected) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", expected, got);
    free(got);
    script_free(s);
    bundle_free(b);
}

static void test_require_finds_the_bundles_modules_and_the_librarys(void **state) {
    (void)state;
    char *folder = make_folder(), *library = make_folder();
    write_file(folder, "b/one.lua", "loads = (loads or 0) + 1 return { name = 'one' }");
    write_file(folder, "b/sub/two.lua", "return require('one').name .. ' two'");
    write_file(folder, "b/broken.lua", "return +");
    write_file(folder, "b/circle.lua", "return require 'circle'");
    write_file(folder, "b/binary.lua", "\033Lua");
    write_file(folder, "secret.lua", "return 'out of the bundle'");
    write_file(library, "helper.lua", "return 'from the library'");
    write_file(library, "one.lua", "return 'hidden by the bundle'");
    expect_require(folder,
                   "assert(require 'sub.two' == 'one two') assert(require 'one' == require 'one') "
                   "assert(loads == 1)"
                   " assert(require 'helper' == 'from the library') assert(require 'json' == json)"
                   " function on_event() end",
                   library, "loaded");
    expect_require(folder, "require 'nothing'", library,
                   "module 'nothing' not found: neither built in nor in");
    expect_require(folder, "require 'broken'", NULL, "b/broken.lua:1: unexpected symbol");
    expect_require(folder, "require 'circle'", NULL, "requires itself");
    expect_require(folder, "require 'binary'", NULL, "compiled Lua");
    expect_require(folder, "require '..secret'", NULL, "is not made of");
    expect_require(folder, "require 'helper'", NULL, "not found");
    char *target = xasprintf("%s/secret.lua", folder), *link = xasprintf("%s/b/link.lua", folder);
    assert_int_equal(symlink(target, link), 0);
    expect_require(folder, "require 'link'", NULL, "leads out of");
    free(target);
    free(link);
    remove_folder(folder);
    remove_folder(library);
}

static char *version_of(const char *folder, const char *name) {
    struct error e;
    struct bundle *b = load(folder, name, &e);
    assert_non_null(b);
    char *version = xstrdup(b->version);
    bundle_free(b);
    return version;
}

static void test_the_version_tells_code_apart(void **state) {
    static const char *const changes[][2] = {
        {"s/main.lua", "function on_event() end -- changed"},
        {"s/module.lua", "return 1"},
        {"s/deep/module.lua", "return 1"},
        {"s/deep/module.lua", "return 2"},
        {"s/deep/other.lua", ""},
    };
    (void)state;
    char *folder = make_folder();
    write_file(folder, "s/main.lua", "function on_event() end");
    char *before = version_of(folder, "s");
    assert_int_equal(strlen(before), 16); /* no manifest: the digest alone */
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        write_file(folder, changes[i][0], changes[i][1]);
        char *after = version_of(folder, "s"), *again = version_of(folder, "s");
        assert_string_not_equal(before, after);
        assert_string_equal(after, again);
        free(again);
        free(before);
        before = after;
    }
    /* What is no Lua file does not count, nor where the folder is. */
    write_file(folder, "s/README.md", "text");
    char *elsewhere = make_folder();
    char *command = xasprintf("cp -r '%s/s' '%s/s'", folder, elsewhere);
    assert_int_equal(system(command), 0);
    free(command);
    char *copy = version_of(elsewhere, "s");
    assert_string_equal(before, copy);
    free(copy);
    free(before);
    remove_folder(elsewhere);
    remove_folder(folder);
}

int main(void) {
    log_setup(LOG_OFF, LOG_JSON);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_version_tells_code_apart),
        cmocka_unit_test(test_a_folder_with_a_manifest),
        cmocka_unit_test(test_mistakes_of_a_manifest_are_told_with_their_line),
        cmocka_unit_test(test_what_is_missing_or_no_file_is_said),
        cmocka_unit_test(test_a_folder_of_bundles),
        cmocka_unit_test(test_require_finds_the_bundles_modules_and_the_librarys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
