// Topics through the unmodified Node SDK.
import test from 'node:test';
import assert from 'node:assert/strict';
import { event, inMemory, sign, sleep, start, until } from './gateway.mjs';
import { cacheClient, outcome, resumed, subscribe, topicClient } from './momento.mjs';

test('text, bytes, nothing, any language: values arrive as they were', async (t) => {
  const g = await start(t);
  const topics = topicClient(g);
  const got = await subscribe(t, topics, 'chat', 'values');
  const values = ['hello', 'Grüße, 世界 🌍', new Uint8Array([0, 255, 128]), 'a\u0000b\n"\\'];
  for (const value of values) assert.equal(outcome(await topics.publish('chat', 'values', value)), 'Success');
  await until(() => got.values.length === values.length);
  assert.deepEqual(got.values.map((v) => (typeof v === 'string' ? v : new Uint8Array(v))), values);
  assert.deepEqual(got.numbers, [1, 2, 3, 4]);
  assert.deepEqual(got.ids, ['', '', '', '']);
  // The SDK shows an empty text as empty bytes; to others it is a text.
  assert.equal(outcome(await topics.publish('chat', 'values', '')), 'Success');
  await until(() => got.values.length === 5);
  assert.equal(got.values[4].length, 0);
  assert.deepEqual((await g.poll('values', 'sequence_number=5'))[0].item.value, { text: '' });
});

test('messages of ten megabytes, both ways', async (t) => {
  const g = await start(t);
  const topics = topicClient(g);
  const got = await subscribe(t, topics, 'chat', 'large');
  const large = 'x'.repeat(10_485_900);
  assert.equal(outcome(await topics.publish('chat', 'large', large)), 'Success');
  await until(() => got.values.length === 1, 'the large message');
  assert.ok(got.values[0] === large);
});

test('one order and one numbering, whatever it was published with and whatever it is read with', async (t) => {
  const g = await start(t, {
    scripts: { 'relay.lua': 'function on_event(event) publish("mixed", event.text) end' },
    config: 'hooks = { relay = { secret = "test-secret" } }',
  });
  const topics = topicClient(g);
  const grpc = await subscribe(t, topics, 'chat', 'mixed');
  const other = await subscribe(t, topicClient(g), 'chat', 'mixed');
  const publish = [
    (v) => topics.publish('chat', 'mixed', v),
    (v) => g.publish('mixed', v),
    (v) => { const body = event({ text: v }); return g.hook('relay', body, { signature: sign(body) }); },
  ];
  await Promise.all(Array.from({ length: 60 }, (_, i) => publish[i % 3](`m${i}`)));
  await until(() => grpc.values.length === 60 && other.values.length === 60);
  const polled = await g.texts('mixed', 60);
  assert.deepEqual(grpc.values, polled);
  assert.deepEqual(other.values, polled);
  assert.deepEqual(grpc.numbers, Array.from({ length: 60 }, (_, i) => i + 1));
  assert.deepEqual([...polled].sort(), Array.from({ length: 60 }, (_, i) => `m${i}`).sort());
});

test('heartbeats come each second, the first at once', async (t) => {
  const g = await start(t);
  const got = await subscribe(t, topicClient(g), 'chat', 't');
  assert.equal(got.heartbeats, 1); // subscribing resolves with it
  await until(() => got.heartbeats >= 4);
  assert.equal(got.items.length, 0);
  assert.equal(got.gaps.length, 0);
});

test('resume by number and page', async (t) => {
  const g = await start(t, { config: `${inMemory} limits = { retained_items = 3 }` });
  for (const v of ['one', 'two', 'three']) await g.publish('t', v);
  const page = (await g.poll('t', 'sequence_number=1'))[0].item.sequence_page;
  assert.deepEqual(await resumed(g, 'chat', 't', 2, 0, 'three'), ['heartbeat', 'two', 'three']);
  assert.deepEqual(await resumed(g, 'chat', 't', 3, page, 'three'), ['heartbeat', 'three']);
  assert.deepEqual(await resumed(g, 'chat', 't', 1, 0, 'three'), ['heartbeat', 'one', 'two', 'three']);
  assert.deepEqual(await resumed(g, 'chat', 't', 300, 5435435, 'three'), ['heartbeat', 'gap 299 1', 'one', 'two', 'three']);
  await g.publish('t', 'four');
  assert.deepEqual(await resumed(g, 'chat', 't', 1, page, 'four'), ['heartbeat', 'gap 0 2', 'two', 'three', 'four']);
  await until(async () => await g.metric('hookmoon_grpc_subscribers') === 0);
  const fresh = resumed(g, 'chat', 't', 0, 0, 'five'); // says nothing: only what comes
  await until(async () => await g.metric('hookmoon_grpc_subscribers') === 1);
  await g.publish('t', 'five');
  assert.deepEqual(await fresh, ['heartbeat', 'five']);
});

