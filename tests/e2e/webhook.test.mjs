// Webhooks out: exact bytes, and destinations that misbehave.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { createServer as createTcp } from 'node:net';
import test from 'node:test';

import { event, inMemory, secret, sign, sleep, start, until } from './gateway.mjs';

/** A destination that records what it gets; `answer(request, response, body)` answers. */
async function destination(t, answer = (_, response) => response.end()) {
  const got = [];
  const server = createServer((request, response) => {
    const chunks = [];
    request.on('data', (d) => chunks.push(d)).on('end', () => {
      const body = Buffer.concat(chunks).toString();
      got.push({ headers: request.headers, raw: request.rawHeaders, body, method: request.method, url: request.url });
      answer(request, response, body);
    });
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => { server.closeAllConnections(); server.close(); });
  return { got, url: `http://127.0.0.1:${server.address().port}/in?token=hidden`, server };
}

const webhooks = (...list) => `webhooks = { ${list.map(({ url, topic = 't', name = 'w', more = 'delivery = "once"' }) =>
  `{ cache = "chat", name = "${name}", topic = "${topic}", url = "${url}", secret = "${secret}", ${more} }`).join(', ')} }`;

const outcome = (g, word) => g.metric(`hookmoon_webhook_deliveries_total{webhook="chat/w",outcome="${word}"}`);

test('a delivery is byte for byte what Momento sends', async (t) => {
  const d = await destination(t);
  const g = await start(t, { config: `open = false keys = { { id = "mo", key = "alice-key-1", role = "publishsubscribe" } } ${webhooks(d)}` });
  const before = Date.now();
  const response = await g.publish('t', 'Here "I" am/\u0001ü\n', { headers: { authorization: 'alice-key-1' } });
  await until(() => d.got.length === 1);
  const { headers, body, method, url } = d.got[0];
  assert.equal(method, 'POST');
  assert.equal(url, '/in?token=hidden');
  const e = JSON.parse(body);
  assert.equal(body, `{"cache":"chat","topic":"t","event_timestamp":${e.event_timestamp},"publish_timestamp":${e.publish_timestamp},` +
    '"topic_sequence_number":1,"token_id":"mo","text":"Here \\"I\\" am/\\u0001ü\\n"}');
  assert.ok(e.event_timestamp >= before && e.publish_timestamp >= e.event_timestamp && e.publish_timestamp <= Date.now());
  assert.equal(headers['momento-signature'], sign(body));
  assert.equal(headers['user-agent'], 'Momento/1.0 (Webhooks; +https://docs.momentohq.com/topics/webhooks)');
  assert.equal(headers['content-type'], 'application/json');
  assert.equal(headers.expect, undefined);
  // The id goes with it: publish, delivery, log.
  assert.equal(headers['x-request-id'], response.headers.get('x-request-id'));
  await until(async () => await outcome(g, 'ok') === 1);
});

test('bytes that are no text come as base64 beside an empty text', async (t) => {
  const d = await destination(t);
  const g = await start(t, { config: webhooks(d) });
  const headers = { 'content-type': 'application/octet-stream' };
  await g.publish('t', new Uint8Array([0xff, 0]), { headers });
  await g.publish('t', 'text all the same', { headers });
  await until(() => d.got.length === 2);
  assert.match(d.got[0].body, /,"text":"","binary":"\/wA="}$/);
  assert.match(d.got[1].body, /,"text":"text all the same"}$/);
});

test('the whole loop: topic 1 -> webhook -> hook -> script -> topic 2', async (t) => {
  const g = await start(t, {
    config: webhooks({ url: '/hooks/uppercase', topic: 'topic 1' }),
    scripts: { 'uppercase.lua': 'function on_event(event) publish("topic 2", event.text:upper()) end' },
    args: ['--log-level', 'debug'],
  });
  const response = await g.publish('topic 1', 'a value');
  assert.deepEqual(await g.texts('topic 2', 1), ['A VALUE']);
  const id = response.headers.get('x-request-id');
  await g.log({ message: 'webhook delivered', request: id });
  await g.log({ message: 'hook accepted', caused_by: id });
  for (let i = 1; i <= 100; i++) await g.publish('topic 1', `m${i}`);
  const texts = await g.texts('topic 2', 101);
  assert.deepEqual(texts.sort(), ['A VALUE', ...Array.from({ length: 100 }, (_, i) => `M${i + 1}`)].sort());
});

test('several webhooks of one topic all get it, others do not', async (t) => {
  const a = await destination(t), b = await destination(t), c = await destination(t);
  const g = await start(t, { config: webhooks({ ...a, name: 'a' }, { ...b, name: 'b' }, { ...c, name: 'c', topic: 'other' }) });
  await g.publish('t', 'x');
  await until(() => a.got.length === 1 && b.got.length === 1);
  await sleep(50);
  assert.equal(c.got.length, 0);
});

