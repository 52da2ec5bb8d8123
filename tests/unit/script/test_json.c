/* JSON keeps its shape on its way through Lua. */
#include "fixture.h"

static const char round_trip[] =
    "function on_event(e) publish('t', json.encode(json.decode(e.text))) end";

static void test_values_survive_a_round_trip(void **state) {
    (void)state;
    static const char *const texts[] = {
        "[]",
        "{}",
        "null",
        "true",
        "1",
        "-1",
        "1.0",
        "0.1",
        "1e+300",
        "-0.25",
        "9007199254740993",
        "9223372036854775807",
        "-9223372036854775808",
        "1704296470564",
        "\"\"",
        "\"a\\\"b\\\\c\\n\\u0001/ü😀\"",
        "[null,[],{},[[]]]",
        "{\"a\":[],\"b\":{},\"c\":null}",
        "{\"a\":{\"b\":[1,2.5,\"x\"]},\"z\":false}",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        assert_publishes(round_trip, texts[i], texts[i]);
}

static void test_types_are_what_lua_expects(void **state) {
    (void)state;
    assert_publishes("function on_event(e) local t = json.decode(e.text)\n"
                     "publish('t', math.type(t[1]) .. ' ' .. math.type(t[2]) .. ' ' .. "
                     "tostring(t[3] == json.null)"
                     " .. ' ' .. tostring(json.null == require('cjson').null) .. ' ' .. "
                     "tostring(json.is_array(t))"
                     " .. ' ' .. tostring(json.is_array(t[4]))) end",
                     "[1,1.0,null,{}]", "integer float true true true false");
}

static void test_tables_become_arrays_or_objects(void **state) {
    (void)state;
    assert_publishes("function on_event() publish('t', json.encode({{}, json.array(), {1, 2}, {b = "
                     "1, a = 2}, json.array({3}), json.null})) end",
                     "", "[{},[],[1,2],{\"a\":2,\"b\":1},[3],null]");
}

static void test_what_json_cannot_say_is_refused(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"0/0", "nan"},
        {"1/0", "infinite"},
        {"print", "function has no JSON form"},
        {"{1, nil, 3}", "hole"},
        {"{[1] = 1, [5] = 2}", "hole"},
        {"{1, x = 2}", "both items and named"},
        {"{[true] = 1}", "boolean"},
        {"{[1.5] = 1}", "number"},
        {"'\\xff'", "not UTF-8"},
        {"{['a\\0b'] = 1}", "NUL"},
        {"(function() local t = {} t.t = t return t end)()", "nested deeper"},
        {"(function() local t = 'x' for i = 1, 30 do t = {t, t} end return t end)()",
         "longer than limits.message"},
        {"setmetatable({1, 2, x = 3}, nil)", "both"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *source = xasprintf("function on_event() json.encode(%s) end", cases[i][0]);
        assert_fails(source, cases[i][1]);
        free(source);
    }
}

static void test_what_is_no_json_is_refused_with_its_place(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"''", "json.decode"},
        {"'{'", "line 1"},
        {"'[1,]'", "line 1"},
        {"'{\"a\":1,\"a\":2}'", "duplicate"},
        {"'[1] x'", "line 1"},
        {"'\"\\xff\"'", "json.decode"},
        {"('['):rep(33)", "nested deeper"},
        {"'99999999999999999999'", "big"},
        {"'{\"a\\\\u0000\":1}'", "json.decode"},
        {"('x'):rep(70000)", "limits.message"},
        {"nil", "bad argument #1 to 'decode'"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *source = xasprintf("function on_event() json.decode(%s) end", cases[i][0]);
        assert_fails(source, cases[i][1]);
        free(source);
    }
}

static void test_memory_running_out_in_the_middle_leaks_nothing(void **state) {
    (void)state;
    assert_fails("function on_event() local keep = {} while true do keep[#keep + 1] = "
                 "json.decode('[' .. ('{\"a\":[1,2,\"x\"]},'):rep(500) .. '1]') end end",
                 "memory limit");
    assert_fails("function on_event() local keep = {} while true do keep[#keep + 1] = "
                 "json.encode({('x'):rep(30000)}) end end",
                 "memory limit");
}

static void test_cjson_is_the_real_one_but_bounded(void **state) {
    (void)state;
    assert_publishes("local cjson = require 'cjson' function on_event(e) publish('t', "
                     "cjson.encode({1, 2, cjson.null}) .. cjson._VERSION:sub(1, 2)) end",
                     "", "[1,2,null]2.");
    assert_fails("local cjson = require 'cjson' function on_event() local t = 'x' for i = 1, 40 do "
                 "t = {t, t} end cjson.encode(t) end",
                 "limits.message");
    assert_fails("local cjson = require 'cjson' function on_event() cjson.decode('{') end",
                 "Expected");
    assert_fails(
        "local cjson = require 'cjson' function on_event() cjson.decode_max_depth(1 << 20) "
        "cjson.decode(('['):rep(60000)) end",
        "the depth is 1000 at most");
    assert_fails("local cjson = require 'cjson' function on_event() cjson.encode_sparse_array("
                 "false, 0) cjson.encode({[100000000] = 1}) end",
                 "limits.message");
    assert_fails("local cjson = require 'cjson' function on_event() cjson.decode('\"' .. ('x'):rep("
                 "70000) .. '\"') end",
                 "limits.message");
}

int main(void) {
    log_setup(LOG_OFF, LOG_JSON);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_survive_a_round_trip),
        cmocka_unit_test(test_types_are_what_lua_expects),
        cmocka_unit_test(test_tables_become_arrays_or_objects),
        cmocka_unit_test(test_what_json_cannot_say_is_refused),
        cmocka_unit_test(test_what_is_no_json_is_refused_with_its_place),
        cmocka_unit_test(test_memory_running_out_in_the_middle_leaks_nothing),
        cmocka_unit_test(test_cjson_is_the_real_one_but_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
