// The command line, as people and scripts use it.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, existsSync } from 'node:fs';
import test from 'node:test';

import { binary, event, folder, root, secret, sign, start, until } from './gateway.mjs';

const run = (args, options = {}) => {
  const r = spawnSync(binary, args, { encoding: 'utf8', cwd: root, timeout: 30000, ...options });
  return { code: r.status, out: r.stdout, err: r.stderr };
};

test('help, version and what is wrong with a command line', () => {
  assert.match(run(['help']).out, /serve[\s\S]*check[\s\S]*run[\s\S]*publish[\s\S]*subscribe[\s\S]*sign[\s\S]*version/);
  for (const command of ['serve', 'check', 'run', 'publish', 'subscribe', 'sign', 'version']) {
    assert.match(run(['help', command]).out, new RegExp(`^usage: hookmoon ${command}`));
    assert.deepEqual(run([command, '--help']).out, run(['help', command]).out);
    assert.equal(run([command, '--nonsense']).code, 2);
  }
  assert.equal(run([]).code, 2);
  assert.equal(run(['nonsense']).code, 2);
  assert.match(run(['version']).out, /^hookmoon \d+\.\d+\.\d+\n +lua 5\.4/);
  assert.ok(JSON.parse(run(['version', '--json']).out).libmicrohttpd);
  assert.ok(!run(['help']).out.includes('\x1b'), 'no colours into a pipe');
});

test('sign prints the signatures of the published vectors', () => {
  const vectors = [
    ['1234567890', '{"text":"some text", "another_field": "another field" }', 'b43f72787eb66410ff110295b036ef828e5686af21b414ce092f02c05deea3da'],
    ['test-secret', '{"cache":"chat","topic":"room-281","event_timestamp":1704296470564,"publish_timestamp":1704296470565,"topic_sequence_number":1,"token_id":"mo-the-squirrel","text":"Here I am!!"}', '97b2a755a21ce7576ebad46d6bc06e893c03933a5ad16ba6449d752864001008'],
    ['secret', '', '6ebda0eca59d9520d8a267e3b3dd3a6060450b2fb6527c942c4788ddf3b60830'],
  ];
  for (const [key, input, hex] of vectors) {
    assert.equal(run(['sign', '--secret', key], { input }).out, `${hex}\n`);
    assert.equal(run(['sign', '--secret-env', 'S'], { input, env: { ...process.env, S: key } }).out, `${hex}\n`);
  }
  assert.equal(run(['sign'], { input: 'x' }).code, 2);
  assert.match(run(['sign', '--secret-env', 'NOT_SET_AT_ALL'], { input: 'x' }).err, /NOT_SET_AT_ALL is not set/);
});

test('sign reads the secret from a file', (t) => {
  const path = folder(t, { key: 'test-secret\n' });
  assert.equal(run(['sign', '--secret-file', `${path}/key`], { input: 'x' }).out, `${sign('x', 'test-secret')}\n`);
  assert.equal(run(['sign', '--secret-file', `${path}/none`], { input: 'x' }).code, 1);
});

test('every example runs on its event', () => {
  const expected = {
    uppercase: ['topic 2'], route: ['shipping', 'large-orders'], redact: ['redacted'],
    fanout: ['archive', 'search-index', 'mirror/news'], 'translate-chat': ['room-281/de', 'room-281/es', 'room-281/fr'],
  };
  const names = new Set(readdirSync(`${root}/scripts`).map((n) => n.split('.')[0]));
  assert.deepEqual([...names].sort(), Object.keys(expected).sort());
  for (const [name, topics] of Object.entries(expected)) {
    const single = existsSync(`${root}/scripts/${name}.lua`);
    const r = run(['run', single ? `scripts/${name}.lua` : `scripts/${name}`, '--event', single ? `scripts/${name}.event.json` : `scripts/${name}/event.json`]);
    assert.equal(r.code, 0, r.err);
    assert.deepEqual(r.out.trim().split('\n').map((l) => JSON.parse(l).topic), topics);
  }
  assert.ok(!/s3cr3t|hunter2|4111 1111/.test(run(['run', 'scripts/redact', '--event', 'scripts/redact/event.json']).out));
});

