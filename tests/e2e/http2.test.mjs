// HTTP/2 and gRPC as attackers and broken clients speak it: each is answered as the RFC says, costs
// little, and harms nobody else.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http2 from 'node:http2';
import { connect } from 'node:net';
import { inMemory, sleep, start, until } from './gateway.mjs';
import { Raw, block, error, flag, frame, grpcHeaders, preface, prefixed, publication, publishPath, subscribePath, subscription, type, u32 } from './http2-frames.mjs';


/** A well-behaved client: {headers, trailers, messages, code of a reset}. */
function call(t, g, path, body, { headers = {}, client, end = true } = {}) {
  const session = client ?? http2.connect(g.url);
  session.on('error', () => {});
  if (!client) t.after(() => session.destroy());
  return new Promise((done) => {
    const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers', ...headers });
    const chunks = [], result = { trailers: {} };
    stream.on('response', (h, flags) => { result.headers = h; result.trailersOnly = (flags & flag.END_STREAM) !== 0; });
    stream.on('trailers', (h) => { result.trailers = h; });
    stream.on('data', (d) => chunks.push(d));
    stream.on('error', () => {});
    stream.on('close', () => {
      result.data = Buffer.concat(chunks);
      result.status = Number(result.trailers['grpc-status'] ?? result.headers?.['grpc-status'] ?? -1);
      result.message = result.trailers['grpc-message'] ?? result.headers?.['grpc-message'];
      done(result);
    });
    if (body !== undefined) stream.write(body);
    if (end) stream.end();
  });
}

