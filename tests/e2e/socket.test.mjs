// WebSocket: many subscriptions and publishes over one connection.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import test from 'node:test';
import { chromium } from 'playwright-core';
import WebSocket from 'ws';

import { inMemory, secret, sleep, start, until } from './gateway.mjs';

const keys = `open = false keys = {
  { id = "root", key = "root-key-123", role = "admin" },
  { id = "reader", key = "reader-key-123", role = "subscribeonly", cache = "chat", topic = "news" },
  { id = "writer", key = "writer-key-123", role = "publishonly", cache = "chat" },
}`;

const address = (g) => `${g.url.replace('http', 'ws')}/socket`;

/** A client that keeps all it gets: .messages, and .of(id) by subscription. */
class Client {
  messages = [];
  ids = new Map();

  constructor(url, options = {}) {
    this.socket = new WebSocket(url, { perMessageDeflate: false, ...options });
    this.opened = new Promise((done, fail) => this.socket.on('open', done).on('error', fail));
    this.closed = new Promise((done) => this.socket.on('close', (code, reason) => done([code, `${reason}`])));
    this.refused = new Promise((done) => this.socket.on('unexpected-response', (_, response) => {
      let text = '';
      response.on('data', (d) => { text += d; }).on('end', () => done({ status: response.statusCode, headers: response.headers, text }));
    }));
    this.socket.on('message', (data, isBinary) => {
      assert.equal(isBinary, false);
      const m = JSON.parse(data);
      this.messages.push(m);
      if (m.id !== undefined) this.of(m.id).push(m);
    });
  }

  of(id) {
    if (!this.ids.has(id)) this.ids.set(id, []);
    return this.ids.get(id);
  }

