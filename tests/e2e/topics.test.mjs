// The topics HTTP API: publishing, long polls, event streams, keys, CORS.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { Agent, get as httpGet } from 'node:http';
import { connect } from 'node:net';
import test from 'node:test';
import { EventSource } from 'eventsource';

import { inMemory, sleep, start, until } from './gateway.mjs';

/** An event stream by hand: what it sent so far is in .text. */
function stream(url, headers = {}, agent) {
  const s = { text: '' };
  s.opened = new Promise((done, fail) => {
    s.request = httpGet(url, { headers: { accept: 'text/event-stream', ...headers }, agent: agent ?? false }, (response) => {
      s.response = response;
      response.setEncoding('utf8').on('data', (d) => { s.text += d; });
      s.ended = new Promise((end) => response.on('end', () => end('end')).on('error', () => end('error')));
      done(response);
    });
    s.request.on('error', fail);
  });
  return s;
}

test('publish, then read by long poll: text, binary, order, numbers from 1', async (t) => {
  const g = await start(t);
  const first = await g.publish('topic 1', 'héllo "you"\n');
  assert.equal(first.status, 204);
  assert.equal(await first.text(), '');
  await g.publish('topic 1', new Uint8Array([0, 255, 254]), { headers: { 'content-type': 'application/octet-stream' } });
  // curl's form type carries text, too.
  await g.publish('topic 1', 'a=b', { headers: { 'content-type': 'application/x-www-form-urlencoded' } });
  const items = await g.poll('topic 1');
  assert.deepEqual(items.map((i) => i.item.topic_sequence_number), [1, 2, 3]);
  assert.deepEqual(items.map((i) => i.item.value), [{ text: 'héllo "you"\n' }, { binary: 'AP/+' }, { text: 'a=b' }]);
  const page = items[0].item.sequence_page;
  assert.ok(Math.abs(page - Date.now() / 1000) < 60);
  assert.deepEqual((await g.poll('topic 1', `sequence_number=3&sequence_page=${page}`)).length, 1);
});

test('a long poll waits for what comes, and without a number gets only that', async (t) => {
  const g = await start(t);
  await g.publish('t', 'old');
  const waiting = [g.poll('t', ''), g.poll('t', 'sequence_number=2')];
  await until(async () => await g.metric('hookmoon_http_subscribers{kind="long_poll"}') === 2);
  await g.publish('t', 'new');
  for (const items of await Promise.all(waiting)) assert.equal(items[0].item.value.text, 'new');
});

test('who resumes past the ring, or with another page, is told of the gap', async (t) => {
  const g = await start(t, { config: `${inMemory} limits.retained_items = 4` });
  for (let i = 1; i <= 10; i++) await g.publish('t', `${i}`);
  const [gap, item] = await g.poll('t', 'sequence_number=3');
  const page = item.item.sequence_page;
  assert.deepEqual(gap, { discontinuity: { last_topic_sequence: 2, new_topic_sequence: 7, new_sequence_page: page } });
  assert.equal(item.item.topic_sequence_number, 7);
  const other = await g.poll('t', 'sequence_number=9&sequence_page=5');
  assert.ok(other[0].discontinuity && other[1].item.topic_sequence_number === 7);
  assert.equal(await g.metric('hookmoon_discontinuities_total'), 2);
});

test('what is wrong is said', async (t) => {
  const g = await start(t, { config: 'limits.message = "1k" limits.topics = 2' });
  const cases = [
    [() => g.publish('t', 'x', { cache: 'nowhere' }), 404, 'not_found', /no cache.*nowhere/],
    [() => fetch(`${g.url}/topics/nowhere/t`), 404, 'not_found', /nowhere/],
    [() => g.publish('t', new Uint8Array([0xff])), 400, 'invalid_argument', /UTF-8/],
    [() => g.publish('a\u0007', 'x'), 400, 'invalid_argument', /control/],
    [() => g.publish('x'.repeat(256), 'x'), 400, 'invalid_argument', /255/],
    [() => fetch(`${g.url}/topics/chat/a/b`), 400, 'invalid_argument', /%2F/],
    [() => fetch(`${g.url}/topics/chat`), 400, 'invalid_argument', /\/topics\/\{cache\}/],
    [() => fetch(`${g.url}/topics/chat/t?sequence_number=-1`), 400, 'invalid_argument', /sequence_number/],
    [() => fetch(`${g.url}/topics/chat/t?sequence_page=x`), 400, 'invalid_argument', /sequence_page/],
    [() => fetch(`${g.url}/topics/chat/t`, { headers: { accept: 'text/event-stream', 'last-event-id': 'x' } }), 400, 'invalid_argument', /Last-Event-ID/],
    [() => fetch(`${g.url}/topics/chat/t`, { method: 'DELETE' }), 405, 'method_not_allowed', /GET, POST/],
    [() => g.publish('t', 'x'.repeat(1025)), 413, 'payload_too_large', /1024/],
    [() => fetch(`${g.url}/nothing`), 404, 'not_found', /hooks/],
  ];
  for (const [call, status, code, message] of cases) {
    const response = await call();
    const body = await response.json();
    assert.equal(response.status, status, JSON.stringify(body));
    assert.deepEqual(Object.keys(body), ['code', 'message']);
    assert.equal(body.code, code);
    assert.match(body.message, message);
  }
  assert.equal((await g.publish('a', 'x')).status, 204);
  assert.equal((await g.publish('b', 'x')).status, 204);
  const full = await g.publish('c', 'x');
  assert.equal(full.status, 429);
});

