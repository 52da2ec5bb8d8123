/* What a script may do, and what it may not. */
#include "fixture.h"

static void test_what_is_published_comes_in_order_with_cache_and_kind(void **state) {
    (void)state;
    struct run r;
    assert_true(run_load(
        &r, "function on_event(e) publish('a', e.text:upper())"
            " publish('b', {1, x and 2}, {cache = 'other'}) publish('c', '\\xff\\0') end"));
    assert_string_equal(run_text(&r, "héllo"), "HéLLO");
    assert_int_equal(r.outcome.publish_count, 3);
    const struct publish *p = r.outcome.publishes;
    assert_string_equal(p[0].cache, "chat");
    assert_string_equal(p[0].topic, "a");
    assert_int_equal(p[0].item->kind, ITEM_TEXT);
    assert_string_equal(p[0].item->publisher_id, "ada");
    assert_string_equal(p[1].cache, "other");
    assert_string_equal(p[1].item->value, "[1]");
    assert_int_equal(p[2].item->kind, ITEM_BINARY);
    assert_int_equal(p[2].item->length, 2);
    run_free(&r);
}

static void test_an_error_publishes_nothing_and_says_where(void **state) {
    (void)state;
    struct run r;
    assert_true(run_load(&r, "local function inner(e)\n  return e.no.field\nend\n"
                             "function on_event(e)\n  publish('a', '1')\n  inner(e)\nend"));
    assert_null(run_text(&r, "x"));
    assert_int_equal(r.outcome.publish_count, 0);
    assert_non_null(strstr(r.error.message, "s.lua:2: attempt to index a nil value (field 'no')"));
    assert_non_null(strstr(script_traceback(r.script), "s.lua:6:"));
    run_free(&r);
    assert_fails("function on_event()\n  error({code = 1})\nend", "s.lua:2: (the error is a table");
    assert_fails("function on_event()\n  error('no place', 0)\nend", "s.lua:2: no place");
    assert_fails("function on_event()\n  setmetatable(1)\nend",
                 "s.lua:2: bad argument #1 to 'setmetatable'");
    assert_fails("function on_event()\n  return ('x'):find('[')\nend",
                 "s.lua:2: malformed pattern");
    assert_fails("function on_event()\n  while true do end\nend", "s.lua:2: instruction limit");
    assert_fails("function on_event() error(setmetatable({}, {__tostring = function() return 'own' "
                 "end})) end",
                 "own");
    assert_fails("function on_event() error() end", "nil");
}

static void test_after_an_error_the_next_event_is_served(void **state) {
    (void)state;
    struct run r;
    assert_true(run_load(
        &r,
        "function on_event(e) if e.text == 'bad' then error('no') end publish('a', e.text) end"));
    assert_null(run_text(&r, "bad"));
    assert_string_equal(run_text(&r, "good"), "good");
    run_free(&r);
}

static void test_publish_checks_what_it_is_given(void **state) {
    (void)state;
    assert_fails("function on_event() publish() end", "bad argument #1 to 'publish'");
    assert_fails("function on_event() publish('t') end", "string or table expected, got no value");
    assert_fails("function on_event() publish('t', 5) end", "string or table expected, got number");
    assert_fails("function on_event() publish('', 'x') end", "topic name is empty");
    assert_fails("function on_event() publish('a\\nb', 'x') end", "control character");
    assert_fails("function on_event() publish('t', 'x', {chache = 'c'}) end",
                 "unknown option 'chache'");
    assert_fails("function on_event() publish('t', 'x', {cache = {}}) end",
                 "s.lua:1: publish: the option 'cache' is a string, got table");
    assert_fails("function on_event() publish('t', 'x', {cache = 'a\\0b'}) end",
                 "the cache name has a control character");
    assert_fails("function on_event() publish('t', ('x'):rep(65537)) end", "limits.message");
    assert_fails("function on_event() for i = 1, 101 do publish('t', 'x') end end",
                 "limits.script_publishes");
    struct run r;
    assert_false(run_load(&r, "publish('t', 'x') function on_event() end"));
    assert_non_null(strstr(r.error.message, "only on_event may publish"));
    run_free(&r);
}

