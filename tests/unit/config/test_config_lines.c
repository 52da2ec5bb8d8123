#include "config_test.h"

#include "config/config_lua.h"

/* Evaluates it and asserts the line of the field that `path` leads to, e.g. "a.b.1.c". */
static void assert_line(const char *text, const char *path, int expected) {
    struct loaded l = {0};
    struct config_lua c;
    char *copy = xstrdup(path), *rest = copy;
    assert_true(config_lua_run(&c, "test.lua", text, strlen(text), note_mistake, &l));
    for (const char *part; (part = strsep(&rest, ".")) != NULL;) {
        if (lua_gettop(c.lua) > 1)
            lua_remove(c.lua, -2);
        assert_true(lua_istable(c.lua, -1));
        int table = lua_gettop(c.lua);
        if (lua_stringtonumber(c.lua, part) == 0)
            lua_pushstring(c.lua, part);
        if (rest == NULL)
            config_lua_problem(&c, table, table + 1, path, "found");
        lua_rawget(c.lua, table);
    }
    char *found = xasprintf("%d %s: found\n", expected, path);
    assert_string_equal(buffer_string(&l.mistakes), found);
    config_lua_free(&c);
    buffer_free(&l.mistakes);
    free(found);
    free(copy);
}

static void test_globals(void **state) {
    (void)state;
    static const char text[] = "a = 1\nb = 2 c = {}\n\nd = {\n\n}\na = 3";
    assert_line(text, "b", 2);
    assert_line(text, "c", 2);
    assert_line(text, "d", 4);
    assert_line(text, "a", 7);
}

static void test_named_fields(void **state) {
    (void)state;
    static const char text[] = "t = { a = 1, b = 2,\n"
                               "  c = 3, -- a comment\n"
                               "\n"
                               "  d = { e = 1,\n"
                               "    f = 2 }, g = 3,\n"
                               "  h =\n"
                               "    tostring(4),\n"
                               "  i = {\n"
                               "    j = { k = 1\n"
                               "    }\n"
                               "  }\n"
                               "}\n";
    assert_line(text, "t", 1);
    assert_line(text, "t.a", 1);
    assert_line(text, "t.b", 1);
    assert_line(text, "t.c", 2);
    assert_line(text, "t.d", 4);
    assert_line(text, "t.d.e", 4);
    assert_line(text, "t.d.f", 5);
    assert_line(text, "t.g", 5);
    assert_line(text, "t.h", 7);
    assert_line(text, "t.i", 8);
    assert_line(text, "t.i.j", 9);
    assert_line(text, "t.i.j.k", 9);
}

static void test_items_that_are_tables(void **state) {
    (void)state;
    static const char text[] = "t = {\n"
                               "  {\n"
                               "    a = 1,\n"
                               "    b = 2,\n"
                               "  },\n"
                               "\n"
                               "  -- a comment\n"
                               "  { a = 1,\n"
                               "    b = 2 },\n"
                               "  { a = 1 }, { a = 2 },\n"
                               "  { a = 3 }, {\n"
                               "    a = 4,\n"
                               "  }\n"
                               "}\n";
    assert_line(text, "t", 1);
    assert_line(text, "t.1", 2);
    assert_line(text, "t.1.a", 3);
    assert_line(text, "t.1.b", 4);
    assert_line(text, "t.2", 8);
    assert_line(text, "t.2.a", 8);
    assert_line(text, "t.2.b", 9);
    assert_line(text, "t.3", 10);
    assert_line(text, "t.4.a", 10);
    assert_line(text, "t.5", 11);
    assert_line(text, "t.6", 11);
    assert_line(text, "t.6.a", 12);
}

static void test_items_that_are_plain(void **state) {
    (void)state;
    static const char text[] = "t = {\n"
                               "  'a',\n"
                               "  env('PATH', 'b'),\n"
                               "  'a', 'c',\n"
                               "  -- a comment\n"
                               "  'd',\n"
                               "}\n";
    assert_line(text, "t.1", 2);
    assert_line(text, "t.2", 3);
    assert_line(text, "t.3", 4);
    assert_line(text, "t.4", 4);
    assert_line(text, "t.5", 6);
    assert_line("t = { x = { 'a',\n'b',\n'c' } }", "t.x.2", 2);
    assert_line("t = { x = { 'a',\n'b',\n'c' } }", "t.x.3", 3);
}

static void test_long_lists(void **state) {
    (void)state;
    struct buffer text = {0};
    buffer_add_string(&text, "t = {\n");
    for (int i = 0; i < 120; i++)
        buffer_add_format(&text, "  { a = %d },\n", i);
    buffer_add_string(&text, "}\nu = {\n");
    for (int i = 0; i < 120; i++)
        buffer_add_format(&text, "  'item %d',\n", i);
    buffer_add_string(&text, "}\n");
    assert_line(text.data, "t.2", 3);
    assert_line(text.data, "t.51.a", 52);
    assert_line(text.data, "t.120", 121);
    assert_line(text.data, "u.1", 124);
    assert_line(text.data, "u.51", 174);
    assert_line(text.data, "u.120", 243);
    buffer_free(&text);
}

static void test_what_is_computed(void **state) {
    (void)state;
    static const char text[] = "local shared = { x = 1,\n"
                               "  y = 2 }\n"
                               "local function make(v)\n"
                               "  local t = { v = v }\n"
                               "  t.w = v\n"
                               "  return t\n"
                               "end\n"
                               "t = { a = shared, b = make(1),\n"
                               "  c = 5 }\n"
                               "t.d = 6\n"
                               "for i = 1, 2 do\n"
                               "  t['e' .. i] = i\n"
                               "end\n"
                               "t.f = { make(1),\n"
                               "  'g' }\n";
    assert_line(text, "t.a.y", 2);
    assert_line(text, "t.b.v", 4);
    assert_line(text, "t.b.w", 5);
    assert_line(text, "t.c", 9);
    assert_line(text, "t.d", 10);
    assert_line(text, "t.e2", 12);
    assert_line(text, "t.f", 14);
    assert_line(text, "t.f.2", 15);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_globals),
        cmocka_unit_test(test_named_fields),
        cmocka_unit_test(test_items_that_are_tables),
        cmocka_unit_test(test_items_that_are_plain),
        cmocka_unit_test(test_long_lists),
        cmocka_unit_test(test_what_is_computed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
