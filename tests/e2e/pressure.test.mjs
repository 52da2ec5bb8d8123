// What cannot keep up is told of to whoever sends: nothing piles up without a bound.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import test from 'node:test';

import { event, inMemory, secret, start, until } from './gateway.mjs';
import { cacheClient, outcome, subscribe, topicClient } from './momento.mjs';
import { receiver, webhook } from './receiver.mjs';

/** A bound on the size of its files: to the gateway a disk that is full. */
const setRoom = (g, bytes) => execFileSync('prlimit', [`--pid=${g.pid}`, `--fsize=${bytes}:unlimited`]);

const refusal = async (response) => [response.status, response.headers.get('retry-after') !== null, (await response.json()).code];

test('a webhook that falls too far behind holds its topic back until it has caught up', async (t) => {
  let good = false;
  const r = await receiver(t, () => good ? 200 : 500);
  const g = await start(t, { config: `${webhook(r.url, 'order = "topic"')} limits.webhook_backlog = 20` });
  let taken = 0, last;
  while ((last = await g.publish('t', `${taken}`)).status === 204 && taken < 100) taken++;
  assert.deepEqual(await refusal(last), [429, true, 'limit_exceeded']);
  assert.ok(taken >= 20 && taken < 60, `${taken} were taken`);
  const client = topicClient(g);
  // What failed for the first time is kept aside, so one more may be taken.
  await until(async () => outcome(await client.publish('chat', 't', 'more')) === 'LIMIT_EXCEEDED_ERROR');
  assert.equal((await g.publish('other', 'x')).status, 204);
  good = true;
  await until(async () => (await g.publish('t', 'after')).status === 204);
  await until(() => r.got.some((x) => x.text === 'after'));
  const had = new Set(r.got.map((x) => x.text));
  for (let i = 0; i < taken; i++) assert.ok(had.has(`${i}`), `${i} was not delivered`);
});

test('events beyond the inbox are refused until scripts have run', async (t) => {
  const g = await start(t, {
    config: `hooks = { slow = { secret = "${secret}", ack = "received", retries = 100 } } limits.inbox = 3`,
    scripts: { 'slow.lua': 'function on_event() error("not now") end' },
  });
  const answers = [];
  for (let i = 0; i < 6; i++) answers.push((await g.hook('slow', event())).status);
  assert.equal(answers[0], 202);
  assert.ok(answers.includes(429), answers.join());
  assert.ok(await g.metric('hookmoon_inbox_events') <= 3);
});

test('a full disk: publishes to it are refused, memory caches are unharmed, and it recovers', async (t) => {
  const g = await start(t, { config: `caches = { "chat", { name = "mem", durability = "memory" } } hooks = { take = { secret = "${secret}", ack = "received" } }`,
    scripts: { 'take.lua': 'function on_event(event) publish("out", event.text) end' } });
  await g.publish('t', '1');
  const client = topicClient(g);
  const got = await subscribe(t, client, 'mem', 'm');
  const before = event();
  setRoom(g, 4096);
  const refused = await g.publish('t', 'x'.repeat(10000));
  assert.deepEqual(await refusal(refused), [503, true, 'storage_unavailable']);
  assert.equal(outcome(await client.publish('chat', 't', 'y')), 'LIMIT_EXCEEDED_ERROR');
  const hook = await g.hook('take', before);
  assert.deepEqual([hook.status, hook.headers.get('retry-after') !== null], [503, true]);
  assert.equal(outcome(await (await cacheClient(t, g)).createCache('later')), 'LIMIT_EXCEEDED_ERROR');
  assert.equal((await g.publish('m', 'still', { cache: 'mem' })).status, 204);
  await until(() => got.values.includes('still'));
  assert.equal((await (await fetch(`${g.url}/ready`)).json()).storage, 'failing');
  assert.equal(await g.metric('hookmoon_store_failing'), 1);
  assert.ok(await g.metric('hookmoon_store_failures_total') > 0);
  setRoom(g, 'unlimited');
  await until(async () => (await g.publish('t', '2')).status === 204);
  assert.equal((await g.hook('take', before)).status, 202); // nothing of it was kept: it is no duplicate
  assert.equal((await (await fetch(`${g.url}/ready`)).json()).storage, 'ok');
  assert.equal(await g.metric('hookmoon_store_failing'), 0);
  const items = await g.poll('t');
  assert.deepEqual(items.map((i) => [i.item.topic_sequence_number, i.item.value.text]), [[1, '1'], [2, '2']]);
  assert.deepEqual(await g.texts('out', 1), ['a value']);
  const lines = g.logs.filter((l) => /the disk takes/.test(l.message)).map((l) => l.level);
  assert.deepEqual(lines, ['error', 'info']);
});

test('a write queue that is full refuses what is too much for it alone', async (t) => {
  const g = await start(t, { config: 'limits.write_queue = "1m" limits.message = "4m"' });
  // One that is larger than the queue is taken all the same.
  assert.equal((await g.publish('t', 'x'.repeat(3 << 20))).status, 204);
  const answers = await Promise.all(Array.from({ length: 16 }, () => g.publish('t', 'y'.repeat(900 << 10))));
  const kept = answers.filter((a) => a.status === 204).length;
  for (const a of answers.filter((a) => a.status !== 204)) assert.deepEqual(await refusal(a), [503, true, 'storage_unavailable']);
  assert.ok(kept > 0);
  assert.equal(await g.metric('hookmoon_items_published_total'), kept + 1);
  await until(async () => await g.metric('hookmoon_store_queued_bytes') === 0);
});

test('in memory, a subscriber that is too slow is told what it missed', async (t) => {
  const g = await start(t, { config: `${inMemory} limits.retained_items = 4` });
  for (let i = 1; i <= 10; i++) await g.publish('t', `${i}`);
  const [gap] = await g.poll('t', 'sequence_number=1');
  assert.equal(gap.discontinuity.new_topic_sequence, 7);
});