static void test_what_runs_too_long_is_stopped(void **state) {
    (void)state;
    static const char *const sources[] = {
        "function on_event() while true do end end",
        "function on_event() while true do pcall(function() while true do end end) end end",
        "function on_event() while true do xpcall(function() while true do end end, function() "
        "while true do end end) end end",
        "function on_event() local co = coroutine.wrap(function() while true do end end) while "
        "true do pcall(co) end end",
        "function on_event() local t = setmetatable({}, {__index = function() while true do end "
        "end}) return t.x end",
        "function on_event() (('x'):rep(100)):gsub('.', function() while true do end end) end",
        "function on_event() table.sort({1, 2, 3, 4}, function() while true do end end) end",
        "function on_event() local x <close> = setmetatable({}, {__close = function() while true "
        "do end end}) end",
        "function on_event() for _ in pairs(setmetatable({}, {__pairs = function() while true do "
        "end end})) do end end",
    };
    for (size_t i = 0; i < COUNT_OF(sources); i++)
        assert_fails(sources[i], "limit exceeded");
}

static void test_functions_that_loop_in_c_are_bounded(void **state) {
    (void)state;
    assert_publishes("function on_event() publish('t', ('').rep('', 1 << 60) .. 'done') end", "x",
                     "done");
    assert_fails("function on_event() table.move({}, 1, 1 << 60, 2) end", "too many elements");
    assert_fails("function on_event() table.insert(setmetatable({}, {__len = function() return 1 "
                 "<< 60 end}), 1, 1) end",
                 "too long");
    assert_fails("function on_event() table.remove(setmetatable({}, {__len = function() return 1 "
                 "<< 60 end}), 1) end",
                 "too long");
    assert_publishes("function on_event() local t = {1, 2} table.insert(t, 1, 'a') table.insert(t, "
                     "'b') table.remove(t, 2) publish('t', table.concat(table.move(t, 1, 3, 2), "
                     "',') .. ('ab'):rep(2, '-')) end",
                     "x", "a,a,2,bab-ab");
    /* Their errors name the script's line and the function, as Lua's own do. */
    assert_fails("function on_event() table.insert(nil, 1) end",
                 "s.lua:1: bad argument #1 to 'insert' (table expected, got nil)");
    assert_fails("function on_event() table.insert({}, 3, 1) end", "position out of bounds");
    assert_fails("function on_event() setmetatable(json.array(), {}) end",
                 "s.lua:1: cannot change a protected metatable");
    assert_fails("function on_event() return ('x'):rep({}) end",
                 "s.lua:1: bad argument #1 to 'rep'");
}

static void test_library_functions_cannot_run_without_end(void **state) {
    (void)state;
    static const char *const sources[] = {
        "while true do table.move({}, 1, 1000000, 2) end",
        "table.concat(setmetatable({}, {__index = table.concat}), '', 1, 1 << 60)",
        "table.concat(setmetatable({}, {__len = function() return 1 << 60 end, __index = "
        "table.concat}))",
        "local t = {} for i = 1, 100000 do t[i] = i end while true do table.sort(t) end",
        "local t = {} for i = 1, 100000 do t[i] = i end while true do table.insert(t, 1, 0) "
        "table.remove(t, 1) end",
        "while true do local s = ('x'):rep(1000000):gsub('.', '') end",
        "while true do log.info('x') end",
        /* Coroutines that each end before their first count. */
        "local function f(n) for i = 1, 20 do pcall(coroutine.wrap(f), n) end end f()",
        "local function f(n) for i = 1, 20 do coroutine.resume(coroutine.create(f), n) end end "
        "f()",
        /* What a limit ended has its hook disabled: it is not to be closed. */
        "pcall(coroutine.wrap(function() local x <close> = setmetatable({}, {__close = function() "
        "while true do end end}) while true do end end))",
        "local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = "
        "function() while true do end end}) while true do end end) coroutine.resume(co) "
        "coroutine.close(co)",
    };
    for (size_t i = 0; i < COUNT_OF(sources); i++) {
        char *source = xasprintf("function on_event() %s end", sources[i]);
        assert_fails(source, "limit exceeded");
        free(source);
    }
}