test('keys: in either place, raw or wrapped, with their role, cache and topic', async (t) => {
  const g = await start(t, {
    config: `open = false caches = { "chat", "b" } keys = {
      { id = "alice", key = "alice-key-1", role = "publishsubscribe" },
      { id = "bob", key = "bob-key-123", role = "subscribeonly", cache = "chat" },
      { id = "carol", key = "carol-key-1", role = "publishonly", cache = "chat", topic = "room" } }`,
  });
  const post = (path, headers) => fetch(g.url + path, { method: 'POST', body: 'x', headers });
  const wrapped = btoa(JSON.stringify({ endpoint: 'localhost', api_key: 'alice-key-1' }));
  const status = async (response) => (await response).status;
  assert.equal(await status(post('/topics/chat/room')), 401);
  assert.equal(await status(post('/topics/chat/room', { authorization: 'wrong-key-1' })), 401);
  assert.equal(await status(post('/topics/chat/room', { authorization: 'alice-key-1' })), 204);
  assert.equal(await status(post('/topics/chat/room', { authorization: wrapped })), 204);
  assert.equal(await status(post('/topics/chat/room?token=carol-key-1')), 204);
  assert.equal(await status(post('/topics/chat/room?token=alice-key-1', { authorization: 'alice-key-1' })), 400);
  assert.equal(await status(post('/topics/chat/room', { authorization: 'bob-key-123' })), 403);
  assert.equal(await status(post('/topics/chat/other', { authorization: 'carol-key-1' })), 403);
  assert.equal(await status(post('/topics/b/room', { authorization: 'carol-key-1' })), 403);
  assert.equal(await status(fetch(`${g.url}/topics/chat/room`, { headers: { authorization: 'carol-key-1' } })), 403);
  const items = await g.poll('room', 'sequence_number=1', { headers: { authorization: 'bob-key-123' } });
  assert.deepEqual(items.map((i) => i.item.publisher_id), ['alice', 'alice', 'carol']);
  assert.ok(!/alice-key|bob-key|carol-key/.test(g.stderr), 'no key in the log');
});

test('browsers may: CORS on answers, errors and preflights', async (t) => {
  const g = await start(t, { config: 'open = false keys = { { id = "a", key = "alice-key-1", role = "publishsubscribe" } }' });
  const preflight = await fetch(`${g.url}/topics/chat/t`, { method: 'OPTIONS', headers: {
    origin: 'https://app.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,content-type' } });
  assert.equal(preflight.status, 204);
  assert.match(preflight.headers.get('access-control-allow-methods'), /POST/);
  assert.match(preflight.headers.get('access-control-allow-headers'), /authorization, content-type/);
  for (const response of [preflight, await g.publish('t', 'x'), await fetch(`${g.url}/topics/chat/a/b`)])
    assert.equal(response.headers.get('access-control-allow-origin'), '*');
});

test('without keys only pages of this machine may', async (t) => {
  const g = await start(t);
  const from = (origin, init = {}) => fetch(`${g.url}/topics/chat/t`, { method: 'POST', body: 'x', ...init, headers: { origin, ...init.headers } });
  for (const origin of ['http://localhost:3000', 'http://127.0.0.1', 'http://[::1]:8080']) {
    const r = await from(origin);
    assert.equal(r.status, 204);
    assert.equal(r.headers.get('access-control-allow-origin'), origin);
  }
  for (const origin of ['https://evil.example', 'http://localhost.evil.example', 'http://127.0.0.1.evil.example', 'null'])
    assert.equal((await from(origin)).status, 403, origin);
  const preflight = await from('https://evil.example', { method: 'OPTIONS', body: undefined });
  assert.equal(preflight.headers.get('access-control-allow-origin'), null);
  // A name that was made to point here is a page of no other origin to its browser.
  const raw = (host) => new Promise((done) => {
    const socket = connect(new URL(g.url).port, '127.0.0.1', () => socket.write(`GET /topics/chat/t?sequence_number=1 HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`));
    let text = '';
    socket.on('data', (d) => { text += d; }).on('close', () => done(text));
  });
  assert.match(await raw('evil.example:8080'), /^HTTP\/1\.1 403/);
  assert.match(await raw('127.0.0.1.evil.example'), /^HTTP\/1\.1 403/);
  assert.match(await raw('localhost:1'), /^HTTP\/1\.1 200/);
});