test('run: one event, events by line, standard input, what is left out is filled in', (t) => {
  const path = folder(t, {
    'e.lua': 'n = 0 function on_event(e) n = n + 1 log.info("seen", n) publish("out", e.text .. n) end',
    'one.json': '{\n  "text": "pretty"\n}\n', 'many.jsonl': '{"text":"a"}\n\n{"text":"b"}\n',
    'bad.jsonl': '{"text":"a"}\n{"text":\n', 'wrong.json': '{"text":5}', 'empty.json': '',
  });
  const r = run(['run', `${path}/e.lua`, '--event', `${path}/one.json`]);
  assert.deepEqual(JSON.parse(r.out), { cache: 'chat', topic: 'out', text: 'pretty1' });
  assert.match(r.err, /seen\t1|seen\\t1|seen/);
  assert.equal(run(['run', `${path}/e.lua`, '--event', `${path}/many.jsonl`]).out.trim().split('\n').length, 2);
  assert.equal(JSON.parse(run(['run', `${path}/e.lua`, '--event', '-'], { input: '{"text":"in"}' }).out).text, 'in1');
  const bad = run(['run', `${path}/e.lua`, '--event', `${path}/bad.jsonl`]);
  assert.equal(bad.code, 1);
  assert.match(bad.err, /bad\.jsonl:2: /);
  assert.match(run(['run', `${path}/e.lua`, '--event', `${path}/wrong.json`]).err, /"text" is not a string/);
  assert.match(run(['run', `${path}/e.lua`, '--event', `${path}/empty.json`]).err, /no event/);
  assert.match(run(['run', `${path}/e.lua`, '--event', `${path}/none`]).err, /cannot open .*none/);
  assert.equal(run(['run', `${path}/e.lua`]).code, 2);
});

test('run: an error has the traceback, exit 1, and stops unless told to go on', (t) => {
  const path = folder(t, { 'e.lua': 'function on_event(e)\n  if e.text == "bad" then error("oops") end\n  publish("out", e.text)\nend',
    'many.jsonl': '{"text":"a"}\n{"text":"bad"}\n{"text":"c"}\n' });
  const r = run(['run', `${path}/e.lua`, '--event', `${path}/many.jsonl`]);
  assert.equal(r.code, 1);
  assert.equal(r.out.trim().split('\n').length, 1);
  assert.match(r.err, /event 2: .*e\.lua:2: oops\nstack traceback:/);
  const all = run(['run', `${path}/e.lua`, '--event', `${path}/many.jsonl`, '--keep-going']);
  assert.equal(all.code, 1);
  assert.equal(all.out.trim().split('\n').length, 2);
  assert.match(run(['run', `${path}/none.lua`, '--event', '-'], { input: '{}' }).err, /none\.lua: there is no such file/);
});

test('run: headers and the hook are what the script sees', (t) => {
  const path = folder(t, { 'b/main.lua': 'function on_event() publish("out", request.hook .. request.headers["x-a"] .. request.path) end', 'b/bundle.lua': 'hooks = { "h" }' });
  const r = run(['run', `${path}/b`, '--event', '-', '--hook', 'h', '--header', 'X-A: 1'], { input: '{}' });
  assert.equal(JSON.parse(r.out).text, 'h1/hooks/b/h', r.err);
  assert.equal(run(['run', `${path}/b`, '--event', '-', '--hook', 'g'], { input: '{}' }).code, 1);
});

test('check reports every mistake with file, line and field', (t) => {
  const path = folder(t, {
    'good.lua': 'open = true caches = { "chat" } hooks = { a = { secret = "long-enough" } }', 'scripts/a.lua': 'function on_event() end',
    'bad.lua': 'open = true\nlimits = { bdoy = 5 }\nhooks = {\n  a = { secret = "x" },\n  b = { secret = "long-enough" },\n}\n',
    'broken/x.lua': 'function on_event(\n',
  });
  const good = run(['check', '-c', `${path}/good.lua`]);
  assert.equal(good.code, 0, good.err);
  assert.match(good.out, /good \(1 cache, 0 webhooks, 1 hook, 0 keys; 1 script\)/);
  const bad = run(['check', '-c', `${path}/bad.lua`]);
  assert.equal(bad.code, 1);
  assert.match(bad.err, /bad\.lua:2: limits\.bdoy: .*"body"/);
  assert.match(bad.err, /bad\.lua:4: hooks\.a\.secret: /);
  assert.match(bad.err, /no script for \/hooks\/b/);
  const json = run(['check', '-c', `${path}/bad.lua`, '--json']).out.trim().split('\n').map(JSON.parse);
  assert.equal(json.length, 3);
  assert.deepEqual(Object.keys(json[0]), ['where', 'field', 'message']);
  assert.match(run(['check', '-c', `${path}/good.lua`, '--scripts', `${path}/broken`]).err, /x\.lua:2:/);
  assert.equal(run(['check', '-c', `${path}/nowhere.lua`]).code, 1);
});