static void test_guarded_functions_do_what_luas_do(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"(function() local t = {1, 2} table.insert(t, 3) table.insert(t, 1, 0) return "
         "table.concat(t, ',') .. table.remove(t) .. table.remove(t, 1) .. #t end)()",
         "0,1,2,3302"},
        {"tostring(table.remove({})) .. tostring(table.remove({}, 0))", "nilnil"},
        {"table.concat({1, 2, 3}, '-', 2) .. table.concat({1, 2, 3}, '-', 1, 2) .. "
         "table.concat({})",
         "2-31-2"},
        {"table.concat(table.move({1, 2, 3}, 1, 3, 2), ',')", "1,1,2,3"},
        {"(function() local t = {3, 1, 2} table.sort(t) local s = table.concat(t) table.sort(t, "
         "function(a, b) return a > b end) return s .. table.concat(t) end)()",
         "123321"},
        {"('ab'):rep(3, '-') .. ('x'):rep(0) .. ('x'):rep(-1)", "ab-ab-ab"},
        {"('k=v'):match('(%a)=') .. ('abc'):find('c', 1, true) .. ('abc'):gsub('b', {b = 'x'})",
         "k3axc"},
        {"(function() local s = '' for k, v in ('a=1,b=2'):gmatch('(%a)=(%d)') do s = s .. k .. v "
         "end return s end)()",
         "a1b2"},
        {"(function() local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) "
         "return b * 2, 'done' end) local x = co(1) local y, z = co(10) local _, e = pcall(co) "
         "return x .. y .. z .. e end)()",
         "220donecannot resume dead coroutine"},
        {"(function() local closed = '' local co = coroutine.wrap(function() local x <close> = "
         "setmetatable({}, {__close = function() closed = 'closed' end}) error({}) end) local _, "
         "e = pcall(co) return closed .. type(e) end)()",
         "closedtable"},
        {"(function() local co = coroutine.create(coroutine.yield) coroutine.resume(co) return "
         "tostring(coroutine.close(co)) .. coroutine.status(co) end)()",
         "truedead"},
        {"select(2, pcall(setmetatable, setmetatable({}, {__metatable = 1}), nil))",
         "cannot change a protected metatable"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *source =
            xasprintf("function on_event() local s = %s publish('t', s) end", cases[i][0]);
        assert_publishes(source, "", cases[i][1]);
        free(source);
    }
}

static void test_a_call_that_cannot_be_interrupted_is_noticed_right_after(void **state) {
    (void)state;
    struct run r;
    struct script_limits limits = test_limits;
    limits.deadline_ms = 5;
    assert_true(
        run_load(&r, "function on_event(e) for i = 1, 200 do e.text:find('.-.-b') end end"));
    script_free(r.script);
    r.script = script_new(r.bundle, &limits, &r.error);
    char text[601] = {0};
    memset(text, 'a', sizeof text - 1);
    assert_null(run_text(&r, text));
    assert_non_null(strstr(r.error.message, "s.lua:1: time limit exceeded"));
    assert_true(r.outcome.duration_ns < 2000000000);
    run_free(&r);
}

static void test_a_limit_that_was_swallowed_still_counts(void **state) {
    (void)state;
    assert_fails(
        "function on_event() pcall(function() while true do end end) publish('t', 'escaped') end",
        "limit exceeded");
}

static void test_what_takes_too_much_memory_is_stopped_and_then_works_again(void **state) {
    (void)state;
    struct run r;
    assert_true(run_load(&r, "count = 0\nfunction on_event(e)\n  count = count + 1\n"
                             "  if e.text == 'hog' then local t = {} while true do t[#t + 1] = "
                             "('x'):rep(1000) .. #t end end\n"
                             "  publish('t', 'event ' .. count)\nend"));
    assert_string_equal(run_text(&r, "a"), "event 1");
    assert_null(run_text(&r, "hog"));
    assert_non_null(strstr(r.error.message, "memory limit exceeded (limits.script_memory)"));
    /* The state was built anew. */
    assert_string_equal(run_text(&r, "b"), "event 1");
    assert_true(script_memory(r.script) < test_limits.memory_bytes);
    run_free(&r);
    assert_fails("function on_event() return ('x'):rep(1 << 40) end", "s.lua");
    assert_fails("function on_event() local function f() return 1 + f() end f() end", "s.lua");
}

static void test_finalisers_are_refused_as_they_could_not_be_stopped(void **state) {
    (void)state;
    assert_fails(
        "function on_event() setmetatable({}, {__gc = function() while true do end end}) end",
        "__gc is not available");
    assert_publishes(
        "function on_event() publish('t', getmetatable(setmetatable({}, {a = 'kept'})).a) end", "x",
        "kept");
}

static void test_there_is_no_way_out(void **state) {
    (void)state;
    assert_publishes(
        "function on_event()\n"
        "  local found = {}\n"
        "  for _, n in ipairs{'io', 'debug', 'package', 'load', 'loadstring', 'loadfile', "
        "'dofile', 'collectgarbage'} do\n"
        "    if _G[n] ~= nil then found[#found + 1] = n end\n"
        "  end\n"
        "  for n in pairs(os) do if n ~= 'time' and n ~= 'date' and n ~= 'clock' then found[#found "
        "+ 1] = 'os.' .. n end end\n"
        "  if string.dump then found[#found + 1] = 'dump' end\n"
        "  if pcall(function() getmetatable('').__index = {} end) then found[#found + 1] = "
        "'strings' end\n"
        "  if pcall(setmetatable, json.array(), {}) then found[#found + 1] = 'arrays' end\n"
        "  if pcall(function() request.x = 1 end) then found[#found + 1] = 'request' end\n"
        "  for _, n in ipairs{'io', 'os', 'ffi', '../s', '/etc/passwd', 'a..b', 'a/b', ''} do\n"
        "    if pcall(require, n) then found[#found + 1] = 'require ' .. n end\n"
        "  end\n"
        "  publish('t', table.concat(found, ', ') .. '.')\n"
        "end",
        "x", ".");
}

