// Webhooks in: who gets in, and what those are told who do not.
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { connect } from 'node:net';
import test from 'node:test';

import { event, secret, sign, sleep, start, until } from './gateway.mjs';

const scripts = {
  'echo.lua': 'function on_event(event) publish("out", event.text) end',
  'other/main.lua': 'function on_event(event) publish("other", request.hook .. ":" .. event.text) end',
  'other/bundle.lua': 'hooks = { "orders", "refunds" }',
};
const config = `
hooks = {
  echo = { secrets = { "${secret}", "the-old-secret" } },
  ["other/orders"] = { secret = "${secret}" },
}`;

/** Sends headers as they are, several of one name too; fetch would join them. */
function send(url, headers, body, method = 'POST') {
  return new Promise((done, fail) => {
    const r = request(url, { method, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (d) => { text += d; });
      response.on('end', () => done({ status: response.statusCode, text, headers: response.headers }));
    });
    for (const [name, value] of Object.entries(headers)) r.setHeader(name, value);
    r.on('error', fail).end(body);
  });
}

async function refused(response, status, code, message) {
  assert.equal(response.status, status);
  assert.match(response.headers.get('content-type'), /^application\/json/);
  const body = await response.json();
  assert.deepEqual(Object.keys(body), ['code', 'message']);
  assert.equal(body.code, code);
  assert.match(body.message, message);
}

test('a signed event runs the script', async (t) => {
  const g = await start(t, { config, scripts });
  const response = await g.hook('echo', event({ text: 'héllo' }));
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), { published: 1 });
  assert.ok(response.headers.get('x-request-id'));
  assert.deepEqual(await g.texts('out', 1), ['héllo']);
  assert.equal(await g.metric('hookmoon_hook_requests_total{hook="echo",outcome="ok"}'), 1);
});

test('each of several secrets is valid, so that one can be replaced', async (t) => {
  const g = await start(t, { config, scripts });
  const body = event();
  assert.equal((await g.hook('echo', body, { signature: sign(body, 'the-old-secret') })).status, 200);
});

test('a hook of a bundle has its own path and secret', async (t) => {
  const g = await start(t, { config, scripts });
  assert.equal((await g.hook('other/orders', event({ text: 'x' }))).status, 200);
  assert.deepEqual(await g.texts('other', 1), ['orders:x']);
  // No secret is configured for these two: nobody gets in.
  await refused(await g.hook('other/refunds', event()), 401, 'unauthenticated', /signature/);
  await refused(await g.hook('other', event()), 401, 'unauthenticated', /signature/);
  await refused(await g.hook('other/nothing', event()), 404, 'not_found', /no hook/);
});

