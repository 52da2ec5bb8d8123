// Scripts that misbehave: nothing is published, the sender is told, the others are unharmed.
import assert from 'node:assert/strict';
import test from 'node:test';

import { event, secret, start } from './gateway.mjs';

const hooks = (...names) => `hooks = { ${names.map((n) => `["${n}"] = { secret = "${secret}" }`).join(', ')} }`;

const well = 'function on_event(event) publish("out", event.text) end';

test('a script error publishes nothing, and the log has the traceback', async (t) => {
  const g = await start(t, {
    config: hooks('bad', 'well'),
    scripts: {
      'well.lua': well,
      'bad.lua': `local function deeper(event)
  return event.text.missing.field
end
function on_event(event)
  publish("out", "half done")
  deeper(event)
end`,
    },
  });
  const body = event();
  const response = await g.hook('bad', body);
  assert.equal(response.status, 500);
  const answer = await response.json();
  assert.equal(answer.code, 'internal');
  const id = response.headers.get('x-request-id');
  assert.ok(answer.message.includes(id) && !answer.message.includes('bad.lua'), answer.message);
  const line = await g.log({ message: 'script failed, nothing was published', request: id });
  assert.match(line.error, /scripts\/bad\.lua:2: attempt to index a nil value/);
  assert.match(line.traceback, /bad\.lua:2:[\s\S]*bad\.lua:6:/);
  // The same event may be sent again, as it was not accepted; and others go on.
  assert.equal((await g.hook('bad', body)).status, 500);
  assert.equal((await g.hook('well', event({ text: 'next' }))).status, 200);
  assert.deepEqual(await g.texts('out', 1), ['next']);
  assert.equal(await g.metric('hookmoon_hook_requests_total{hook="bad",outcome="script_error"}'), 2);
});

test('a script without on_event, or that does not compile, is told of at start and answers 500', async (t) => {
  const g = await start(t, {
    config: hooks('none', 'syntax', 'well'),
    scripts: { 'none.lua': 'local x = 1', 'syntax.lua': 'function on_event(event)\n  publish(\nend', 'well.lua': well },
  });
  assert.match((await g.log({ message: 'script does not load; its hook answers 500', bundle: 'none' })).error, /on_event/);
  assert.match((await g.log({ message: 'script does not load; its hook answers 500', bundle: 'syntax' })).error, /syntax\.lua:3:/);
  assert.equal((await g.hook('none', event())).status, 500);
  assert.equal((await g.hook('syntax', event())).status, 500);
  assert.equal((await g.hook('well', event())).status, 200);
});

const endless = {
  loop: 'function on_event() while true do end end',
  'loop-in-pcall': 'function on_event() while true do pcall(function() while true do end end) end end',
  'loop-in-coroutine': 'function on_event() coroutine.wrap(function() while true do end end)() end',
  'loop-in-gsub': 'function on_event() (("x"):rep(1000)):gsub(".", function() while true do end end) end',
  'loop-in-sort': 'function on_event() table.sort({3, 2, 1}, function() while true do end end) end',
  'loop-in-tostring': 'function on_event() log.info(setmetatable({}, {__tostring = function() while true do end end})) end',
  'loop-at-load': 'while true do end',
};
const hogs = {
  memory: 'function on_event() local t = {} for i = 1, math.huge do t[i] = ("x"):rep(1000) .. i end end',
  'memory-in-pcall': 'function on_event() while true do pcall(string.rep, "x", 1 << 40) pcall(function() local t = {} while true do t[#t + 1] = {} end end) end end',
  recursion: 'local function f() return 1 + f() end function on_event() f() end',
  'no-pcall-help': 'function on_event() pcall(function() while true do end end) publish("out", "escaped") end',
};

for (const [name, text] of Object.entries({ ...endless, ...hogs })) {
  test(`the script "${name}" is stopped, and nothing else notices`, async (t) => {
    const g = await start(t, {
      config: `${hooks(name, 'well')}
limits.script_deadline = "300ms" limits.script_memory = "4m"`,
      scripts: { [`${name}.lua`]: text, 'well.lua': well },
    });
    const answers = await Promise.all([g.hook(name, event()), g.hook('well', event({ text: 'fine' }))]);
    assert.equal(answers[0].status, 500);
    assert.equal(answers[1].status, 200);
    assert.deepEqual(await g.texts('out', 1), ['fine']);
    assert.equal((await g.hook(name, event())).status, 500);
  });
}