test('publish and subscribe, with keys, from a number, as JSON, of bytes', async (t) => {
  const g = await start(t, { config: 'open = false keys = { { id = "a", key = "alice-key-1", role = "publishsubscribe" } }' });
  const env = { ...process.env, HOOKMOON_URL: g.url, HOOKMOON_KEY: 'alice-key-1' };
  assert.equal(run(['publish', 'chat', 'topic 1', 'ü one'], { env }).code, 0);
  assert.equal(run(['publish', 'chat', 'topic 1'], { env, input: 'two' }).code, 0);
  assert.deepEqual(JSON.parse(run(['publish', 'chat', 'topic 1', '--binary', '--json'], { env, input: Buffer.from([0, 255]) }).out), { published: true, bytes: 2 });
  assert.equal(run(['subscribe', 'chat', 'topic 1', '--from', '1', '--count', '2'], { env }).out, 'ü one\ntwo\n');
  const items = run(['subscribe', 'chat', 'topic 1', '--from', '2', '--count', '2', '--json'], { env }).out.trim().split('\n').map(JSON.parse);
  assert.deepEqual(items.map((i) => i.item.topic_sequence_number), [2, 3]);
  assert.equal(items[1].item.value.binary, 'AP8=');
  const wrong = run(['publish', 'chat', 'x', 'y', '--key', 'no-such-key'], { env });
  assert.equal(wrong.code, 1);
  assert.match(wrong.err, /status 401\): the key is not known here/);
  assert.match(run(['publish', 'none', 'x', 'y'], { env }).err, /no cache "none"/);
  assert.match(run(['subscribe', 'none', 'x'], { env }).err, /no cache "none"/);
  assert.match(run(['publish', 'chat', 'x', 'y', '--url', 'http://127.0.0.1:1'], { env }).err, /cannot reach http:\/\/127\.0\.0\.1:1: .*hookmoon serve/);
  assert.equal(run(['subscribe', 'chat', 'quiet', '--count', '1', '--timeout', '1'], { env }).code, 1);
});

test('subscribe resumes by itself when the gateway is gone for a moment', async (t) => {
  const g = await start(t);
  const child = spawn(binary, ['subscribe', 'chat', 't', '--url', g.url]);
  t.after(() => child.kill('SIGKILL'));
  let out = '', err = '';
  child.stdout.on('data', (d) => { out += d; });
  child.stderr.on('data', (d) => { err += d; });
  await until(async () => await g.metric('hookmoon_http_subscribers{kind="stream"}') === 1);
  await g.publish('t', 'before');
  await until(() => out === 'before\n');
  await g.stop();
  const again = await start(t, { args: ['--listen', new URL(g.url).host] });
  await until(async () => await again.metric('hookmoon_http_subscribers{kind="stream"}') === 1);
  await again.publish('t', 'after');
  await until(() => out === 'before\nafter\n');
  assert.match(err, /was lost; trying again/);
  child.kill('SIGINT');
  assert.equal(await new Promise((done) => child.on('exit', done)), 130);
});

test('a subscriber whose reader is gone ends', async (t) => {
  const g = await start(t);
  const child = spawn('sh', ['-c', `${binary} subscribe chat t --url ${g.url} | head -n 1`]);
  await until(async () => await g.metric('hookmoon_http_subscribers{kind="stream"}') === 1);
  for (let i = 0; i < 3; i++) await g.publish('t', `${i}`);
  await until(async () => { await g.publish('t', 'x'); return child.exitCode !== null; });
});

test('what the README signs is accepted', async (t) => {
  const g = await start(t, { config: `hooks = { up = { secret = "${secret}" } }`, scripts: { 'up.lua': 'function on_event(e) publish("out", e.text:upper()) end' } });
  const body = event();
  const signature = run(['sign', '--secret', secret], { input: body }).out.trim();
  const curl = spawnSync('curl', ['-s', '-d', body, '-H', 'Content-Type: application/json', '-H', `momento-signature: ${signature}`, `${g.url}/hooks/up`], { encoding: 'utf8' });
  assert.deepEqual(JSON.parse(curl.stdout), { published: 1 });
});
