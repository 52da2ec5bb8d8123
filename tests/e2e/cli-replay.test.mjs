// hookmoon replay: retained items, once more through a script.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import test from 'node:test';

import { binary, sleep, start, until } from './gateway.mjs';

const upper = 'function on_event(e) publish("out", e.text:upper()) end';
const items = (g, topic, ...texts) => texts.reduce((before, text) => before.then(() => g.publish(topic, text)), Promise.resolve());
const lines = (out) => out.trim().split('\n').filter(Boolean).map((l) => JSON.parse(l));

/** A gateway with `hookmoon replay chat ...` beside it, run where its scripts are. */
async function prepare(t, options = {}) {
  const g = await start(t, { scripts: { 'upper.lua': upper }, ...options });
  g.replay = (...args) => new Promise((done) => {
    const child = spawn(binary, ['replay', 'chat', ...args], { cwd: g.path, env: { ...process.env, HOOKMOON_URL: g.url, HOOKMOON_KEY: '' } });
    let out = '', err = '';
    child.stdout.setEncoding('utf8').on('data', (d) => { out += d; });
    child.stderr.setEncoding('utf8').on('data', (d) => { err += d; g.onStderr?.(child, err); });
    child.on('close', (code) => done({ code, out, err }));
  });
  g.script = (name, text) => writeFileSync(`${g.path}/${name}`, text);
  return g;
}

test('items are run through a script and what it asks for is published, in order', async (t) => {
  const g = await prepare(t);
  const texts = Array.from({ length: 300 }, (_, i) => `m${i + 1}`);
  await items(g, 't', ...texts);
  const r = await g.replay('t', '--from', '2', '--bundle', 'upper');
  assert.equal(r.code, 0, r.err);
  assert.equal(r.out, '');
  assert.match(r.err, /^hookmoon: 299 items, 299 messages published\n$/);
  assert.deepEqual(await g.texts('out', 299), texts.slice(1).map((x) => x.toUpperCase()));
  const some = await g.replay('t', '--from', '298', '--to', '299', '--bundle', 'scripts/upper.lua', '--dry-run');
  assert.deepEqual(lines(some.out), [
    { topic_sequence_number: 298, cache: 'chat', topic: 'out', text: 'M298' },
    { topic_sequence_number: 299, cache: 'chat', topic: 'out', text: 'M299' }]);
  assert.equal((await g.texts('out', 299)).length, 299);
  assert.match((await g.replay('t', '--from', '301', '--bundle', 'upper')).err, /nothing to do.* newest item of chat\/t is 300/);
});

test('the event is what a webhook delivers', async (t) => {
  const config = 'open = false keys = { { id = "me", key = "my-key-12345", role = "publishsubscribe" } }';
  const g = await prepare(t, { config });
  const as = { authorization: 'my-key-12345' };
  const before = Date.now();
  await g.publish('t', 'quote " and ü', { headers: as });
  await g.publish('t', Buffer.from([0xff, 0]), { headers: { ...as, 'content-type': 'application/octet-stream' } });
  g.script('tell.lua', `function on_event(e)
    e.hook = request.hook; e.path = request.path; e.type = request.headers["content-type"]; e.same = json.decode(request.body).text == e.text
    publish("out", e) end`);
  const r = await g.replay('t', '--from', '1', '--bundle', 'tell.lua', '--dry-run', '--key', 'my-key-12345');
  assert.equal(r.code, 0, r.err);
  const [text, binaryOne] = lines(r.out).map((l) => JSON.parse(l.text));
  assert.ok(text.event_timestamp >= before && text.event_timestamp <= text.publish_timestamp);
  assert.ok(text.publish_timestamp >= before && text.publish_timestamp <= Date.now());
  delete text.event_timestamp; delete text.publish_timestamp;
  assert.deepEqual(text, { cache: 'chat', topic: 't', topic_sequence_number: 1, token_id: 'me', text: 'quote " and ü', hook: '', path: '/hooks/tell', type: 'application/json', same: true });
  assert.deepEqual([binaryOne.text, binaryOne.binary, binaryOne.topic_sequence_number], ['', '/wA=', 2]);
  assert.match((await g.replay('t', '--from', '1', '--bundle', 'upper')).err, /status 401/);
});