const served = async (t, g) => assert.equal((await call(t, g, publishPath, prefixed(publication('t', 'x')))).status, 0, 'others are served');
const resident = (g) => Number(readFileSync(`/proc/${g.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) / 1024;

test('one port, told apart by the first bytes, however they come', async (t) => {
  const g = await start(t, { config: 'limits = { idle_timeout = "1s" }' });
  const raw = new Raw(g);
  const hello = Buffer.concat([preface, frame(type.SETTINGS, 0, 0)]);
  for (const byte of hello) { raw.socket.write(Buffer.from([byte])); await sleep(2); }
  assert.ok(await raw.until((f) => f.type === type.SETTINGS));
  raw.socket.destroy();
  const one = await new Promise((done) => { // HTTP/1.1 byte by byte
    const socket = connect(new URL(g.url).port, '127.0.0.1', async () => {
      for (const c of 'GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n') { socket.write(c); await sleep(1); }
    });
    let text = '';
    socket.on('data', (d) => { text += d; }).on('close', () => done(text));
  });
  assert.match(one, /^HTTP\/1\.1 200/);
  for (const beginning of ['', 'P', 'PR', 'PRI * HTTP']) { // and then nothing
    const silent = connect(new URL(g.url).port, '127.0.0.1');
    silent.on('error', () => {}).write(beginning);
    await new Promise((done) => silent.on('close', done).resume());
  }
  const wrong = connect(new URL(g.url).port, '127.0.0.1');
  wrong.on('error', () => {}).write('PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n');
  await new Promise((done) => wrong.on('close', done).resume());
  await served(t, g);
});

test('what breaks the protocol ends the connection with the right code, and nothing else', async (t) => {
  const g = await start(t);
  const headers = (stream, flags = flag.END_HEADERS | flag.END_STREAM, list = grpcHeaders(publishPath)) => frame(type.HEADERS, flags, stream, block(list));
  const cases = {
    'a frame that is too large': [[frame(type.DATA, 0, 1, Buffer.alloc(16385))], [error.FRAME_SIZE_ERROR]],
    'DATA on stream 0': [[frame(type.DATA, 0, 0, Buffer.from('x'))], [error.PROTOCOL_ERROR]],
    'DATA on an idle stream': [[frame(type.DATA, 0, 5, Buffer.from('x'))], [error.PROTOCOL_ERROR]],
    'HEADERS on stream 0': [[headers(0)], [error.PROTOCOL_ERROR]],
    'HEADERS on an even stream': [[headers(2)], [error.PROTOCOL_ERROR]],
    'WINDOW_UPDATE of 0': [[frame(type.WINDOW_UPDATE, 0, 0, u32(0))], [error.PROTOCOL_ERROR]],
    'WINDOW_UPDATE beyond the most': [[frame(type.WINDOW_UPDATE, 0, 0, u32(0x7fffffff)), frame(type.WINDOW_UPDATE, 0, 0, u32(0x7fffffff))], [error.FLOW_CONTROL_ERROR]],
    'SETTINGS of five bytes': [[frame(type.SETTINGS, 0, 0, Buffer.alloc(5))], [error.FRAME_SIZE_ERROR]],
    'SETTINGS on a stream': [[frame(type.SETTINGS, 0, 1)], [error.PROTOCOL_ERROR]],
    'an ACK with a payload': [[frame(type.SETTINGS, flag.ACK, 0, Buffer.alloc(6))], [error.FRAME_SIZE_ERROR]],
    'a window that is too large': [[frame(type.SETTINGS, 0, 0, Buffer.from([0, 4, 0x80, 0, 0, 0]))], [error.FLOW_CONTROL_ERROR]],
    'a frame size that is too small': [[frame(type.SETTINGS, 0, 0, Buffer.from([0, 5, 0, 0, 0, 1]))], [error.PROTOCOL_ERROR]],
    'PING of seven bytes': [[frame(type.PING, 0, 0, Buffer.alloc(7))], [error.FRAME_SIZE_ERROR]],
    'PING on a stream': [[frame(type.PING, 0, 1, Buffer.alloc(8))], [error.PROTOCOL_ERROR]],
    'GOAWAY on a stream': [[frame(type.GOAWAY, 0, 1, Buffer.alloc(8))], [error.PROTOCOL_ERROR]],
    'RST_STREAM of an idle stream': [[frame(type.RST_STREAM, 0, 7, u32(8))], [error.PROTOCOL_ERROR]],
    'RST_STREAM of three bytes': [[headers(1, flag.END_HEADERS), frame(type.RST_STREAM, 0, 1, Buffer.alloc(3))], [error.FRAME_SIZE_ERROR]],
    'PUSH_PROMISE from a client': [[headers(1, flag.END_HEADERS), frame(type.PUSH_PROMISE, flag.END_HEADERS, 1, Buffer.concat([u32(2), block(grpcHeaders(publishPath))]))], [error.PROTOCOL_ERROR]],
    'CONTINUATION without HEADERS': [[frame(type.CONTINUATION, flag.END_HEADERS, 1, Buffer.alloc(0))], [error.PROTOCOL_ERROR]],
    'another frame amid CONTINUATIONs': [[headers(1, 0), frame(type.PING, 0, 0, Buffer.alloc(8))], [error.PROTOCOL_ERROR]],
    'HPACK that is none': [[frame(type.HEADERS, flag.END_HEADERS, 1, Buffer.from([0x80 | 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff]))], [error.COMPRESSION_ERROR]],
    'padding longer than the frame': [[headers(1, flag.END_HEADERS), frame(type.DATA, flag.PADDED, 1, Buffer.from([200, 1, 2]))], [error.PROTOCOL_ERROR]],
  };
  for (const [name, [frames, codes]] of Object.entries(cases)) {
    const raw = await Raw.open(t, g);
    raw.send(...frames);
    const code = await raw.refusal(-1);
    assert.ok(codes.includes(code), `${name}: ${code}`);
    await until(() => raw.closed, `${name}: the end`);
  }
  await served(t, g);
});

test('what breaks one request ends that one alone', async (t) => {
  const g = await start(t);
  const raw = await Raw.open(t, g);
  const lists = [
    [[':method', 'POST'], [':scheme', 'http'], ['content-type', 'application/grpc']], // no path
    [...grpcHeaders(publishPath), ['Upper', 'x']],
    [...grpcHeaders(publishPath), ['connection', 'close']],
    [...grpcHeaders(publishPath), [':late', 'x']],
    [[':path', '/a'], ...grpcHeaders(publishPath)], // twice
  ];
  let stream = 1;
  for (const list of lists) {
    raw.send(frame(type.HEADERS, flag.END_HEADERS | flag.END_STREAM, stream, block(list)));
    assert.equal(await raw.refusal(stream), error.PROTOCOL_ERROR, JSON.stringify(list));
    stream += 2;
  }
  // Frames and flags that nobody knows are passed over, and so is a stream below the last.
  raw.send(frame(type.HEADERS, flag.END_HEADERS | flag.END_STREAM, 1, block(grpcHeaders(publishPath))), frame(0xfa, 0xff, 0, Buffer.from('x')), frame(type.PRIORITY, 0, stream, Buffer.from([0, 0, 0, 0, 16])));
  raw.call(stream, publishPath, publication('t', 'x'));
  assert.ok(await raw.until((f) => f.type === type.DATA && f.stream === stream));
  assert.equal(raw.closed, false);
});

test('every PING is answered, and none is punished', async (t) => {
  const g = await start(t);
  const raw = await Raw.open(t, g);
  for (let i = 0; i < 300; i++) { raw.send(frame(type.PING, 0, 0, Buffer.concat([u32(i), u32(7)]))); if (i % 50 === 0) await sleep(10); }
  await until(() => raw.frames.filter((f) => f.type === type.PING && f.flags === flag.ACK).length === 300);
  raw.call(1, publishPath, publication('t', 'x'));
  assert.ok(await raw.until((f) => f.type === type.DATA && f.stream === 1));
  assert.ok(!raw.frames.some((f) => f.type === type.GOAWAY));
});

test('floods are cut, at a bounded cost: resets, PINGs and SETTINGS whose answers are not read, CONTINUATIONs', async (t) => {
  const g = await start(t);
  const before = resident(g);
  const reset = await Raw.open(t, g); // CVE-2023-44487
  const request = block(grpcHeaders(publishPath));
  for (let stream = 1; stream < 60_000 && !reset.closed; stream += 200) {
    const parts = [];
    for (let s = stream; s < stream + 200; s += 2) parts.push(frame(type.HEADERS, flag.END_HEADERS, s, request), frame(type.RST_STREAM, 0, s, u32(error.CANCEL)));
    reset.send(...parts);
    await sleep(1);
  }
  await until(() => reset.closed, 'the end of rapid resets');

  for (const flood of [frame(type.PING, 0, 0, Buffer.alloc(8)), frame(type.SETTINGS, 0, 0, Buffer.from([0, 4, 0, 1, 0, 0]))]) {
    const raw = await Raw.open(t, g);
    raw.socket.pause();
    const many = Buffer.concat(Array.from({ length: 1000 }, () => flood));
    for (let i = 0; i < 300 && !raw.socket.destroyed && raw.socket.writableLength < 1 << 20; i++) { raw.socket.write(many); await sleep(1); }
    raw.socket.destroy();
  }

  const endless = await Raw.open(t, g);
  endless.send(frame(type.HEADERS, 0, 1, request));
  for (let i = 0; i < 200 && !endless.closed; i++) { endless.send(frame(type.CONTINUATION, 0, 1, block([['x', 'y'.repeat(100)]]))); await sleep(1); }
  await until(() => endless.closed, 'the end of CONTINUATIONs');

  const empty = await Raw.open(t, g);
  empty.send(frame(type.HEADERS, flag.END_HEADERS, 1, request));
  for (let i = 0; i < 20; i++) empty.send(...Array.from({ length: 1000 }, () => frame(type.DATA, 0, 1)));
  empty.send(frame(type.DATA, flag.END_STREAM, 1, prefixed(publication('t', 'x'))));
  assert.ok(await empty.until((f) => f.type === type.DATA && f.stream === 1), 'empty frames are legal');
  assert.ok(resident(g) - before < 200, `${resident(g) - before} MB`);
  await served(t, g);
});

test('ten thousand open streams are a client\'s right, up to the limit', async (t) => {
  const g = await start(t, { config: 'limits = { streams = 9000 }' });
  const before = resident(g);
  const raw = await Raw.open(t, g);
  const request = block(grpcHeaders(publishPath));
  for (let i = 0; i < 10_000; i += 100) {
    raw.send(...Array.from({ length: 100 }, (_, k) => frame(type.HEADERS, flag.END_HEADERS, 2 * (i + k) + 1, request)));
    if (i % 1000 === 0) { await served(t, g); }
  }
  await until(() => raw.frames.filter((f) => f.type === type.RST_STREAM).length === 1000, 'the refusals');
  assert.ok(raw.frames.filter((f) => f.type === type.RST_STREAM).every((f) => f.payload.readUInt32BE() === error.REFUSED_STREAM));
  assert.ok(resident(g) - before < 150, `${resident(g) - before} MB`);
  raw.send(frame(type.DATA, flag.END_STREAM, 1, prefixed(publication('t', 'x'))));
  assert.ok(await raw.until((f) => f.type === type.DATA && f.stream === 1));
});

test('headers beyond the limit are refused, however small they are on the wire', async (t) => {
  const g = await start(t);
  const large = await call(t, g, publishPath, prefixed(publication('t', 'x')), { headers: { x: 'y'.repeat(9000) } });
  assert.deepEqual([large.status, large.trailersOnly], [8, true]);
  const raw = await Raw.open(t, g); // one entry of the table, named again and again
  const bomb = Buffer.concat([block(grpcHeaders(publishPath)), Buffer.from([0x40]), block([['x', 'y'.repeat(4000)]]).subarray(1), Buffer.alloc(10_000, 0x80 | 62)]);
  raw.send(frame(type.HEADERS, flag.END_HEADERS | flag.END_STREAM, 1, bomb));
  const answer = await raw.until((f) => f.stream === 1 || f.type === type.GOAWAY);
  assert.ok(answer === undefined || answer.type !== type.DATA);
  await served(t, g);
});

test('a request that does not arrive is given up', async (t) => {
  const g = await start(t, { config: 'limits = { request_timeout = "400ms" }' });
  const slow = await call(t, g, publishPath, Buffer.from([0, 0, 0]), { end: false });
  assert.deepEqual([slow.status, slow.message], [4, 'the request took too long to arrive']);
  const sooner = await call(t, g, publishPath, Buffer.from([0]), { end: false, headers: { 'grpc-timeout': '100m' } });
  assert.equal(sooner.status, 4);
  await served(t, g);
});

test('who does not read is told what it missed, and holds up nobody', async (t) => {
  const g = await start(t, { config: `${inMemory} limits = { retained_items = 5 }` });
  const raw = await Raw.open(t, g, Buffer.concat([Buffer.from([0, 4]), u32(20)])); // 20 bytes for each stream
  raw.call(1, subscribePath, subscription('t'));
  assert.ok(await raw.until((f) => f.type === type.HEADERS && f.stream === 1));
  assert.ok(await raw.until((f) => f.type === type.DATA && f.stream === 1));
  for (let i = 1; i <= 50; i++) assert.equal((await g.publish('t', `item ${i} `)).status, 204);
  raw.send(frame(type.WINDOW_UPDATE, 0, 1, u32(1 << 20)));
  const got = () => Buffer.concat(raw.frames.filter((f) => f.type === type.DATA).map((f) => f.payload)).toString('latin1');
  await until(() => got().includes('item 50 '));
  assert.ok(!got().includes('item 20 '));
  assert.ok((await g.metric('hookmoon_discontinuities_total')) >= 1);
});

test('flow control both ways: ten megabytes through small windows, several at once, in pieces of any size', async (t) => {
  const g = await start(t, { config: 'limits = { retained = "64m" }' });
  const client = http2.connect(g.url, { settings: { initialWindowSize: 65_535 } });
  client.on('error', () => {});
  t.after(() => client.destroy());
  const large = 'z'.repeat(10_000_000);
  const bytes = Buffer.from(large);
  const varint = (n) => { const out = []; for (; n >= 128; n = Math.floor(n / 128)) out.push(n % 128 | 128); out.push(n); return Buffer.from(out); };
  const text = Buffer.concat([Buffer.from([0x0a]), varint(bytes.length), bytes]);
  const message = Buffer.concat([subscription('big'), Buffer.from([0x1a]), varint(text.length), text]);
  const reader = call(t, g, subscribePath, prefixed(subscription('big')), { client });
  await until(async () => await g.metric('hookmoon_grpc_subscribers') === 1);
  const sent = await Promise.all([1, 2, 3].map(() => call(t, g, publishPath, prefixed(message), { client })));
  assert.deepEqual(sent.map((r) => r.status), [0, 0, 0]);
  const total = await until(async () => { const n = await g.metric('hookmoon_items_published_total'); return n === 3 ? n : 0; });
  assert.equal(total, 3);
  // What the subscriber got is whole.
  let received = 0;
  client.request({ ':path': subscribePath, ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' })
    .on('data', (d) => { received += d.length; }).on('error', () => {})
    .end(prefixed(Buffer.concat([subscription('big'), Buffer.from([0x18, 1])])));
  await until(() => received > 30_000_000, 'three of ten megabytes');
  client.destroy();
  await reader;
  const raw = await Raw.open(t, g); // a message in frames of one byte
  raw.send(frame(type.HEADERS, flag.END_HEADERS, 1, block(grpcHeaders(publishPath))));
  const small = prefixed(publication('t', 'in pieces'));
  for (const [i, byte] of small.entries()) raw.send(frame(type.DATA, i === small.length - 1 ? flag.END_STREAM : 0, 1, Buffer.from([byte])));
  assert.ok(await raw.until((f) => f.type === type.DATA && f.stream === 1));
  assert.deepEqual(await g.texts('t', 1), ['in pieces']);
});

test('a message over the limit is refused while it is still being sent', async (t) => {
  const g = await start(t, { config: 'limits = { message = "100k" }' });
  const client = http2.connect(g.url);
  client.on('error', () => {});
  t.after(() => client.destroy());
  const result = await call(t, g, publishPath, Buffer.concat([Buffer.from([0]), u32(50_000_000), Buffer.alloc(400_000)]), { client, end: false });
  assert.equal(result.status, 8);
  assert.match(result.message, /request limit/);
  assert.equal(result.headers.err, 'request_size_limit_exceeded');
  assert.equal((await call(t, g, publishPath, prefixed(publication('t', 'x')), { client })).status, 0, 'the connection goes on');
});

test('what is no gRPC is answered as HTTP; what is bad gRPC, as gRPC', async (t) => {
  const g = await start(t);
  const as = async (path, body, headers) => { const r = await call(t, g, path, body, { headers }); return r.status === -1 ? r.headers[':status'] : `${r.status}${r.trailersOnly ? ' at once' : ''}`; };
  const good = prefixed(publication('t', 'x'));
  assert.equal(await as(publishPath, undefined, { ':method': 'GET' }), 405);
  assert.equal(await as(publishPath, good, { 'content-type': 'application/json' }), 415);
  assert.equal(await as(publishPath, good, { 'content-type': 'application/grpc+proto' }), '0');
  assert.equal(await as('/a.B/C', good), '12 at once');
  assert.equal(await as(publishPath, good, { 'grpc-encoding': 'gzip' }), '12 at once');
  assert.equal(await as(publishPath, Buffer.concat([Buffer.from([1]), good.subarray(1)])), '12 at once'); // compressed
  for (const body of [Buffer.alloc(0), good.subarray(0, 3), good.subarray(0, 9), Buffer.concat([good, good])]) assert.equal(await as(publishPath, body), '3 at once');
  for (const timeout of ['1H', '1M', '1S', '1000m', '1000000u', '99999999n']) assert.equal(await as(publishPath, good, { 'grpc-timeout': timeout }), '0', timeout);
  for (const timeout of ['', 'x', '1', '123456789S', '-1S']) assert.equal(await as(publishPath, good, { 'grpc-timeout': timeout }), '3 at once', timeout);
  assert.equal(await as(publishPath, good, { 'grpc-timeout': '0S' }), '4 at once');
  const name = (bytes) => prefixed(Buffer.concat([Buffer.from([0x0a, bytes.length]), bytes, Buffer.from([0x12, 1, 0x74, 0x1a, 3, 0x0a, 1, 0x78])]));
  for (const bytes of [Buffer.from('a\0b'), Buffer.from('a\nb'), Buffer.from([0xff]), Buffer.alloc(0)]) assert.equal(await as(publishPath, name(bytes)), '3 at once');
  // Very many members that we do not know: refused, not unpacked.
  assert.equal(await as(publishPath, prefixed(Buffer.concat([publication('t', 'x'), Buffer.from('f8ff01 00'.replaceAll(' ', '').repeat(500_000), 'hex')]))), '3 at once');
  const ok = await call(t, g, publishPath, good);
  assert.deepEqual([ok.headers['content-type'], ok.data.toString('hex'), ok.trailers['grpc-status']], ['application/grpc', '0000000000', '0']);
});

test('told to stop, it says GOAWAY, ends subscriptions with UNAVAILABLE and takes no more', async (t) => {
  const g = await start(t);
  const client = http2.connect(g.url);
  client.on('error', () => {});
  t.after(() => client.destroy());
  let goaway;
  client.on('goaway', (code) => { goaway = code; });
  const subscribed = call(t, g, subscribePath, prefixed(subscription('t')), { client });
  await until(async () => await g.metric('hookmoon_grpc_subscribers') === 1);
  const idle = await Raw.open(t, g);
  assert.equal(await g.stop(), 0);
  const ended = await subscribed;
  assert.deepEqual([ended.status, goaway], [14, 0]);
  assert.equal(await idle.refusal(-1), error.NO_ERROR);
});