test('500s and redirects are failures; a redirect is not followed', async (t) => {
  const other = await destination(t);
  const d = await destination(t, (_, response, body) => {
    if (body.includes('"text":"500"')) response.writeHead(500).end('broken');
    else if (body.includes('"text":"302"')) response.writeHead(302, { location: other.url }).end();
    else response.end();
  });
  const g = await start(t, { config: webhooks(d) });
  for (const text of ['500', '302', 'fine']) await g.publish('t', text);
  await until(async () => await outcome(g, 'status') === 1 && await outcome(g, 'redirect') === 1 && await outcome(g, 'ok') === 1);
  assert.equal(other.got.length, 0);
  const line = await g.log({ message: 'webhook delivery failed' });
  assert.match(line.why, /status (500|302)/);
  assert.ok(!g.stderr.includes('hidden') && !g.stderr.includes(secret), 'no secret in the log');
});

test('a destination that refuses, hangs or hangs up holds up nobody', async (t) => {
  const hanging = await destination(t, () => {});
  const fine = await destination(t);
  const dead = createTcp((socket) => socket.destroy()).listen(0, '127.0.0.1');
  await new Promise((done) => dead.on('listening', done));
  t.after(() => dead.close());
  const g = await start(t, {
    config: `limits.webhook_timeout = "2s" limits.webhook_concurrency = 2 ${webhooks(
      { ...hanging, name: 'hanging' }, { ...fine, name: 'fine' },
      { url: `http://127.0.0.1:${dead.address().port}/`, name: 'dead' },
      { url: 'http://127.0.0.1:1/', name: 'refusing' })}` });
  const began = Date.now();
  for (let i = 0; i < 6; i++) assert.equal((await g.publish('t', `${i}`)).status, 204);
  assert.ok(Date.now() - began < 10000, 'publishing does not wait');
  await until(() => fine.got.length === 6);
  const count = (name, word) => g.metric(`hookmoon_webhook_deliveries_total{webhook="chat/${name}",outcome="${word}"}`);
  await until(async () => await count('hanging', 'timeout') === 6);
  await until(async () => await count('dead', 'other') === 6 && await count('refusing', 'connect') === 6);
  assert.equal(await g.metric('hookmoon_webhook_queue{webhook="chat/hanging"}'), 0);
});

test('an answer without end is cut, and what falls out of the queue is counted', async (t) => {
  const endless = await destination(t, (_, response) => {
    const timer = setInterval(() => response.write('x'.repeat(65536)), 1);
    response.on('close', () => clearInterval(timer));
  });
  const g = await start(t, { config: webhooks(endless) });
  await g.publish('t', 'x');
  await until(async () => await outcome(g, 'ok') === 1);
});

test('a queue has its bound', async (t) => {
  const hanging = await destination(t, () => {});
  const g = await start(t, {
    config: `${inMemory} limits.webhook_queue = 4 limits.retained_items = 4 limits.webhook_concurrency = 1 limits.webhook_timeout = "1s" limits.stop_grace = "100ms" ${webhooks(hanging)}` });
  for (let i = 0; i < 30; i++) await g.publish('t', `${i}`);
  await until(async () => await g.metric('hookmoon_webhook_dropped_total{webhook="chat/w"}') > 15);
  assert.equal((await g.log({ message: 'webhook items dropped' })).webhook, 'chat/w');
});

test('connections are used again', async (t) => {
  const d = await destination(t);
  let connections = 0;
  d.server.on('connection', () => connections++);
  const g = await start(t, { config: `limits.webhook_concurrency = 1 ${webhooks(d)}` });
  for (let i = 0; i < 20; i++) await g.publish('t', `${i}`);
  await until(() => d.got.length === 20);
  assert.equal(connections, 1);
});

test('a hook takes the secrets of all webhooks that point at it', async (t) => {
  const g = await start(t, {
    config: `webhooks = {
      { cache = "chat", name = "a", topic = "a", url = "/hooks/up", secret = "the-secret-of-a" },
      { cache = "chat", name = "b", topic = "b", url = "/hooks/up", secret = "the-secret-of-b" } }`,
    scripts: { 'up.lua': 'function on_event(event) publish("out", event.text) end' } });
  await g.publish('a', 'from a');
  await g.texts('out', 1);
  await g.publish('b', 'from b');
  assert.deepEqual(await g.texts('out', 2), ['from a', 'from b']);
});

test('a hook that names secrets of its own does not take its webhook\'s', async (t) => {
  const g = await start(t, {
    config: `${webhooks({ url: '/hooks/up' })} hooks = { up = { secret = "another-secret" } }`,
    scripts: { 'up.lua': 'function on_event(event) publish("out", event.text) end' } });
  await g.publish('t', 'x');
  await g.log({ message: 'hook refused', hook: 'up' });
  assert.equal((await g.hook('up', event())).status, 401);
  const body = event();
  assert.equal((await g.hook('up', body, { signature: sign(body, 'another-secret') })).status, 200);
});