static void test_compiled_code_is_refused(void **state) {
    (void)state;
    struct run r;
    assert_false(run_load(&r, "\033Lua and more"));
    assert_non_null(strstr(r.error.message, "compiled Lua"));
    run_free(&r);
}

static void test_what_does_not_load_says_why(void **state) {
    (void)state;
    struct run r;
    assert_false(run_load(&r, "x = = 1"));
    assert_non_null(strstr(r.error.message, "s.lua:1: unexpected symbol near '='"));
    run_free(&r);
    assert_false(run_load(&r, "function onevent() end"));
    assert_non_null(strstr(r.error.message, "defines no function on_event(event)"));
    run_free(&r);
    assert_false(run_load(&r, "while true do end"));
    assert_non_null(strstr(r.error.message, "limit exceeded"));
    run_free(&r);
    assert_false(run_load(&r, "function on_event() end pcall(function() while true do end end)"));
    assert_non_null(strstr(r.error.message, "limit exceeded"));
    run_free(&r);
    assert_false(run_load(&r, "setmetatable(_G, {__index = function(_, k) error(k) end})"));
    assert_non_null(strstr(r.error.message, "defines no function on_event(event)"));
    run_free(&r);
}

/* ---- request ---- */

static void headers(const void *source, void (*each)(void *, const char *, const char *),
                    void *context) {
    (void)source;
    each(context, "X-One", "1");
    each(context, "x-two", "a");
    each(context, "X-Two", "b");
}

static void test_request_is_made_as_it_is_read(void **state) {
    (void)state;
    struct run r;
    assert_true(run_load(
        &r,
        "function on_event()\n"
        "  next = nil\n"
        "  local n = 0 for _ in pairs(request) do n = n + 1 end\n"
        "  publish('t', table.concat({request.method, request.path, request.hook, request.body,\n"
        "    request.headers['x-one'], request.headers['x-two'], tostring(request.query.none),\n"
        "    tostring(request.other), tostring(request.headers == request.headers), n}, ' "
        "'))\nend"));
    struct script_request request = {.id = "7",
                                     .method = "POST",
                                     .path = "/hooks/s",
                                     .hook = "h",
                                     .body = "{}",
                                     .body_length = 2,
                                     .each_header = headers};
    json_t *event = json_object();
    for (int i = 0; i < 2; i++) {
        request.body = i == 0 ? "{}" : "[]";
        assert_true(script_run(r.script,
                               &(struct event){.json = event, .cache = "c", .token_id = ""},
                               &request, &r.outcome, &r.error));
        assert_string_equal(r.outcome.publishes[0].item->value,
                            i == 0 ? "POST /hooks/s h {} 1 a, b nil nil true 7"
                                   : "POST /hooks/s h [] 1 a, b nil nil true 7");
        assert_string_equal(r.outcome.publishes[0].item->request_id, "7");
    }
    json_decref(event);
    run_free(&r);
}

int main(void) {
    log_setup(LOG_OFF, LOG_JSON);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_published_comes_in_order_with_cache_and_kind),
        cmocka_unit_test(test_an_error_publishes_nothing_and_says_where),
        cmocka_unit_test(test_after_an_error_the_next_event_is_served),
        cmocka_unit_test(test_publish_checks_what_it_is_given),
        cmocka_unit_test(test_what_runs_too_long_is_stopped),
        cmocka_unit_test(test_functions_that_loop_in_c_are_bounded),
        cmocka_unit_test(test_library_functions_cannot_run_without_end),
        cmocka_unit_test(test_guarded_functions_do_what_luas_do),
        cmocka_unit_test(test_a_call_that_cannot_be_interrupted_is_noticed_right_after),
        cmocka_unit_test(test_a_limit_that_was_swallowed_still_counts),
        cmocka_unit_test(test_what_takes_too_much_memory_is_stopped_and_then_works_again),
        cmocka_unit_test(test_finalisers_are_refused_as_they_could_not_be_stopped),
        cmocka_unit_test(test_there_is_no_way_out),
        cmocka_unit_test(test_compiled_code_is_refused),
        cmocka_unit_test(test_what_does_not_load_says_why),
        cmocka_unit_test(test_request_is_made_as_it_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