test('--from and --to take times', async (t) => {
  const g = await prepare(t);
  await items(g, 't', 'a', 'b', 'c');
  await sleep(60);
  const middle = new Date().toISOString();
  await sleep(60);
  await items(g, 't', 'd', 'e');
  const numbers = async (...args) => {
    const r = await g.replay('t', '--bundle', 'upper', '--dry-run', ...args);
    assert.equal(r.code, 0, r.err);
    return lines(r.out).map((l) => l.topic_sequence_number).join('');
  };
  assert.equal(await numbers('--from', middle), '45');
  assert.equal(await numbers('--from', '1', '--to', middle), '123');
  assert.equal(await numbers('--from', '2h'), '12345');
  assert.equal(await numbers('--from', middle.slice(0, 10), '--to', '2'), '12');
  assert.equal(await numbers('--from', middle.replace('Z', '+00:00')), '45');
  assert.equal(await numbers('--from', '2999-01-01'), '');
  for (const wrong of ['yesterday', '2026-02-30', '2026-11-23T10:00:00', '2026-11-23T25:00:00Z', '-1', ''])
    assert.equal((await g.replay('t', '--bundle', 'upper', '--from', wrong)).code, 2, wrong);
});

test('an error stops at its item and says how to go on', async (t) => {
  const g = await prepare(t);
  await items(g, 't', 'a', 'b', 'c');
  g.script('fails.lua', 'function on_event(e)\n  publish("out", e.text)\n  if e.text == "b" then error("no b") end\nend');
  const r = await g.replay('t', '--from', '1', '--bundle', 'fails.lua');
  assert.equal(r.code, 1);
  assert.match(r.err, /item 2: fails\.lua:3: no b\nstack traceback:[\s\S]*fails\.lua:3: in function 'on_event'[\s\S]*go on with --from 2, behind it with --from 3, or with --keep-going\n/);
  assert.deepEqual(await g.texts('out', 1), ['a']);
  assert.equal(await g.metric('hookmoon_items_published_total'), 4);
  const on = await g.replay('t', '--from', '2', '--bundle', 'fails.lua', '--keep-going');
  assert.equal(on.code, 1);
  assert.match(on.err, /2 items, 1 message published; the script failed on 1\n$/);
  assert.deepEqual(await g.texts('out', 2), ['a', 'c']);
  g.script('nowhere.lua', 'function on_event(e) publish("out", e.text) publish("out", e.text, { cache = "nowhere" }) end');
  const half = await g.replay('t', '--from', '1', '--bundle', 'nowhere.lua');
  assert.equal(half.code, 1);
  assert.match(half.err, /item 1: message 2 of 2 was not published: refused \(status 404\)[\s\S]*--from 1 publishes them again/);
});

test('--compare prints only what differs', async (t) => {
  const g = await prepare(t);
  await items(g, 't', 'a', 'b', 'c', 'd');
  g.script('new.lua', `function on_event(e)
    if e.text == "d" then error("no d") end
    publish("out", e.text:upper())
    if e.text == "b" then publish("more", "B") end
  end`);
  const r = await g.replay('t', '--from', '1', '--bundle', 'new.lua', '--compare', 'upper');
  assert.equal(r.code, 1);
  assert.match(r.out, /^item 2 of \d{4}-\d\d-\d\dT.*Z\n {2}\{"cache":"chat","topic":"out","text":"B"\}\n\+ \{"cache":"chat","topic":"more","text":"B"\}\nitem 4 .*\n- .*"D"\}\n\+ it fails: new\.lua:2: no d\n$/);
  assert.match(r.err, /4 items compared, 2 differ\n$/);
  const json = lines((await g.replay('t', '--from', '1', '--bundle', 'new.lua', '--compare', 'upper', '--json')).out);
  assert.deepEqual(json[0], { topic_sequence_number: 2, old: [{ cache: 'chat', topic: 'out', text: 'B' }], new: [{ cache: 'chat', topic: 'out', text: 'B' }, { cache: 'chat', topic: 'more', text: 'B' }] });
  assert.match(json[1].new_error, /no d/);
  const same = await g.replay('t', '--from', '1', '--bundle', 'upper', '--compare', 'scripts/upper.lua');
  assert.deepEqual([same.code, same.out], [0, '']);
  assert.match(same.err, /4 items compared, 0 differ/);
  assert.equal(await g.metric('hookmoon_items_published_total'), 4);
});