test('replay_newest begins with the newest message', async (t) => {
  const g = await start(t, { config: 'replay_newest = true' });
  const topics = topicClient(g);
  const none = await subscribe(t, topics, 'chat', 'empty');
  for (const v of ['old', 'newest']) await topics.publish('chat', 't', v);
  const got = await subscribe(t, topics, 'chat', 't');
  await topics.publish('chat', 't', 'next');
  await until(() => got.values.length === 2);
  assert.deepEqual([got.values, got.gaps, none.values], [['newest', 'next'], [], []]);
});

test('the cut that the SDK makes after five seconds loses and doubles nothing', async (t) => {
  const g = await start(t);
  const topics = topicClient(g), publisher = topicClient(g);
  const steady = await subscribe(t, topics, 'chat', 'steady');
  const silent = await subscribe(t, topics, 'chat', 'silent'); // has nothing before the cut
  const expected = [], late = [];
  const end = Date.now() + 7500;
  while (Date.now() < end) {
    const value = `m${expected.length}`;
    expected.push(value);
    await publisher.publish('chat', 'steady', value);
    if (silent.lost + steady.lost > 0 && late.length < 3) { // in the half second before it comes again
      late.push(value);
      await publisher.publish('chat', 'silent', value);
    }
    await sleep(100);
  }
  await until(() => steady.values.length >= expected.length && silent.values.length >= 3);
  assert.ok(steady.lost + silent.lost >= 1, 'the SDK made its cut');
  assert.deepEqual(steady.values, expected);
  assert.deepEqual(silent.values, late);
  assert.equal(steady.gaps.length + steady.errors.length + silent.gaps.length + silent.errors.length, 0);
});

test('two thousand subscriptions at once', async (t) => {
  const g = await start(t);
  const clients = Array.from({ length: 5 }, () => topicClient(g)); // 100 a channel is the SDK's own limit
  const all = await Promise.all(Array.from({ length: 2000 }, (_, i) => subscribe(t, clients[i % 5], 'chat', `t${i % 10}`)));
  assert.ok(all.every((s) => outcome(s.response) === 'Subscription'));
  assert.equal(await g.metric('hookmoon_grpc_subscribers'), 2000);
  for (let i = 0; i < 10; i++) await clients[0].publish('chat', `t${i}`, `m${i}`);
  await until(() => all.every((s) => s.values.length === 1), 'all items');
  assert.ok(all.every((s, i) => s.values[0] === `m${i % 10}`));
  for (const s of all) s.unsubscribe();
  await until(async () => await g.metric('hookmoon_grpc_subscribers') === 0, 'all to be gone');
});

test('unsubscribing ends it on both sides', async (t) => {
  const g = await start(t);
  const topics = topicClient(g);
  const got = await subscribe(t, topics, 'chat', 't');
  got.unsubscribe();
  await until(async () => await g.metric('hookmoon_grpc_subscribers') === 0);
  await topics.publish('chat', 't', 'unheard');
  await sleep(200);
  assert.deepEqual([got.values, got.errors], [[], []]);
});

test('a cache that is deleted ends its subscriptions, once and for good', async (t) => {
  const g = await start(t);
  const cache = await cacheClient(t, g);
  await cache.createCache('room');
  const got = await subscribe(t, topicClient(g), 'room', 't');
  await cache.deleteCache('room');
  await until(() => got.errors.length > 0);
  await sleep(1000);
  assert.deepEqual(got.errors.map((e) => e.errorCode()), ['NOT_FOUND_ERROR']);
  assert.equal(got.response.isSubscribed, false);
});

test('subscribers go on when the gateway was restarted under them', async (t) => {
  const first = await start(t);
  const listen = new URL(first.url).host, config = `data = "${first.path}/data"`;
  const topics = topicClient(first);
  const got = await subscribe(t, topics, 'chat', 't'), idle = await subscribe(t, topics, 'chat', 'idle');
  await topics.publish('chat', 't', 'before');
  await until(() => got.values.length === 1);
  assert.equal(await first.stop(), 0);
  const second = await start(t, { listen, config });
  await until(async () => await second.metric('hookmoon_grpc_subscribers') === 2, 'both to be back');
  await topics.publish('chat', 't', 'after');
  await topics.publish('chat', 'idle', 'too');
  await until(() => got.values.length === 2 && idle.values.length === 1);
  assert.deepEqual(got.values, ['before', 'after']);
  assert.equal(got.gaps.length, 0); // the topic goes on where it was
  assert.deepEqual([got.errors, idle.errors], [[], []]);
});

test('a gateway that is killed comes back to its subscribers, too', async (t) => {
  const g = await start(t);
  const listen = new URL(g.url).host, config = `data = "${g.path}/data"`;
  const topics = topicClient(g);
  const got = await subscribe(t, topics, 'chat', 't');
  await topics.publish('chat', 't', 'before');
  await until(() => got.values.length === 1);
  g.expect = 'SIGKILL';
  await g.stop('SIGKILL');
  const second = await start(t, { listen, config });
  await until(async () => await second.metric('hookmoon_grpc_subscribers') === 1);
  await topics.publish('chat', 't', 'after');
  await until(() => got.values.length === 2);
  assert.deepEqual([got.values, got.errors], [['before', 'after'], []]);
});