  send(message) {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  /** The next answer of one of these types. */
  async next(...types) {
    const from = this.messages.length;
    return until(() => this.messages.slice(from).find((m) => types.includes(m.type)), types.join());
  }

  ask(message, ...types) {
    const answer = this.next(...types, 'error');
    this.send(message);
    return answer;
  }

  publish(topic, text, more = {}) {
    return this.ask({ type: 'publish', cache: 'chat', topic, text, ...more }, 'published');
  }

  subscribe(id, topic, more = {}) {
    return this.ask({ type: 'subscribe', id, cache: 'chat', topic, ...more }, 'subscribed');
  }

  items(id) {
    return this.of(id).filter((m) => m.type === 'item').map((m) => m.item);
  }

  texts(id) {
    return this.items(id).map((i) => i.value.text);
  }
}

async function open(t, g, options = {}, query = '') {
  const c = new Client(address(g) + query, options);
  t.after(() => c.socket.terminate());
  await c.opened;
  return c;
}

/** A socket by hand: the handshake's answer in .head, then frames {opcode, payload}. */
function raw(t, g, { headers = {}, method = 'GET', version = '1.1', early = Buffer.alloc(0), path = '/socket' } = {}) {
  const all = {
    Host: '127.0.0.1', Connection: 'keep-alive, Upgrade', Upgrade: 'WebSocket', 'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', ...headers,
  };
  const lines = Object.entries(all).filter(([, v]) => v !== undefined).map(([k, v]) => `${k}: ${v}\r\n`).join('');
  const socket = connect(new URL(g.url).port, '127.0.0.1');
  const it = { socket, head: '', frames: [], bytes: Buffer.alloc(0) };
  it.closed = new Promise((done) => socket.on('close', () => done()));
  socket.on('error', () => {});
  socket.write(Buffer.concat([Buffer.from(`${method} ${path} HTTP/${version}\r\n${lines}\r\n`), early]));
  socket.on('data', (data) => {
    it.bytes = Buffer.concat([it.bytes, data]);
    const end = it.bytes.indexOf('\r\n\r\n');
    if (it.head === '' && end >= 0) {
      it.head = `${it.bytes.subarray(0, end)}`;
      it.bytes = it.bytes.subarray(end + 4);
    }
    while (it.head !== '' && it.bytes.length >= 2) {
      const short = it.bytes[1];
      const head = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (it.bytes.length < head) return;
      const length = short < 126 ? short : short === 126 ? it.bytes.readUInt16BE(2) : Number(it.bytes.readBigUInt64BE(2));
      if (it.bytes.length < head + length) return;
      it.frames.push({ opcode: it.bytes[0] & 15, payload: it.bytes.subarray(head, head + length) });
      it.bytes = it.bytes.subarray(head + length);
    }
  });
  it.answered = until(() => it.head, 'an answer').then((head) => Number(head.split(' ')[1]));
  it.frame = (i = 0) => until(() => it.frames[i], 'a frame');
  it.message = async (i) => JSON.parse((await it.frame(i)).payload);
  it.close = async () => {
    const frame = await until(() => it.frames.find((f) => f.opcode === 8), 'a close frame');
    return [frame.payload.length >= 2 ? frame.payload.readUInt16BE(0) : 1005, `${frame.payload.subarray(2)}`];
  };
  t.after(() => socket.destroy());
  return it;
}

/** A frame as a client sends it. */
function frame(opcode, payload = '', { fin = true, mask = true, bits = 0, length } = {}) {
  const body = Buffer.from(payload), size = length ?? body.length;
  const head = [(fin ? 0x80 : 0) | bits | opcode];
  const masked = mask ? 0x80 : 0;
  if (size < 126) head.push(masked | size);
  else if (size < 65536) head.push(masked | 126, size >> 8, size & 255);
  else head.push(masked | 127, 0, 0, 0, 0, ...[24, 16, 8, 0].map((n) => (size >> n) & 255));
  const key = [1, 2, 3, 4];
  if (mask) head.push(...key);
  return Buffer.concat([Buffer.from(head), mask ? body.map((b, i) => b ^ key[i % 4]) : body]);
}

const TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10;
const ping = (id) => JSON.stringify({ type: 'ping', id });

test('subscribe, publish, unsubscribe: text, binary, empty, ids echoed', async (t) => {
  const g = await start(t);
  const c = await open(t, g);
  const started = await c.subscribe('s1', 'topic 1');
  assert.equal(started.id, 's1');
  assert.equal(started.sequence_number, 1);
  assert.ok(Math.abs(started.sequence_page - Date.now() / 1000) < 60);
  assert.deepEqual(await c.publish('topic 1', 'héllo "you"\n\u0000', { id: 7 }), { type: 'published', id: 7 });
  assert.deepEqual(await c.publish('topic 1', undefined, { id: 'b', binary: 'AP/+' }), { type: 'published', id: 'b' });
  assert.deepEqual(await c.publish('topic 1', ''), { type: 'published' });
  await c.publish('topic 1', undefined, { binary: '' });
  await until(() => c.items('s1').length === 4);
  assert.deepEqual(c.items('s1').map((i) => i.value), [{ text: 'héllo "you"\n\u0000' }, { binary: 'AP/+' }, { text: '' }, { binary: '' }]);
  // What HTTP gives is the same, to the letter.
  assert.deepEqual(await g.poll('topic 1'), c.items('s1').map((item) => ({ item })));
  assert.deepEqual(await c.ask({ type: 'unsubscribe', id: 's1' }, 'unsubscribed'), { type: 'unsubscribed', id: 's1' });
  await c.publish('topic 1', 'unseen');
  assert.deepEqual(await c.ask({ type: 'ping', id: -3 }, 'pong'), { type: 'pong', id: -3 });
  assert.equal(c.items('s1').length, 4);
  assert.equal(await g.metric('hookmoon_http_subscribers{kind="socket"}'), 0);
  assert.equal(await g.metric('hookmoon_publishes_total{outcome="ok"}'), 5);
  // Closed by the client, it is gone at once.
  await c.subscribe('s2', 'topic 1');
  assert.equal(await g.metric('hookmoon_http_subscribers{kind="socket"}'), 1);
  c.socket.close(1000, 'enough');
  assert.deepEqual(await c.closed, [1000, 'enough']);
  await until(async () => await g.metric('hookmoon_subscribers') === 0);
});

test('500 subscriptions on one socket: each in order and with the numbers of HTTP', async (t) => {
  const g = await start(t);
  const c = await open(t, g);
  const count = 500, rounds = 4;
  for (let i = 0; i < count; i++) c.send({ type: 'subscribe', id: i, cache: 'chat', topic: `t${i}` });
  await until(() => c.messages.filter((m) => m.type === 'subscribed').length === count);
  assert.equal(await g.metric('hookmoon_http_subscribers{kind="socket"}'), count);
  const other = await open(t, g);
  for (let r = 0; r < rounds; r++)
    for (let i = 0; i < count; i++) other.send({ type: 'publish', cache: 'chat', topic: `t${i}`, text: `${i}.${r}` });
  await until(() => c.messages.filter((m) => m.type === 'item').length === count * rounds, 'all items');
  for (let i = 0; i < count; i++) {
    assert.deepEqual(c.texts(i), Array.from({ length: rounds }, (_, r) => `${i}.${r}`));
    assert.deepEqual(c.items(i).map((m) => m.topic_sequence_number), [1, 2, 3, 4]);
  }
  assert.deepEqual(await g.poll('t77'), c.items(77).map((item) => ({ item })));
  c.socket.terminate();
  await until(async () => await g.metric('hookmoon_subscribers') === 0);
});

test('after a reconnect nothing is lost and nothing comes twice', async (t) => {
  const g = await start(t);
  let c = await open(t, g), { sequence_page: page, sequence_number: next } = await c.subscribe('s', 't');
  const got = [];
  const publishing = (async () => {
    for (let i = 1; i <= 200; i++) assert.equal((await g.publish('t', `${i}`)).status, 204);
  })();
  while (got.length < 200) {
    const have = c.items('s').length;
    await until(() => c.items('s').length > have || got.length + c.items('s').length >= 200);
    c.socket.terminate();
    for (const item of c.items('s')) {
      got.push(item);
      next = item.topic_sequence_number + 1;
      page = item.sequence_page;
    }
    c = await open(t, g);
    const answer = await c.subscribe('s', 't', { sequence_page: page, sequence_number: next });
    assert.equal(answer.sequence_number, next);
  }
  await publishing;
  assert.deepEqual(got.map((i) => i.value.text), Array.from({ length: 200 }, (_, i) => `${i + 1}`));
});

test('resume as the long poll does: from a number, a gap, another page', async (t) => {
  const g = await start(t, { config: `${inMemory} limits.retained_items = 2` });
  for (let i = 1; i <= 5; i++) await g.publish('t', `${i}`);
  const c = await open(t, g);
  for (const [id, query] of [['gap', 'sequence_number=1'], ['page', 'sequence_number=9&sequence_page=1'], ['last', 'sequence_number=5']]) {
    await c.subscribe(id, 't', Object.fromEntries([...new URLSearchParams(query)].map(([k, v]) => [k, Number(v)])));
    const expected = await g.poll('t', query);
    await until(() => c.of(id).length > expected.length);
    assert.deepEqual(c.of(id).slice(1).map(({ type, id: _, ...rest }) => { assert.ok(type in rest); return rest; }), expected);
  }
  const fresh = await c.subscribe('fresh', 't');
  assert.equal(fresh.sequence_number, 6);
  assert.equal((await c.subscribe('zero', 't', { sequence_number: 0, sequence_page: 0 })).sequence_number, 6);
});

test('what is wrong is answered, and the socket goes on', async (t) => {
  const g = await start(t, { config: 'limits.topics = 3 limits.message = "100"' });
  const c = await open(t, g);
  const refused = async (message, code, pattern) => {
    const answer = await c.ask(message, 'none');
    assert.equal(answer.code, code, JSON.stringify([message, answer]));
    assert.match(answer.message, pattern);
    return answer;
  };
  const publish = { type: 'publish', cache: 'chat', topic: 't' }, subscribe = { type: 'subscribe', cache: 'chat', topic: 't' };
  for (const [message, pattern] of [
    ['', /no JSON/], ['{"type":', /no JSON/], ['[]', /object/], ['null', /no JSON|object/], ['{}', /type is missing/],
    ['{"type":"ping","type":"ping"}', /no JSON/], ['[[[[[1]]]]]', /nested/], [{ type: 7 }, /type must be a string/],
    [{ type: 'pong' }, /"pong" is not known; there are auth, publish/], [{ type: 'ping', x: 1 }, /"x" is not known/],
    [{ ...publish, texts: 'x' }, /did you mean "text"/], [publish, /either text or binary/],
    [{ ...publish, text: 'x', binary: '' }, /either/], [{ ...publish, text: 1 }, /text must be a string/],
    [{ ...publish, binary: 'AA' }, /not base64/], [{ ...publish, binary: 'A-_=' }, /not base64/],
    [{ ...publish, topic: undefined, text: '' }, /topic is missing/], [{ ...publish, cache: null, text: '' }, /cache is missing|cache must/],
    [{ ...publish, topic: '', text: '' }, /topic name is empty/], [{ ...publish, topic: 'a\u0000b', text: '' }, /NUL/],
    [{ ...publish, topic: 'x'.repeat(256), text: '' }, /longer than 255/],
    [{ ...publish, id: 1.5, text: '' }, /id must be/], [{ ...publish, id: 'x'.repeat(129), text: '' }, /id must be/],
    [subscribe, /id is missing/], [{ ...subscribe, id: 'n', sequence_number: -1 }, /sequence_number is not a whole/],
    [{ ...subscribe, id: 'n', sequence_page: '1' }, /sequence_page is not a whole/],
    [{ type: 'unsubscribe' }, /id is missing/], [{ type: 'auth' }, /token is missing/],
  ]) await refused(message, 'invalid_argument', pattern);
  assert.equal((await refused({ ...subscribe, id: 'known', x: 1 }, 'invalid_argument', /"x"/)).id, 'known');
  await refused({ ...publish, cache: 'other', text: '' }, 'not_found', /there is no cache "other"/);
  await refused({ ...subscribe, id: 's', cache: 'other' }, 'not_found', /there is no cache "other"/);
  await refused({ ...publish, text: 'x'.repeat(101) }, 'payload_too_large', /101 bytes, 100 are allowed/);
  await refused({ type: 'unsubscribe', id: 's' }, 'not_found', /no subscription/);
  await refused({ type: 'auth', token: 'x' }, 'failed_precondition', /first message/);
  await c.subscribe('s', 't');
  await refused({ ...subscribe, id: 's' }, 'already_exists', /already/);
  await c.subscribe('s2', 't2');
  await c.subscribe('s3', 't3');
  await refused({ ...subscribe, id: 's4', topic: 't4' }, 'limit_exceeded', /topics/);
  assert.equal((await c.publish('t', 'still there')).type, 'published');
  await until(() => c.texts('s').length === 1);
});

test('limits: subscriptions of a socket, subscribers of the gateway', async (t) => {
  const g = await start(t, { config: 'workers = 1 limits.subscribers = 1500' });
  const c = await open(t, g);
  for (let i = 0; i <= 1000; i++) c.send({ type: 'subscribe', id: `${i}`, cache: 'chat', topic: 't' });
  await until(() => c.messages.length === 1001);
  assert.deepEqual(c.of('1000'), [{ type: 'error', id: '1000', code: 'limit_exceeded', message: 'a socket carries at most 1000 subscriptions; open another one' }]);
  const other = await open(t, g);
  for (let i = 0; i <= 500; i++) other.send({ type: 'subscribe', id: i, cache: 'chat', topic: 't' });
  await until(() => other.messages.length === 501);
  assert.match(other.of(500)[0].message, /as many subscribers as allowed/);
  await g.publish('t', 'to all');
  await until(() => c.messages.filter((m) => m.type === 'item').length === 1000 && other.messages.filter((m) => m.type === 'item').length === 500);
});

test('the handshake: what is no WebSocket is told so', async (t) => {
  const g = await start(t);
  const right = raw(t, g);
  assert.equal(await right.answered, 101);
  assert.match(right.head, /\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=(\r\n|$)/i);
  assert.match(right.head, /\r\nUpgrade: websocket(\r\n|$)/i);
  assert.match(right.head, /\r\nConnection: Upgrade(\r\n|$)/i);
  const plain = await fetch(`${g.url}/socket`);
  assert.equal(plain.status, 426);
  assert.equal(plain.headers.get('upgrade'), 'websocket');
  assert.equal(plain.headers.get('sec-websocket-version'), '13');
  assert.match((await plain.json()).message, /send Connection: Upgrade/);
  assert.equal((await fetch(`${g.url}/socket`, { method: 'POST', body: 'x' })).status, 405);
  const status = (headers, more) => raw(t, g, { headers, ...more }).answered;
  assert.equal(await status({ 'Sec-WebSocket-Version': '8' }), 426);
  assert.equal(await status({ 'Sec-WebSocket-Version': undefined }), 426);
  assert.equal(await status({ Connection: 'keep-alive' }), 426);
  assert.equal(await status({ Upgrade: 'h2c' }), 426);
  assert.equal(await status({ 'Sec-WebSocket-Key': undefined }), 400);
  assert.equal(await status({ 'Sec-WebSocket-Key': 'c2hvcnQ=' }), 400);
  assert.equal(await status({ 'Sec-WebSocket-Key': '!'.repeat(24) }), 400);
  assert.equal(await status({ 'Content-Length': '5' }, { early: Buffer.from('hello') }), 413);
  const old = raw(t, g, { version: '1.0' });
  await Promise.race([old.closed, old.answered]);
  assert.doesNotMatch(old.head, / 101 /);
  // Frames that come together with the request are not lost.
  const eager = raw(t, g, { early: Buffer.concat([frame(TEXT, ping(1)), frame(TEXT, ping(2))]) });
  assert.deepEqual([await eager.message(0), await eager.message(1)], [{ type: 'pong', id: 1 }, { type: 'pong', id: 2 }]);
});

test('frames: fragments with control frames between, pings, a byte at a time', async (t) => {
  const g = await start(t, { config: inMemory }); // where a publish is answered in its turn
  const r = raw(t, g);
  await r.answered;
  const text = Buffer.from(JSON.stringify({ type: 'publish', id: 'ü', cache: 'chat', topic: 't', text: 'grüße' }));
  const cut = text.indexOf('ü') + 1; // within a character
  r.socket.write(Buffer.concat([
    frame(TEXT, text.subarray(0, cut), { fin: false }), frame(PING, 'are you there'), frame(0, text.subarray(cut, cut + 9), { fin: false }),
    frame(PONG, 'unasked'), frame(0, '', { fin: false }), frame(0, text.subarray(cut + 9)), frame(TEXT, ping('after')),
  ]));
  const first = await r.frame(0);
  assert.deepEqual([first.opcode, `${first.payload}`], [PONG, 'are you there']);
  assert.deepEqual(await r.message(1), { type: 'published', id: 'ü' });
  assert.deepEqual(await r.message(2), { type: 'pong', id: 'after' });
  assert.equal((await g.poll('t'))[0].item.value.text, 'grüße');
  for (const byte of frame(TEXT, ping('slow'))) {
    r.socket.write(Buffer.from([byte]));
    await sleep(1);
  }
  assert.deepEqual(await r.message(3), { type: 'pong', id: 'slow' });
  // A message of a great many fragments.
  const long = JSON.stringify({ type: 'publish', id: 'long', cache: 'chat', topic: 't', text: 'x'.repeat(20_000) });
  r.socket.write(Buffer.concat([...long].map((c, i) => frame(i === 0 ? TEXT : 0, c, { fin: i === long.length - 1 }))));
  assert.deepEqual(await r.message(4), { type: 'published', id: 'long' });
  // The closing handshake: our code and reason come back, then the connection ends.
  r.socket.write(frame(CLOSE, Buffer.concat([Buffer.from([0x0f, 0xa0]), Buffer.from('my reasons')])));
  assert.deepEqual(await r.close(), [4000, 'my reasons']);
  await r.closed;
});

test('who breaks the protocol is told how, and then disconnected', async (t) => {
  const g = await start(t);
  const ends = async (bytes, code, reason = /^$/) => {
    const r = raw(t, g);
    await r.answered;
    r.socket.write(bytes);
    const [got, why] = await r.close();
    assert.equal(got, code, `${bytes.toString('hex')}: ${got} ${why}`);
    assert.match(why, reason);
    await r.closed;
  };
  await ends(frame(TEXT, ping(1), { mask: false }), 1002);
  await ends(frame(TEXT, ping(1), { bits: 0x40 }), 1002); // compression was not agreed on
  await ends(frame(3, 'x'), 1002);
  await ends(frame(11, 'x'), 1002);
  await ends(frame(0, 'x'), 1002); // goes on with nothing
  await ends(Buffer.concat([frame(TEXT, 'x', { fin: false }), frame(TEXT, 'y')]), 1002);
  await ends(frame(PING, 'x'.repeat(126)), 1002);
  await ends(frame(PING, 'x', { fin: false }), 1002);
  await ends(frame(CLOSE, Buffer.from([0x03, 0xed])), 1002); // 1005 is never sent
  await ends(frame(TEXT, Buffer.from([0x22, 0xff, 0x22])), 1007);
  await ends(frame(TEXT, Buffer.from([0x22, 0xc3])), 1007);
  await ends(frame(BINARY, ping(1)), 1003, /only text/);
  await ends(frame(CLOSE), 1005);
  await ends(frame(CLOSE, Buffer.from([0x03, 0xe8])), 1000);
  // It goes on sending, and gets to read why all the same.
  await ends(Buffer.concat([frame(TEXT, ping(1), { mask: false }), Buffer.alloc(3_000_000)]), 1002);
  await until(async () => (await g.metric('hookmoon_subscribers')) === 0);
});

test('a message that is too large ends the socket with 1009, one that just fits does not', async (t) => {
  const g = await start(t, { config: 'limits.message = "300k"' });
  const c = await open(t, g);
  const answer = await c.publish('t', undefined, { binary: Buffer.alloc(300 * 1024).toString('base64') });
  assert.equal(answer.type, 'published', answer.message);
  c.send({ type: 'publish', cache: 'chat', topic: 't', binary: Buffer.alloc(400 * 1024).toString('base64') });
  const [code, reason] = await c.closed;
  assert.equal(code, 1009);
  assert.match(reason, /^a message may have at most 4136\d\d bytes$/);
  // The same in fragments, and by what the first byte announces.
  const r = raw(t, g), s = raw(t, g);
  await Promise.all([r.answered, s.answered]);
  for (let i = 0; i < 10; i++) r.socket.write(frame(i === 0 ? TEXT : 0, Buffer.alloc(60_000, 32), { fin: false }));
  assert.equal((await r.close())[0], 1009);
  s.socket.write(frame(TEXT, ' ', { length: 2 ** 31 }));
  assert.equal((await s.close())[0], 1009);
});

test('a message must arrive in time', async (t) => {
  const g = await start(t, { config: 'limits.request_timeout = "300ms"' });
  const r = raw(t, g);
  await r.answered;
  r.socket.write(frame(TEXT, '{"type":', { fin: false }));
  assert.deepEqual(await r.close(), [1008, 'the message took too long to arrive']);
});

test('a silent peer is pinged, and dropped when it does not answer', async (t) => {
  const g = await start(t, { config: 'limits.heartbeat = "1s"' });
  const dead = raw(t, g);
  await dead.answered;
  const c = await open(t, g);
  let pings = 0;
  c.socket.on('ping', () => { pings++; });
  const since = Date.now();
  await dead.closed;
  assert.ok(Date.now() - since > 1500);
  assert.equal(dead.frames[0].opcode, PING);
  assert.ok(!dead.frames.some((f) => f.opcode === CLOSE));
  await until(() => pings >= 2);
  assert.equal((await c.ask({ type: 'ping' }, 'pong')).type, 'pong');
});

test('keys: by header, in the URL, by the first message; none, a wrong one, two', async (t) => {
  const g = await start(t, { config: keys });
  const works = async (c, publisher) => {
    await c.subscribe('s', `t-${publisher}`);
    await c.publish(`t-${publisher}`, 'x');
    await until(() => c.items('s').length === 1);
    assert.equal(c.items('s')[0].publisher_id, publisher);
  };
  await works(await open(t, g, { headers: { authorization: 'root-key-123' } }), 'root');
  await works(await open(t, g, {}, '?token=root-key-123'), 'root');
  const later = await open(t, g);
  assert.deepEqual(await later.ask({ type: 'auth', id: 0, token: 'root-key-123' }, 'authenticated'), { type: 'authenticated', id: 0 });
  assert.equal((await later.ask({ type: 'auth', token: 'root-key-123' }, 'none')).code, 'failed_precondition');
  // A base64 key with its endpoint, as the SDKs have it, and a message larger than a stranger's may be.
  const wrapped = await open(t, g);
  const sdk = Buffer.from(JSON.stringify({ endpoint: 'x', api_key: 'root-key-123' })).toString('base64');
  await wrapped.ask({ type: 'auth', token: sdk }, 'authenticated');
  assert.equal((await wrapped.publish('t', 'x'.repeat(20_000))).type, 'published');

  const refused = async (headers, query, status, pattern) => {
    const c = new Client(address(g) + query, { headers });
    c.opened.catch(() => {});
    const r = await c.refused;
    assert.equal(r.status, status);
    assert.match(r.text, pattern);
  };
  await refused({ authorization: 'wrong' }, '', 401, /"unauthenticated"/);
  await refused({}, '?token=wrong', 401, /not known here/);
  await refused({ authorization: 'root-key-123' }, '?token=root-key-123', 400, /twice/);

  const ends = async (message, pattern) => {
    const c = await open(t, g);
    c.send(message);
    const [code, reason] = await c.closed;
    assert.equal(code, 4401);
    assert.match(reason, pattern);
    assert.deepEqual(c.messages, []);
  };
  await ends({ type: 'auth', token: 'wrong' }, /not known here/);
  await ends({ type: 'auth', token: '' }, /a key is needed/);
  await ends({ type: 'ping' }, /must be auth/);
  await ends('{"type":"auth","token":"root-key-123', /must be auth/);
  await ends({ type: 'subscribe', id: 's', cache: 'chat', topic: 't' }, /must be auth/);
  const large = await open(t, g);
  large.send({ type: 'auth', token: 'x'.repeat(9000) });
  assert.equal((await large.closed)[0], 1009);
  assert.ok(!g.stderr.includes('root-key-123'));
});

test('a key that does not come in time ends the socket', async (t) => {
  const g = await start(t, { config: `${keys} limits.request_timeout = "500ms"` });
  const c = await open(t, g);
  assert.deepEqual(await c.closed, [4401, 'no key was sent in time']);
});

test('while open, auth may come first all the same', async (t) => {
  const g = await start(t);
  const c = await open(t, g);
  assert.deepEqual(await c.ask({ type: 'auth', token: 'whatever' }, 'authenticated'), { type: 'authenticated' });
  assert.equal((await c.publish('t', 'x')).type, 'published');
});

test('roles: each publish and each subscribe is checked', async (t) => {
  const g = await start(t, { config: keys });
  const reader = await open(t, g, {}, '?token=reader-key-123'), writer = await open(t, g, {}, '?token=writer-key-123');
  await reader.subscribe('s', 'news');
  assert.equal((await reader.subscribe('x', 'other')).code, 'permission_denied');
  const denied = await reader.publish('news', 'x', { id: 5 });
  assert.deepEqual([denied.code, denied.id], ['permission_denied', 5]);
  assert.equal((await writer.subscribe('s', 'news')).code, 'permission_denied');
  assert.equal((await writer.publish('news', 'x')).type, 'published');
  await until(() => reader.texts('s').length === 1);
  assert.equal(await g.metric('hookmoon_publishes_total{outcome="refused"}'), 1);
});

test('a token that expires or is revoked ends its socket; a deleted cache its subscriptions alone', async (t) => {
  const g = await start(t, { config: keys });
  const admin = (method, path, body) => fetch(`${g.url}/admin${path}`, {
    method, headers: { authorization: 'root-key-123', 'content-type': 'application/json' }, body: body && JSON.stringify(body),
  });
  assert.equal((await admin('POST', '/caches', { name: 'room' })).status, 201);
  const make = async (more) => (await admin('POST', '/keys', { role: 'publishsubscribe', ...more })).json();
  const short = await make({ valid_for: 2 }), long = await make({});
  assert.ok(short.token, JSON.stringify(short));
  const expiring = await open(t, g, { headers: { authorization: short.token } });
  const revoked = await open(t, g);
  await revoked.ask({ type: 'auth', token: long.token }, 'authenticated');
  const root = await open(t, g, {}, '?token=root-key-123');
  for (const c of [expiring, revoked, root]) await c.subscribe('s', 't');
  assert.equal((await admin('DELETE', `/keys/${long.serial}`)).status, 204);
  assert.deepEqual(await revoked.closed, [4401, 'the key was revoked']);
  assert.deepEqual(await expiring.closed, [4401, 'the key has expired']);
  await until(async () => await g.metric('hookmoon_http_subscribers{kind="socket"}') === 1);
  await root.subscribe('r1', 'x', { cache: 'room' });
  await root.subscribe('r2', 'y', { cache: 'room' });
  assert.equal((await admin('DELETE', '/caches/room')).status, 204);
  await until(() => root.messages.filter((m) => m.type === 'ended').length === 2);
  assert.deepEqual(root.of('r1').at(-1), { type: 'ended', id: 'r1', code: 'not_found', message: 'the cache was deleted' });
  await root.publish('t', 'still there');
  await until(() => root.texts('s').length === 1);
  // Its id is free again.
  assert.equal((await root.subscribe('r1', 't')).type, 'subscribed');
});

test('browsers: while open, only pages of this machine', async (t) => {
  const g = await start(t);
  const from = (origin, host = '127.0.0.1') => raw(t, g, { headers: { Origin: origin, Host: host } }).answered;
  for (const origin of ['http://localhost:3000', 'http://127.0.0.1', 'http://[::1]:8080']) assert.equal(await from(origin), 101);
  for (const origin of ['https://evil.example', 'http://localhost.evil.example', 'null']) assert.equal(await from(origin), 403, origin);
  assert.equal(await from('http://localhost', 'evil.example'), 403);
  const closed = await start(t, { config: keys });
  assert.equal(await raw(t, closed, { headers: { Origin: 'https://app.example' }, path: '/socket?token=root-key-123' }).answered, 101);
});

test('a slow reader holds up nobody, gets a discontinuity, and not more than it can hold is kept', async (t) => {
  const g = await start(t, { config: `${inMemory} limits.retained_items = 64` });
  const slow = await open(t, g), quick = await open(t, g);
  await slow.subscribe('s', 't');
  await slow.subscribe('quiet', 'u');
  await quick.subscribe('s', 't');
  slow.socket._socket.pause();
  const text = 'x'.repeat(100_000), memory = async () => Number((await (await import('node:fs/promises')).readFile(`/proc/${g.pid}/statm`, 'utf8')).split(' ')[1]) * 4096;
  for (let i = 0; i < 300; i++) {
    assert.equal((await g.publish('t', text)).status, 204);
    if (i % 30 === 29) await until(() => quick.items('s').at(-1)?.topic_sequence_number === i + 1);
  }
  if (process.env.HOOKMOON?.includes('release')) assert.ok(await memory() < 100_000_000);
  await g.publish('u', 'I have my turn, too');
  slow.socket._socket.resume();
  await until(() => slow.items('s').at(-1)?.topic_sequence_number === 300, 'the slow one to catch up');
  await until(() => slow.texts('quiet').length === 1);
  const gap = slow.of('s').findIndex((m) => m.type === 'discontinuity');
  const { last_topic_sequence: last, new_topic_sequence: next } = slow.of('s')[gap].discontinuity;
  assert.equal(slow.of('s')[gap - 1].item.topic_sequence_number, last);
  assert.equal(slow.of('s')[gap + 1].item.topic_sequence_number, next);
  const numbers = slow.items('s').map((i) => i.topic_sequence_number);
  assert.deepEqual(numbers, [...new Set(numbers)].sort((a, b) => a - b));
  assert.deepEqual(quick.items('s').map((i) => i.topic_sequence_number), Array.from({ length: 300 }, (_, i) => i + 1));
});

test('subscriptions of a socket take turns', async (t) => {
  const g = await start(t);
  const c = await open(t, g);
  for (const topic of ['a', 'b', 'c'])
    for (let i = 0; i < 500; i++) c.send({ type: 'publish', cache: 'chat', topic, text: 'x'.repeat(1000) });
  await until(() => c.messages.length === 1500);
  const reader = await open(t, g);
  const tcp = reader.socket._socket;
  tcp.cork(); // so that they arrive together
  for (const id of ['a', 'b', 'c']) reader.send({ type: 'subscribe', id, cache: 'chat', topic: id, sequence_number: 1 });
  tcp.uncork();
  await until(() => reader.messages.length === 1503);
  const items = reader.messages.filter((m) => m.type === 'item').map((m) => m.id);
  // When one is through, the others are nearly.
  assert.ok(items.indexOf('c') < 100, `c came ${items.indexOf('c')}th`);
  assert.ok(items.lastIndexOf('a') > 1300, `a was through with the ${items.lastIndexOf('a')}th`);
});

test('who does not read its answers is not read from', async (t) => {
  const g = await start(t);
  const r = raw(t, g);
  await r.answered;
  r.socket.pause();
  const many = Buffer.concat(Array.from({ length: 1000 }, () => frame(TEXT, ping('x'.repeat(100)))));
  let written = 0;
  while (r.socket.writableLength < 4_000_000 && written < 100_000_000) {
    r.socket.write(many);
    written += many.length;
    await sleep(2);
  }
  assert.ok(written < 100_000_000, 'it stopped reading');
  r.socket.resume();
  await until(() => r.socket.writableLength === 0);
});

test('stopping closes with 1001, and does not wait for the dead', async (t) => {
  const g = await start(t);
  const c = await open(t, g), dead = raw(t, g);
  await dead.answered;
  dead.socket.write(frame(TEXT, JSON.stringify({ type: 'subscribe', id: 1, cache: 'chat', topic: 't' })));
  await dead.frame();
  dead.socket.pause();
  await c.subscribe('s', 't');
  const since = Date.now();
  const stopped = g.stop();
  assert.deepEqual(await c.closed, [1001, 'the gateway is stopping']);
  assert.equal(await stopped, 0);
  assert.ok(Date.now() - since < 4500, 'the dead one was not waited for');
});

test('while the gateway finishes its own webhooks, publishes are refused and subscriptions go on', async (t) => {
  const g = await start(t, {
    config: `webhooks = { { cache = "chat", name = "loop", topic = "in", url = "/hooks/slow", secret = "${secret}" } }`,
    scripts: { 'slow.lua': 'function on_event(e) for i = 1, 20000 do end publish("out", e.text) end' },
  });
  const c = await open(t, g);
  await c.subscribe('s', 'out');
  for (let i = 0; i < 3000; i++) c.send({ type: 'publish', id: i, cache: 'chat', topic: 'in', text: `${i}` });
  await until(() => c.of(2999).length === 1);
  const seen = c.items('s').length, stopped = g.stop();
  let answer;
  do answer = await c.publish('in', 'late'); while (answer.type === 'published');
  assert.equal(answer.code, 'unavailable');
  assert.deepEqual(await c.closed, [1001, 'the gateway is stopping']);
  assert.ok(c.items('s').length > seen);
  assert.equal(await stopped, 0);
});

test('a gateway that is killed off leaves no socket behind', async (t) => {
  const g = await start(t, { config: 'limits.stop_grace = "100ms"' });
  const sockets = await Promise.all(Array.from({ length: 20 }, async () => { const r = raw(t, g); await r.answered; return r; }));
  for (const [i, r] of sockets.entries()) r.socket.write(frame(TEXT, JSON.stringify({ type: 'subscribe', id: i, cache: 'chat', topic: 't' })));
  await Promise.all(sockets.map((r) => r.frame()));
  assert.equal(await g.stop(), 0);
  await Promise.all(sockets.map((r) => r.closed));
});

test('Chromium: thirty subscriptions on one socket, past its six connections', async (t) => {
  const g = await start(t, { config: keys });
  const server = createServer((_, response) => response.setHeader('content-type', 'text/html').end('<!doctype html>')).listen(0, '127.0.0.1');
  await new Promise((done) => server.on('listening', done));
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
  t.after(async () => { await browser.close(); server.closeAllConnections?.(); server.close(); });
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  const texts = await page.evaluate((url) => new Promise((done, fail) => {
    const socket = new WebSocket(url), got = [], say = (m) => socket.send(JSON.stringify(m));
    socket.onerror = socket.onclose = (e) => fail(new Error(`closed ${e.code} ${e.reason}`));
    socket.onopen = () => {
      say({ type: 'auth', token: 'root-key-123' });
      for (let i = 0; i < 30; i++) say({ type: 'subscribe', id: i, cache: 'chat', topic: `t${i}` });
      for (let i = 0; i < 30; i++) say({ type: 'publish', cache: 'chat', topic: `t${i}`, text: `grüße ${i}` });
    };
    socket.onmessage = ({ data }) => {
      const m = JSON.parse(data);
      if (m.type === 'item') got[m.id] = m.item.value.text;
      if (Object.keys(got).length === 30) done(got);
    };
  }), address(g));
  assert.deepEqual(texts, Array.from({ length: 30 }, (_, i) => `grüße ${i}`));
  const why = await page.evaluate((url) => new Promise((done) => {
    const socket = new WebSocket(url);
    socket.onopen = () => socket.send('{"type":"auth","token":"wrong"}');
    socket.onclose = (e) => done([e.code, e.reason]);
  }), address(g));
  assert.deepEqual(why, [4401, 'the key is not known here']);
});