test('what is no longer retained is told', async (t) => {
  const g = await prepare(t, { config: 'caches = { { name = "chat", retention = { items = 3 } } }' });
  await items(g, 't', 'a', 'b', 'c', 'd', 'e', 'f');
  const r = await until(async () => {
    const got = await g.replay('t', '--from', '2', '--bundle', 'upper', '--dry-run');
    return lines(got.out).length === 3 && got;
  }, 'retention');
  assert.deepEqual(lines(r.out).map((l) => l.text), ['D', 'E', 'F']);
  assert.match(r.err, /^hookmoon: items 2 to 3 are no longer retained\n/);
  assert.equal((await fetch(`${g.url}/admin/caches/chat/flush`, { method: 'POST' })).ok, true);
  const none = await g.replay('t', '--from', '1h', '--bundle', 'upper', '--dry-run');
  assert.equal(none.code, 0, none.err);
  assert.match(none.err, /items 1 to 6 are no longer retained\n/);
});

test('a gateway that is full or away for a moment is waited for', async (t) => {
  const g = await prepare(t);
  await items(g, 't', 'a', 'b');
  const trouble = ['full', 'cut', undefined, 'full', undefined, undefined]; // for one request after another
  const seen = [];
  const proxy = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const stream = /event-stream/.test(request.headers.accept ?? '');
    const what = stream ? undefined : trouble.shift();
    seen.push(`${request.method} ${what ?? ''}`);
    if (what === 'cut') return request.socket.destroy();
    if (what === 'full') {
      response.writeHead(503, { 'retry-after': '1', 'content-type': 'application/json' });
      return response.end('{"code":"unavailable","message":"the disk is full"}');
    }
    const { accept, 'content-type': type } = request.headers;
    const over = new AbortController();
    response.on('close', () => over.abort());
    const answer = await fetch(g.url + request.url, { method: request.method, signal: over.signal, body: parts.length ? Buffer.concat(parts) : undefined, headers: { accept, ...(type && { 'content-type': type }) } });
    response.writeHead(answer.status);
    if (!stream) return response.end(Buffer.from(await answer.arrayBuffer()));
    try {
      for await (const part of answer.body) response.write(part);
    } catch { /* the client has what it wanted */ }
  });
  await new Promise((done) => proxy.listen(0, '127.0.0.1', done));
  t.after(() => { proxy.closeAllConnections?.(); proxy.close(); });
  const began = Date.now();
  const r = await g.replay('t', '--from', '1', '--bundle', 'upper', '--url', `http://127.0.0.1:${proxy.address().port}`);
  assert.equal(r.code, 0, r.err);
  assert.deepEqual(seen, ['GET ', 'GET full', 'GET cut', 'GET ', 'POST full', 'POST ', 'POST ']);
  assert.ok(Date.now() - began >= 2000, 'Retry-After is honoured');
  assert.match(r.err, /the disk is full; trying again for a minute\n/);
  assert.deepEqual(await g.texts('out', 2), ['A', 'B']);
});

test('an interrupt ends it between two items', async (t) => {
  const g = await prepare(t);
  await items(g, 't', ...Array.from({ length: 50 }, (_, i) => `m${i}`));
  g.script('slow.lua', 'function on_event(e) log.info("at", e.topic_sequence_number) local t = os.clock() + 0.05 while os.clock() < t do end publish("out", e.text) end');
  g.onStderr = (child, err) => { if (/at/.test(err)) child.kill('SIGINT'); g.onStderr = undefined; };
  const r = await g.replay('t', '--from', '1', '--bundle', 'slow.lua');
  assert.equal(r.code, 130, r.err);
  const next = Number(r.err.match(/interrupted; go on with --from (\d+)/)[1]);
  assert.equal((await g.texts('out', next - 1)).length, next - 1);
  assert.equal(await g.metric('hookmoon_items_published_total'), 50 + next - 1);
});

test('what is wrong with a command line is said', async (t) => {
  const g = await prepare(t);
  for (const args of [[], ['t'], ['t', '--from', '1'], ['t', '--bundle', 'upper'], ['t', 'u', '--from', '1', '--bundle', 'upper'], ['t', '--nope']])
    assert.equal((await g.replay(...args)).code, 2, args.join(' '));
  assert.match((await g.replay('t', '--from', '1', '--bundle', 'none')).err, /none: there is no such file/);
  assert.match((await g.replay('t', '--from', '1', '--bundle', 'upper', '--hook', 'x')).err, /lists no hook "x"/);
  assert.match((await g.replay('t', '--from', '1', '--bundle', 'upper', '--url', 'http://127.0.0.1:1')).err, /cannot reach/);
});
