// How webhooks are delivered: pace, patience, and giving up.
import assert from 'node:assert/strict';
import test from 'node:test';

import { sleep, start, until } from './gateway.mjs';
import { again, crash, receiver, webhook } from './receiver.mjs';

const status = async (g, name = 'w') => (await fetch(`${g.url}/admin/caches/chat/webhooks/${name}`)).json();
const call = (g, method, path, body = {}) => fetch(`${g.url}/admin/caches/chat/webhooks/${path}`, {
  method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
const texts = (r) => [...new Set(r.got.map((x) => x.text))].sort();

async function publish(g, ...values) {
  for (const text of values) assert.equal((await g.publish('t', text)).status, 204);
}

const letters = (from, to) => Array.from({ length: to - from }, (_, i) => String(from + i).padStart(3, '0'));

test('no more requests at once than the concurrency', async (t) => {
  const r = await receiver(t, async () => { await sleep(20); return 200; });
  const g = await start(t, { config: webhook(r.url, 'concurrency = 3') });
  await Promise.all(letters(0, 30).map((text) => g.publish('t', text)));
  await until(() => texts(r).length === 30);
  assert.equal(r.most, 3);
});

test('no more requests a second than the rate', async (t) => {
  const r = await receiver(t, () => 200);
  const g = await start(t, { config: webhook(r.url, 'rate = 20') });
  await publish(g, ...letters(0, 30));
  await until(() => texts(r).length === 30);
  const wide = r.got.at(-1).at - r.got[0].at;
  assert.ok(wide >= 400, `30 requests within ${wide} ms`); // 20 may come at once, 10 take half a second
});

test('Retry-After is honoured, in seconds and as a date', async (t) => {
  for (const value of ['1', () => new Date(Date.now() + 2000).toUTCString()]) {
    const r = await receiver(t, (e, got) => got.length > 1 ? 200 : [503, { 'retry-after': typeof value === 'string' ? value : value() }]);
    const g = await start(t, { config: webhook(r.url) });
    await publish(g, 'a');
    await until(() => r.got.length === 2);
    const waited = r.got[1].at - r.got[0].at;
    assert.ok(waited >= 900, `it waited ${waited} ms`);
  }
});

test('a breaker spares a destination that fails, and probes it', async (t) => {
  let good = false;
  const r = await receiver(t, () => good ? 200 : 500);
  const g = await start(t, { config: webhook(r.url, 'concurrency = 4') });
  await publish(g, ...letters(0, 200));
  await until(async () => (await status(g)).status === 'paused');
  assert.match((await status(g)).last_error, /500/);
  assert.ok(r.got.length < 100, `${r.got.length} requests before it paused`);
  good = true;
  await until(() => texts(r).length === 200);
  await until(async () => { const s = await status(g); return s.status === 'ok' && s.pending === 0; });
});

test('a webhook that fails too long is disabled, keeps its items, and goes on when enabled', async (t) => {
  let good = false;
  const r = await receiver(t, () => good ? 200 : 500);
  const config = webhook(r.url, 'disable_after = "1s"');
  const g = await start(t, { config });
  await publish(g, 'a', 'b');
  await until(async () => (await status(g)).status === 'disabled');
  assert.equal(await g.metric('hookmoon_webhook_disabled{webhook="chat/w"}'), 1);
  assert.match((await g.log({ message: 'webhook disabled: its destination failed for too long; enable it when that is mended' })).why, /status 500/);
  await publish(g, 'c');
  const count = r.got.length;
  await sleep(500);
  assert.equal(r.got.length, count);
  const second = await crash(t, g, { config }); // disabled is kept
  await until(async () => (await status(second)).status === 'disabled'); // its worker says so
  good = true;
  assert.equal((await call(second, 'POST', 'w/enable')).status, 204);
  await until(() => texts(r).join() === 'a,b,c' && r.got.slice(count).length >= 3);
  await until(async () => (await status(second)).status === 'ok');
});

test('in a memory cache, too, what fails is tried again', async (t) => {
  const r = await receiver(t, (e, got) => got.filter((x) => x.text === e.text).length > 2 ? 200 : 500);
  const g = await start(t, { config: `caches = { { name = "chat", durability = "memory" } } ${webhook(r.url)}` });
  await publish(g, 'a', 'b', 'c');
  await until(() => r.got.length === 9);
  for (const text of ['a', 'b', 'c']) assert.equal(new Set(r.got.filter((x) => x.text === text).map((x) => x.id)).size, 1);
});

test('delivered once means no second attempt, and none after a restart', async (t) => {
  const r = await receiver(t, (e) => e.text === 'a' ? 500 : 200);
  const config = webhook(r.url, 'delivery = "once"');
  const g = await start(t, { config });
  await publish(g, 'a', 'b');
  await until(() => r.got.length === 2);
  await g.stop();
  const second = await again(t, g, { config });
  await publish(second, 'c');
  await until(() => r.got.some((x) => x.text === 'c'));
  assert.deepEqual(r.got.map((x) => x.text).sort(), ['a', 'b', 'c']);
});

test('a webhook whose topic changes first delivers what it still has, over a restart too', async (t) => {
  let good = false;
  const r = await receiver(t, () => good ? 200 : 500);
  const config = 'webhook_networks = { "127.0.0.0/8" }';
  const g = await start(t, { config });
  const put = (g, topic) => call(g, 'PUT', 'api', { topic, url: r.url });
  assert.equal((await put(g, 't')).status, 200);
  await publish(g, 'a', 'b');
  await until(() => texts(r).length === 2);
  assert.equal((await put(g, 'u')).status, 200);
  await publish(g, 'not for it');
  await g.publish('u', 'c');
  const second = await crash(t, g, { config });
  good = true;
  const before = r.got.length;
  await until(() => r.got.slice(before).length >= 3 && texts({ got: r.got.slice(before) }).join() === 'a,b,c');
  await sleep(300);
  assert.ok(!texts(r).includes('not for it'));
});

test('a webhook that is deleted sends nothing more', async (t) => {
  const r = await receiver(t, () => 500);
  const g = await start(t, { config: 'webhook_networks = { "127.0.0.0/8" }' });
  await call(g, 'PUT', 'api', { topic: 't', url: r.url });
  await publish(g, 'a');
  await until(() => r.got.length > 0);
  assert.equal((await call(g, 'DELETE', 'api')).status, 204);
  const count = r.got.length;
  const second = await crash(t, g, { config: 'webhook_networks = { "127.0.0.0/8" }' });
  await publish(second, 'b');
  await sleep(500);
  assert.ok(r.got.length <= count + 1, 'one was under way at most');
});
