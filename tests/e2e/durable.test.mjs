// Nothing that was acknowledged is lost: topics, deliveries and events, over restarts and failures.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';

import { binary, event, root, secret, sleep, start, until } from './gateway.mjs';
import { again, crash, receiver, webhook } from './receiver.mjs';

const numbers = (items) => items.map((i) => i.item.topic_sequence_number);

test('items, page and numbers are there after a crash; one in memory are not', async (t) => {
  const config = 'caches = { "chat", { name = "mem", durability = "memory" } } limits.retained_items = 4';
  const g = await start(t, { config });
  for (let i = 1; i <= 20; i++) assert.equal((await g.publish('t', `${i}`)).status, 204);
  await g.publish('m', 'x', { cache: 'mem' });
  const before = await g.poll('t', 'sequence_number=3');
  const second = await crash(t, g, { config });
  await second.publish('t', '21');
  const all = [];
  while (all.length < 21) all.push(...await second.poll('t', `sequence_number=${all.length + 1}`));
  assert.deepEqual(numbers(all), Array.from({ length: 21 }, (_, i) => i + 1));
  assert.deepEqual(all[2], before[0]);
  await second.publish('m', 'y', { cache: 'mem' });
  assert.deepEqual(numbers(await second.poll('m', 'sequence_number=1', { cache: 'mem' })), [1]);
  assert.equal((await second.log({ message: 'the gateway was not stopped cleanly: checking its database' })).level, 'info');
});

test('retention drops what is too many, too large or too old', async (t) => {
  const g = await start(t, { config: `caches = { { name = "items", retention = { items = 5 } },
    { name = "bytes", retention = { bytes = 500 } }, { name = "age", retention = { age = "1s" } } } limits.retained_items = 2` });
  for (const cache of ['items', 'bytes', 'age'])
    for (let i = 1; i <= 10; i++) await g.publish('t', 'x'.repeat(100), { cache });
  await until(async () => (await g.poll('t', 'sequence_number=1', { cache: 'items' }))[0].discontinuity?.new_topic_sequence === 6);
  await until(async () => (await g.poll('t', 'sequence_number=1', { cache: 'bytes' }))[0].discontinuity?.new_topic_sequence === 6);
  await sleep(2500); // all of it is too old by now
  await g.publish('t', 'new', { cache: 'age' });
  const [gap, item] = await g.poll('t', 'sequence_number=1', { cache: 'age' });
  assert.deepEqual([gap.discontinuity?.new_topic_sequence, item.item.value.text], [11, 'new']);
});

test('a delivery is tried again until it is taken, under one id, and over a crash', async (t) => {
  let good = false;
  const r = await receiver(t, () => good ? 204 : 500);
  const config = webhook(r.url);
  const g = await start(t, { config });
  for (const text of ['a', 'b', 'c']) await g.publish('t', text);
  await until(() => r.got.length >= 6);
  const second = await crash(t, g, { config });
  good = true;
  const taken = () => new Set(r.got.slice(-3).map((x) => x.text));
  await until(() => taken().size === 3);
  for (const text of ['a', 'b', 'c']) assert.equal(new Set(r.got.filter((x) => x.text === text).map((x) => x.id)).size, 1);
  assert.equal(new Set(r.got.map((x) => x.id)).size, 3);
  assert.match(r.got[0].id, /^msg_[0-9a-f]{32}$/);
  // What was delivered is not sent again after a clean stop.
  await until(async () => await second.metric('hookmoon_webhook_queue{webhook="chat/w"}') === 0);
  await sleep(300);
  await second.stop();
  const count = r.got.length;
  await again(t, second, { config });
  await sleep(500);
  assert.equal(r.got.length, count);
});

test('order by topic: nothing overtakes what fails', async (t) => {
  let failures = 0;
  const r = await receiver(t, (e) => e.text === '3' && failures++ < 3 ? 500 : 200);
  const g = await start(t, { config: webhook(r.url, 'order = "topic"') });
  for (let i = 1; i <= 6; i++) await g.publish('t', `${i}`);
  await until(() => r.got.at(-1)?.text === '6');
  assert.deepEqual(r.got.map((x) => x.text).filter((x, i, all) => x !== all[i - 1]), ['1', '2', '3', '4', '5', '6']);
});