test('wrong signatures are refused, and the log says which check failed', async (t) => {
  const g = await start(t, { config, scripts });
  const body = event(), good = sign(body);
  const cases = [
    [null, /missing/, /missing/],
    ['', /valid/, /./],
    [good.slice(0, -1), /valid/, /64/],
    [`${good}0`, /valid/, /64/],
    [good.toUpperCase(), /valid/, /upper-case/],
    [`${good.slice(0, -1)}g`, /valid/, /hex/],
    [sign(body, 'another-secret'), /valid/, /none of the hook's secrets/],
    [sign(`${body} `), /valid/, /none/],
    [good.replace(/^./, (c) => (c === '0' ? '1' : '0')), /valid/, /none/],
  ];
  for (const [signature, told, logged] of cases) {
    const response = await g.hook('echo', body, { signature });
    const id = response.headers.get('x-request-id');
    await refused(response, 401, 'unauthenticated', told);
    const line = await g.log({ message: 'hook refused', request: id });
    assert.match(line.why, logged);
  }
  const doubled = await send(`${g.url}/hooks/echo`,
    { 'momento-signature': [good, good], 'content-type': 'application/json' }, body);
  assert.equal(doubled.status, 401);
  assert.match(doubled.text, /more than once/);
  assert.ok(!g.stderr.includes(secret) && !g.stderr.includes(good), 'no secret in the log');
  assert.equal(await g.metric('hookmoon_hook_requests_total{hook="echo",outcome="unauthenticated"}'), 10);
  assert.equal(await g.metric('hookmoon_items_published_total'), 0);
});

test('a damaged body is refused, whichever bit is damaged', async (t) => {
  const g = await start(t, { config, scripts });
  const body = event(), signature = sign(body), bytes = Buffer.from(body);
  for (let i = 0; i < bytes.length; i += 7) {
    const damaged = Buffer.from(bytes);
    damaged[i] ^= 1 << (i % 8);
    assert.equal((await g.hook('echo', damaged, { signature })).status, 401);
  }
});

test('stale and early events are refused', async (t) => {
  const g = await start(t, {
    config: `hooks = { echo = { secret = "${secret}" },
      ["other/orders"] = { secret = "${secret}", max_age = "1h" } }`, scripts });
  const at = (seconds) => event({ publish_timestamp: Date.now() + seconds * 1000 });
  await refused(await g.hook('echo', at(-61)), 401, 'unauthenticated', /6\d{4} ms old, at most 60000/);
  await refused(await g.hook('echo', at(70)), 401, 'unauthenticated', /in the future/);
  assert.equal((await g.hook('echo', at(-50))).status, 200);
  assert.equal((await g.hook('echo', at(50))).status, 200);
  assert.equal((await g.hook('other/orders', at(-3000))).status, 200);
});

test('an event is run once, however often it is sent', async (t) => {
  const g = await start(t, { config, scripts });
  const body = event({ text: 'once' });
  const first = await Promise.all(Array.from({ length: 20 }, () => g.hook('echo', body)));
  // One runs; the others are duplicates, or come in its middle and are told to come again.
  const bodies = await Promise.all(first.map(async (r) => [r.status, await r.json()]));
  assert.equal(bodies.filter(([s, b]) => s === 200 && b.published === 1).length, 1);
  for (const [status, b] of bodies) assert.ok(status === 503 || b.published === 1 || b.duplicate);
  assert.deepEqual(await (await g.hook('echo', body)).json(), { duplicate: true });
  // An honest retry may carry a new publish_timestamp.
  const retry = JSON.stringify({ ...JSON.parse(body), publish_timestamp: Date.now() });
  assert.deepEqual(await (await g.hook('echo', retry)).json(), { duplicate: true });
  assert.equal(await g.metric('hookmoon_items_published_total'), 1);
});

test('bodies that are no events are refused', async (t) => {
  const g = await start(t, { config, scripts });
  const cases = [
    ['', /empty/],
    ['{', /not valid JSON/],
    ['[]', /not a JSON object/],
    ['{"cache":"chat"}', /no "topic"/],
    [event({ text: undefined }), /no "text"/],
    [event({ text: 5 }), /"text" is not a string/],
    [event({ topic_sequence_number: 1.5 }), /whole number/],
    [Buffer.from(event({ text: 'X' }).replace('X', '\xff'), 'latin1'), /not valid JSON/],
    [event({ deep: JSON.parse('['.repeat(80) + ']'.repeat(80)) }), /nested deeper than 64/],
    ['['.repeat(30000), /nested deeper/],
    [event().replace('"text"', '"cache":"chat","text"'), /duplicate/i],
    [event({ text: 'a\0b' }), /not valid JSON/],
  ];
  for (const [body, message] of cases) await refused(await g.hook('echo', body), 400, 'invalid_argument', message);
  assert.equal(await g.metric('hookmoon_items_published_total'), 0);
});

test('other methods, paths, media types and sizes are refused', async (t) => {
  const g = await start(t, { config: `${config}\nlimits.body = "1k"`, scripts });
  const get = await g.hook('echo', undefined, { method: 'GET', signature: null });
  assert.equal(get.headers.get('allow'), 'POST');
  await refused(get, 405, 'method_not_allowed', /POST/);
  await refused(await g.hook('nobody', event()), 404, 'not_found', /no hook/);
  for (const path of ['echo/', 'echo/x', '../hooks/nobody', 'echo%00', 'ECHO', ''])
    assert.equal((await g.hook(path, event())).status, 404, path);
  await refused(await g.hook('echo', event(), { headers: { 'content-type': 'text/plain' } }),
    415, 'unsupported_media_type', /application\/json/);
  await refused(await g.hook('echo', event(), { headers: { 'content-encoding': 'gzip' } }),
    415, 'unsupported_media_type', /compressed/);
  const json = { 'content-type': 'application/json; charset=utf-8' };
  assert.equal((await g.hook('echo', event(), { headers: json })).status, 200);
  await refused(await g.hook('echo', event({ text: 'x'.repeat(1000) })), 413, 'payload_too_large', /1024 bytes/);
  // Without a length in front it is cut when it is too large.
  let chunks = 0;
  const stream = new ReadableStream({
    pull(c) { if (++chunks > 100) c.close(); else c.enqueue(new TextEncoder().encode('x'.repeat(4096))); } });
  const chunked = await fetch(`${g.url}/hooks/echo`, { method: 'POST', body: stream, duplex: 'half',
    headers: { 'content-type': 'application/json' } }).then((r) => r.status, () => 413);
  assert.equal(chunked, 413);
  await until(async () => await g.metric('hookmoon_hook_requests_total{hook="echo",outcome="too_large"}') === 2);
});

test('a request that never ends is refused in time', async (t) => {
  const g = await start(t, { config: `${config}\nlimits.request_timeout = "300ms"`, scripts });
  const { port } = new URL(g.url);
  for (const start of ['POST /hooks/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{',
    'POST /hooks/echo HTTP/1.1\r\nHost: localhost\r\nX-Slo',
    'POST /hooks/nobody HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{']) { // refused already
    const answer = await new Promise((done, fail) => {
      let text = '';
      const socket = connect(port, '127.0.0.1', () => socket.write(start));
      socket.setEncoding('utf8').on('data', (d) => { text += d; }).on('error', fail);
      socket.on('end', () => { socket.end(); done(text); });
    });
    assert.match(answer, /^HTTP\/1\.1 408 /);
    assert.match(answer, /"code":"request_timeout"/);
  }
});

test('a rate that is exceeded is told', async (t) => {
  const g = await start(t, { config: `hooks = { echo = { secret = "${secret}", rate = 3 } }`, scripts });
  const answers = await Promise.all(Array.from({ length: 40 }, () => g.hook('echo', event())));
  const refusals = answers.filter((r) => r.status === 429);
  assert.ok(refusals.length >= 6 && answers.some((r) => r.status === 200));
  assert.equal(refusals[0].headers.get('retry-after'), '1');
  await refused(refusals[0], 429, 'limit_exceeded', /rate/);
});

test('a flood of refusals does not flood the log', async (t) => {
  const g = await start(t, { config: `workers = 1 ${config}`, scripts });
  const body = event();
  for (let round = 0; round < 2; round++) {
    await Promise.all(Array.from({ length: 400 }, () => g.hook('echo', body, { signature: sign(body, 'wrong-secret') })));
    await sleep(1100);
  }
  await g.hook('echo', body, { signature: null });
  const line = await g.log({ message: 'more hook requests were refused, repeated or failed than are logged' });
  assert.ok(line.not_logged > 0);
  assert.ok(g.logs.filter((l) => l.message === 'hook refused').length < 600);
});

test('two lengths in one request are refused', async (t) => {
  const g = await start(t, { config, scripts });
  const answer = await new Promise((done, fail) => {
    let text = '';
    const socket = connect(new URL(g.url).port, '127.0.0.1', () => socket.write(
      'POST /hooks/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /'));
    socket.setEncoding('utf8').on('data', (d) => { text += d; }).on('error', fail).on('end', () => done(text));
  });
  assert.match(answer, /^HTTP\/1\.1 400 /);
  assert.equal(answer.match(/HTTP\/1\.1/g).length, 1);
});