test('origins says which pages may', async (t) => {
  const g = await start(t, { config: 'origins = { "https://app.example" } public_url = "http://gateway.example:8080"' });
  const from = async (origin) => (await fetch(`${g.url}/topics/chat/t`, { method: 'POST', body: 'x', headers: { origin } })).status;
  assert.equal(await from('https://app.example'), 204);
  assert.equal(await from('https://other.example'), 403);
  assert.equal(await from('http://localhost:3000'), 403);
});

test('a subscription ends when its cache is deleted or its key is revoked', async (t) => {
  const g = await start(t, { config: 'open = false keys = { { id = "root", key = "root-key-123", role = "admin" } }' });
  const admin = (method, path, body) => fetch(`${g.url}/admin${path}`, { method, headers: { authorization: 'root-key-123', 'content-type': 'application/json' }, body: body && JSON.stringify(body) });
  assert.equal((await admin('POST', '/caches', { name: 'room' })).status, 201);
  const { token, serial } = await (await admin('POST', '/keys', { role: 'subscribeonly', cache: 'room' })).json();
  const open = (key, accept) => fetch(`${g.url}/topics/room/t`, { headers: { authorization: key, accept } });
  const stream = await open(token, 'text/event-stream'), poll = open(token, '*/*');
  await until(async () => await g.metric('hookmoon_http_subscribers{kind="long_poll"}') === 1);
  assert.equal((await admin('DELETE', `/keys/${serial}`)).status, 204);
  assert.match(await stream.text(), /event: error\ndata: \{"code":"unauthenticated","message":"the key was revoked"\}\n\n$/);
  assert.equal((await poll).status, 401);
  const other = await open('root-key-123', 'text/event-stream'), second = open('root-key-123', '*/*');
  await until(async () => await g.metric('hookmoon_http_subscribers{kind="long_poll"}') === 1);
  assert.equal((await admin('DELETE', '/caches/room')).status, 204);
  assert.match(await other.text(), /event: error\ndata: \{"code":"not_found","message":"the cache was deleted"\}\n\n$/);
  assert.equal((await second).status, 404);
});

test('EventSource gets items as they come and resumes after a lost connection', async (t) => {
  const g = await start(t);
  await g.publish('t', 'before');
  // A proxy that can be cut, as networks are.
  const sockets = new Set();
  const { createServer } = await import('node:net');
  const proxy = createServer((client) => {
    const server = connect(new URL(g.url).port, '127.0.0.1');
    client.pipe(server).pipe(client);
    for (const s of [client, server]) { sockets.add(s); s.on('error', () => {}).on('close', () => { client.destroy(); server.destroy(); }); }
  }).listen(0);
  t.after(() => proxy.close());
  const got = [], ids = [];
  const source = new EventSource(`http://127.0.0.1:${proxy.address().port}/topics/chat/t`);
  t.after(() => source.close());
  source.onmessage = (m) => { got.push(JSON.parse(m.data).item.value.text); ids.push(m.lastEventId); };
  await until(() => source.readyState === 1);
  // Cut before the first item: what is published meanwhile is not lost.
  for (const s of sockets) s.destroy();
  await g.publish('t', '1');
  await until(() => got.length === 1, 'the item of the first cut');
  await g.publish('t', '2');
  await until(() => got.length === 2);
  for (const s of sockets) s.destroy();
  await g.publish('t', '3');
  await g.publish('t', '4');
  await until(() => got.length === 4);
  assert.deepEqual(got, ['1', '2', '3', '4']);
  assert.match(ids[0], /^\d+:2$/);
});