test('what is given up is a dead letter, which can be delivered again', async (t) => {
  let good = false;
  const r = await receiver(t, () => good ? 200 : 500);
  const g = await start(t, { config: `webhooks = { { cache = "chat", name = "w", topic = "t", url = "${r.url}", secret = "${secret}", retry = { first = "20ms", max = "50ms", give_up = "100ms" } } }` });
  await g.publish('t', 'lost?');
  const letters = async () => (await (await fetch(`${g.url}/admin/deadletters?kind=delivery`)).json()).deadletters;
  await until(async () => (await letters()).length === 1);
  const [letter] = await letters();
  assert.equal(letter.webhook, 'w');
  assert.match(letter.error, /status 500/);
  good = true;
  const replayed = await fetch(`${g.url}/admin/deadletters/${letter.id}/replay`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' });
  assert.equal((await replayed.json()).queued, true);
  await until(() => r.got.at(-1).text === 'lost?' && r.got.length > letter.attempts);
  assert.equal(new Set(r.got.map((x) => x.id)).size, 1);
});

test('an API webhook does not reach private networks, unless they are allowed', async (t) => {
  const r = await receiver(t, () => 200);
  const keys = 'open = false keys = { { id = "root", key = "the-root-key-1", role = "admin" } }';
  for (const [more, word] of [['', 'refused'], ['webhook_networks = { "127.0.0.0/8" }', 'ok']]) {
    const g = await start(t, { config: `${keys} ${more}` });
    const headers = { authorization: 'the-root-key-1', 'content-type': 'application/json' };
    await fetch(`${g.url}/admin/caches/chat/webhooks/api`, { method: 'PUT', headers, body: JSON.stringify({ topic: 't', url: r.url }) });
    await g.publish('t', 'x', { headers });
    const seen = (await (await fetch(`${g.url}/metrics`)).text());
    assert.ok(seen);
    await until(async () => await g.metric(`hookmoon_webhook_deliveries_total{webhook="chat/api",outcome="${word}"}`) > 0);
  }
});

test('a hook that acknowledges what it received runs its script afterwards, with retries, over a crash', async (t) => {
  const options = { config: `hooks = { up = { secret = "${secret}", ack = "received", retries = 1 } }`, scripts: {
    'up.lua': 'function on_event(e) if e.text == "fail" then error("as told") end publish("out", e.text) end' } };
  const g = await start(t, options);
  const good = event({ text: 'good' }), bad = event({ text: 'fail' });
  const answer = await g.hook('up', good);
  assert.equal(answer.status, 202);
  assert.deepEqual(await answer.json(), { received: true });
  assert.deepEqual(await g.texts('out', 1), ['good']);
  assert.equal((await g.hook('up', bad)).status, 202);
  assert.deepEqual(await (await g.hook('up', bad)).json(), { duplicate: true });
  const second = await crash(t, g, options);
  const letters = async () => (await (await fetch(`${second.url}/admin/deadletters?hook=up`)).json()).deadletters;
  await until(async () => (await letters()).length === 1);
  const whole = await (await fetch(`${second.url}/admin/deadletters/${(await letters())[0].id}`)).json();
  assert.equal(whole.event, bad);
  assert.equal(whole.attempts, 2);
  assert.match(whole.traceback, /up\.lua:1/);
  assert.equal(whole.headers['momento-signature'], undefined);
  assert.deepEqual(await (await second.hook('up', good)).json(), { duplicate: true }); // across the crash
  assert.deepEqual(await second.texts('out', 1), ['good']);
});

test('a failed event is a dead letter until it succeeds', async (t) => {
  const g = await start(t, { config: `hooks = { up = { secret = "${secret}" } }`, scripts: {
    'up.lua': 'local n = 0 function on_event(e) n = n + 1 if n < 3 then error("not yet") end publish("out", e.text) end' }, args: ['--workers', '1'] });
  const body = event({ text: 'later' });
  const letters = async () => (await (await fetch(`${g.url}/admin/deadletters`)).json()).deadletters;
  for (let attempts = 1; attempts <= 2; attempts++) {
    assert.equal((await g.hook('up', body)).status, 500);
    assert.deepEqual((await letters()).map((l) => l.attempts), [attempts]);
  }
  assert.equal((await g.hook('up', body)).status, 200);
  assert.deepEqual(await letters(), []);
});

test('a delivery of the same webhook-id is a duplicate, whatever is in it', async (t) => {
  const g = await start(t, { config: `hooks = { up = { secret = "${secret}" } }`, scripts: { 'up.lua': 'function on_event(e) publish("out", e.text) end' } });
  const headers = { 'webhook-id': 'msg_1' };
  assert.deepEqual(await (await g.hook('up', event(), { headers })).json(), { published: 1 });
  assert.deepEqual(await (await g.hook('up', event(), { headers })).json(), { duplicate: true });
  assert.deepEqual(await (await g.hook('up', event(), { headers: { 'webhook-id': 'msg_2' } })).json(), { published: 1 });
});

test('a database that is no database is told of', async (t) => {
  const g = await start(t);
  await g.stop();
  const data = join(g.path, 'data');
  for (const name of ['hookmoon.db-wal', 'hookmoon.db-shm']) rmSync(join(data, name), { force: true });
  writeFileSync(join(data, 'hookmoon.db'), 'no database, '.repeat(1000));
  const { status, stderr } = spawnSync(binary, ['serve', '-c', join(g.path, 'hookmoon.lua'), '--listen', '127.0.0.1:0'], { cwd: root, encoding: 'utf8' });
  assert.equal(status, 1);
  assert.match(stderr, /hookmoon\.db: file is not a database .*backup/);
});

test('a database that is damaged takes nothing more; memory caches go on', async (t) => {
  const config = 'caches = { "chat", { name = "mem", durability = "memory" } }';
  const g = await start(t, { config });
  for (let i = 0; i < 100; i++) await g.publish('t', 'x'.repeat(3000));
  await g.stop();
  const second = await again(t, g, { config }); // with all of it in the file itself
  second.expect = 'SIGKILL';
  await second.stop('SIGKILL');
  const file = join(g.path, 'data', 'hookmoon.db');
  const fd = openSync(file, 'r+');
  for (let at = 40 * 4096; at < statSync(file).size; at += 4096) writeSync(fd, Buffer.alloc(100, 0xee), 0, 100, at);
  closeSync(fd);
  const third = await again(t, g, { config });
  const line = await third.log({ message: 'the database is damaged' });
  assert.match(line.error, /hookmoon\.db is damaged \(.*\): stop the gateway and put a backup in its place/);
  assert.equal((await (await fetch(`${third.url}/ready`)).json()).storage, 'damaged');
  const refused = await third.publish('t', 'y');
  assert.equal(refused.status, 503);
  assert.ok(refused.headers.get('retry-after'));
  assert.equal((await third.publish('t', 'y', { cache: 'mem' })).status, 204);
  assert.equal(await third.metric('hookmoon_store_failing'), 1);
});