test('what scripts must not have is not there', async (t) => {
  const g = await start(t, {
    config: hooks('probe'),
    scripts: {
      'probe.lua': `function on_event()
  local found = {}
  for _, name in ipairs({"io", "debug", "package", "dofile", "loadfile", "collectgarbage"}) do
    if _G[name] ~= nil and name ~= "collectgarbage" then found[#found + 1] = name end
  end
  if os and (os.execute or os.exit or os.remove or os.getenv or os.rename) then found[#found + 1] = "os" end
  if string.dump then found[#found + 1] = "string.dump" end
  if load and load("\\27Lua") then found[#found + 1] = "bytecode" end
  if pcall(function() getmetatable("").__index = nil end) then found[#found + 1] = "string metatable" end
  if pcall(require, "../../etc/passwd") or pcall(require, "/etc/passwd") then found[#found + 1] = "require" end
  publish("out", table.concat(found, " ") .. ".")
end`,
    },
  });
  assert.equal((await g.hook('probe', event())).status, 200, g.stderr);
  assert.deepEqual(await g.texts('out', 1), ['.']);
});

test('JSON keeps its shape on the way through a script', async (t) => {
  const g = await start(t, {
    config: hooks('json'),
    scripts: {
      'json.lua': `local cjson = require "cjson"
function on_event(event)
  publish("out", json.encode(json.decode(event.text)))
  publish("out", { list = json.array(), none = json.null, same = json.null == cjson.null,
                   stamp = event.event_timestamp, kind = math.type(event.event_timestamp) })
  publish("out", cjson.encode({ 1, 2, cjson.null }))
end`,
    },
  });
  const text = '{"a":[],"b":{},"c":null,"d":9223372036854775807,"e":1.5,"f":[1,[2,{}]],"g":"ü","h":-0.25,"i":9007199254740993}';
  assert.equal((await g.hook('json', event({ text, event_timestamp: 1704296470564 }))).status, 200, g.stderr);
  const [same, table, cjson] = await g.texts('out', 3);
  assert.equal(same, text);
  assert.deepEqual(JSON.parse(table), { list: [], none: null, same: true, stamp: 1704296470564, kind: 'integer' });
  assert.equal(cjson, '[1,2,null]');
});

test('request tells of the delivery, config of the manifest, require finds modules', async (t) => {
  const g = await start(t, {
    config: `caches = { "chat", "audit" } ${hooks('tour')}`,
    scripts: {
      'tour/bundle.lua': 'version = "1.2" config = { greeting = "hi", list = { 1, 2 } }',
      'tour/main.lua': `local words = require "parts.words"
local walk = require "walk"
function on_event(event)
  publish("out", { method = request.method, path = request.path, agent = request.headers["user-agent"],
    query = request.query.a, same = request.body == event.text or #request.body > 0,
    greeting = config.greeting, words = words.twice(config.list[2]), walk = type(walk.map) })
  publish("log", "copy", { cache = "audit" })
end`,
      'tour/parts/words.lua': 'return { twice = function(n) return n * 2 end }',
    },
  });
  const response = await g.hook('tour?a=b%20c', event(), { headers: { 'user-agent': 'tester' } });
  assert.equal(response.status, 200, g.stderr);
  assert.deepEqual(JSON.parse((await g.texts('out', 1))[0]), {
    method: 'POST', path: '/hooks/tour', agent: 'tester', query: 'b c', same: true,
    greeting: 'hi', words: 4, walk: 'function' });
  assert.deepEqual(await g.texts('log', 1, { cache: 'audit' }), ['copy']);
});

test('publishing is all or nothing, also when a cache does not exist', async (t) => {
  const g = await start(t, {
    config: hooks('half'),
    scripts: { 'half.lua': 'function on_event() publish("out", "1") publish("out", "2", {cache = "nowhere"}) end' },
  });
  assert.equal((await g.hook('half', event())).status, 500);
  assert.match((await g.log({ message: 'script failed, nothing was published' })).error, /nowhere/);
  assert.equal(await g.metric('hookmoon_items_published_total'), 0);
});

test('scripts keep state between events, each bundle its own', async (t) => {
  const g = await start(t, {
    config: `workers = 1 ${hooks('one', 'two')}`,
    scripts: {
      'one.lua': 'n = 0 function on_event() n = n + 1 publish("out", "one " .. n) end',
      'two.lua': 'function on_event() n = (n or 100) + 1 publish("out", "two " .. n) end',
    },
  });
  for (const name of ['one', 'two', 'one', 'two']) assert.equal((await g.hook(name, event())).status, 200);
  assert.deepEqual(await g.texts('out', 4), ['one 1', 'two 101', 'one 2', 'two 102']);
});