test('a stream: from a number, gaps as events, comments as heartbeats, a clean end on stop', async (t) => {
  const g = await start(t, { config: `${inMemory} limits.retained_items = 2 limits.heartbeat = "100ms"` });
  for (let i = 1; i <= 5; i++) await g.publish('t', `${i}`);
  const s = stream(`${g.url}/topics/chat/t?sequence_number=1`);
  const response = await s.opened;
  assert.equal(response.headers['content-type'], 'text/event-stream');
  await until(() => s.text.includes(': heartbeat') && s.text.includes(':5\n'));
  assert.match(s.text, /event: discontinuity\ndata: \{"discontinuity":\{"last_topic_sequence":0,"new_topic_sequence":4,.*\n\nid: \d+:4\ndata: /);
  assert.equal(await g.stop(), 0);
  assert.equal(await s.ended, 'end');
});

test('a subscriber that vanishes is forgotten', async (t) => {
  const g = await start(t);
  const streams = Array.from({ length: 20 }, () => stream(`${g.url}/topics/chat/t`));
  await Promise.all(streams.map((s) => s.opened));
  const polls = Array.from({ length: 20 }, () => {
    const abort = new AbortController();
    fetch(`${g.url}/topics/chat/t`, { signal: abort.signal }).catch(() => {});
    return abort;
  });
  await until(async () => await g.metric('hookmoon_subscribers') === 40);
  for (const s of streams) s.request.destroy();
  for (const p of polls) p.abort();
  await until(async () => await g.metric('hookmoon_subscribers') === 0);
  assert.equal((await g.publish('t', 'x')).status, 204);
});

test('a slow reader holds up nobody, and is told what it missed', async (t) => {
  const g = await start(t, { config: `${inMemory} limits.retained_items = 64` });
  const slow = stream(`${g.url}/topics/chat/t?sequence_number=1`), quick = stream(`${g.url}/topics/chat/t?sequence_number=1`);
  (await slow.opened).pause();
  await quick.opened;
  const text = 'x'.repeat(100_000);
  for (let i = 0; i < 300; i++) {
    assert.equal((await g.publish('t', text)).status, 204);
    await until(() => quick.text.includes(`:${i + 1}\n`));
    if (i % 50 === 49) quick.text = quick.text.slice(-1000);
  }
  slow.response.resume();
  await until(() => slow.text.includes(':300\n'), 'the slow one to catch up');
  assert.match(slow.text, /event: discontinuity/);
  const numbers = [...slow.text.matchAll(/^id: \d+:(\d+)\ndata/gm)].map((m) => Number(m[1]));
  assert.deepEqual(numbers, [...numbers].sort((a, b) => a - b));
  assert.equal(new Set(numbers).size, numbers.length);
  slow.request.destroy();
  quick.request.destroy();
});

test('2,000 subscribers at once all get everything, in order', async (t) => {
  const g = await start(t);
  const agent = new Agent({ maxSockets: Infinity });
  const streams = Array.from({ length: 2000 }, () => stream(`${g.url}/topics/chat/t`, {}, agent));
  await Promise.all(streams.map((s) => s.opened));
  assert.equal(await g.metric('hookmoon_http_subscribers{kind="stream"}'), 2000);
  for (let i = 1; i <= 5; i++) await g.publish('t', `m${i}`);
  await until(() => streams.every((s) => s.text.includes('m5')), 'all to have the last one');
  for (const s of streams)
    assert.deepEqual([...s.text.matchAll(/"text":"(m\d)"/g)].map((m) => m[1]), ['m1', 'm2', 'm3', 'm4', 'm5']);
  for (const s of streams) s.request.destroy();
  agent.destroy();
});

test('more subscribers or connections than allowed are refused, and told so', async (t) => {
  const g = await start(t, { config: 'workers = 1 limits.subscribers = 2 limits.connections = 6' });
  const streams = [stream(`${g.url}/topics/chat/t`), stream(`${g.url}/topics/chat/t`)];
  await Promise.all(streams.map((s) => s.opened));
  const third = await fetch(`${g.url}/topics/chat/t`);
  assert.equal(third.status, 429);
  await third.text();
  const sockets = Array.from({ length: 10 }, () => connect(new URL(g.url).port, '127.0.0.1').on('error', () => {}));
  const over = await Promise.any(sockets.map((s) => new Promise((done) => s.once('data', (d) => done(`${d}`)))));
  assert.match(over, /^HTTP\/1\.1 503 [\s\S]*too many connections/);
  for (const s of sockets) s.destroy();
  for (const s of streams) s.request.destroy();
});

test('curl reads a stream line by line', async (t) => {
  const g = await start(t);
  const curl = spawn('curl', ['-sN', '-H', 'Accept: text/event-stream', `${g.url}/topics/chat/t`]);
  let text = '';
  curl.stdout.on('data', (d) => { text += d; });
  await until(() => text.includes('retry:'));
  await g.publish('t', 'to curl');
  await until(() => text.includes('"text":"to curl"'));
  curl.kill();
  await sleep(10);
});

test('/health, /ready and /metrics answer', async (t) => {
  const g = await start(t);
  assert.deepEqual(await (await fetch(`${g.url}/health`)).json(), { status: 'ok' });
  assert.deepEqual(await (await fetch(`${g.url}/ready`)).json(), { status: 'ready', storage: 'ok' });
  assert.equal((await fetch(`${g.url}/ready`, { method: 'HEAD' })).status, 200);
  const metrics = await fetch(`${g.url}/metrics`);
  assert.match(metrics.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
  for (const line of (await metrics.text()).trim().split('\n'))
    assert.match(line, /^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[^}]*\})? -?[0-9.e+-]+)$/);
});
