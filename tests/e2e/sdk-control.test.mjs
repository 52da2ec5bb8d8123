// Caches and webhooks through the unmodified Node SDK.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { root, event, sign, start, until } from './gateway.mjs';
import { cacheClient, outcome, subscribe, topicClient } from './momento.mjs';

const old = createRequire(import.meta.url)('sdk-1111'); // the last with WebhookUtils
const uppercase = { 'uppercase.lua': readFileSync(`${root}/scripts/uppercase.lua`, 'utf8') };

/** An HTTP server that remembers what it was sent. */
async function receiver(t, answer = () => 204) {
  const requests = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (d) => { body += d; }).on('end', async () => {
      requests.push({ body, headers: request.headers });
      response.writeHead(await answer(body, request.headers)).end();
    });
  }).listen(0, '127.0.0.1');
  await new Promise((done) => server.on('listening', done));
  t.after(() => { server.closeAllConnections?.(); server.close(); });
  return { requests, url: `http://127.0.0.1:${server.address().port}/hook` };
}

test('caches', async (t) => {
  const g = await start(t, { config: 'caches = {}' });
  const cache = await cacheClient(t, g);
  assert.equal(outcome(await cache.createCache('b')), 'Success');
  assert.equal(outcome(await cache.createCache('a')), 'Success');
  assert.equal((await cache.createCache('a')).toString(), 'AlreadyExists');
  assert.deepEqual((await cache.listCaches()).getCaches().map((c) => c.getName()), ['a', 'b']);
  assert.equal(outcome(await cache.flushCache('a')), 'Success');
  assert.equal(outcome(await cache.flushCache('nope')), 'NOT_FOUND_ERROR');
  await cache.ping();
  assert.equal(outcome(await cache.deleteCache('a')), 'Success');
  assert.equal(outcome(await cache.deleteCache('a')), 'NOT_FOUND_ERROR');
  assert.deepEqual((await cache.listCaches()).getCaches().map((c) => c.getName()), ['b']);
});

test('webhooks: put, list, secret, rotate, change, delete', async (t) => {
  const g = await start(t, { config: 'limits = { webhooks = 2 }' });
  const topics = topicClient(g);
  const { requests, url } = await receiver(t);
  const put = await topics.putWebhook('chat', 'w', { topicName: 'orders', destination: url });
  assert.equal(outcome(put), 'Success');
  const webhooks = (await topics.listWebhooks('chat')).getWebhooks();
  assert.deepEqual(webhooks.map((w) => [w.id.cacheName, w.id.webhookName, w.topicName, w.destination.url()]), [['chat', 'w', 'orders', url]]);
  const secret = await topics.getWebhookSecret('chat', 'w');
  assert.deepEqual([secret.secret(), secret.webhookName(), secret.cacheName()], [put.secretString(), 'w', 'chat']);

  await topics.publish('chat', 'orders', 'one');
  await until(() => requests.length === 1);
  assert.equal(requests[0].headers['momento-signature'], sign(requests[0].body, put.secretString()));
  assert.match(requests[0].body, /^\{"cache":"chat","topic":"orders","event_timestamp":\d+,"publish_timestamp":\d+,"topic_sequence_number":1,"token_id":"","text":"one"\}$/);

  const rotated = (await topics.rotateWebhookSecret('chat', 'w')).secret();
  assert.notEqual(rotated, put.secretString());
  await topics.publish('chat', 'orders', 'two');
  await until(() => requests.length === 2);
  assert.equal(requests[1].headers['momento-signature'], sign(requests[1].body, rotated));

  const moved = await topics.putWebhook('chat', 'w', { topicName: 'others', destination: url });
  assert.equal(moved.secretString(), rotated, 'a change keeps the secret');
  await topics.publish('chat', 'others', 'three');
  await until(() => requests.length === 3);
  assert.equal(JSON.parse(requests[2].body).topic, 'others');

  assert.equal(outcome(await topics.putWebhook('chat', 'w2', { topicName: 't', destination: url })), 'Success');
  assert.equal(outcome(await topics.putWebhook('chat', 'w3', { topicName: 't', destination: url })), 'LIMIT_EXCEEDED_ERROR');
  assert.equal(outcome(await topics.putWebhook('chat', 'w2', { topicName: 't', destination: 'ftp://nowhere' })), 'INVALID_ARGUMENT_ERROR');
  assert.equal(outcome(await topics.putWebhook('nope', 'w', { topicName: 't', destination: url })), 'NOT_FOUND_ERROR');
  assert.equal(outcome(await topics.deleteWebhook('chat', 'w')), 'Success');
  for (const call of ['deleteWebhook', 'getWebhookSecret', 'rotateWebhookSecret'])
    assert.equal(outcome(await topics[call]('chat', 'w')), 'NOT_FOUND_ERROR', call);
  assert.equal(outcome(await topics.listWebhooks('nope')), 'NOT_FOUND_ERROR');
});

test('what the configuration names is listed, not changed', async (t) => {
  const g = await start(t, { config: 'webhooks = { { cache = "chat", name = "fixed", topic = "t", url = "http://127.0.0.1:9/", secret = "long-enough" } }' });
  const topics = topicClient(g);
  assert.equal((await topics.listWebhooks('chat')).getWebhooks().length, 1);
  assert.equal((await topics.getWebhookSecret('chat', 'fixed')).secret(), 'long-enough');
  assert.equal(outcome(await topics.deleteWebhook('chat', 'fixed')), 'FAILED_PRECONDITION_ERROR');
  assert.equal(outcome(await topics.rotateWebhookSecret('chat', 'fixed')), 'FAILED_PRECONDITION_ERROR');
  assert.equal(outcome(await (await cacheClient(t, g)).deleteCache('chat')), 'FAILED_PRECONDITION_ERROR');
});

// The document that hookmoon is modelled on, as written: nothing is configured but the script.
async function asWritten(t, g, topics, cache) {
  const items = [];
  assert.equal(outcome(await cache.createCache('demo')), 'Success');
  assert.equal(outcome(await topics.putWebhook('demo', 'uppercase', { topicName: 'topic 1', destination: `${g.url}/hooks/uppercase` })), 'Success');
  const subscription = await topics.subscribe('demo', 'topic 2', { onItem: (item) => items.push(item.value()), onError: (e) => items.push(e) });
  t.after(() => subscription.unsubscribe());
  assert.equal(outcome(await topics.publish('demo', 'topic 1', 'a value')), 'Success');
  await until(() => items.length > 0, 'the item');
  assert.deepEqual(items, ['A VALUE']);
}

test('the modelled document, with the newest SDK', async (t) => {
  const g = await start(t, { scripts: uppercase, config: 'caches = {}' });
  await asWritten(t, g, topicClient(g), await cacheClient(t, g));
});

test('the modelled document, with the last SDK that has WebhookUtils', async (t) => {
  const g = await start(t, { scripts: uppercase, config: 'caches = {}' });
  await asWritten(t, g, topicClient(g, undefined, old), await cacheClient(t, g, undefined, old));
});

test('the other way round: a handler in Node in place of the script', async (t) => {
  const g = await start(t);
  const topics = topicClient(g);
  let signingSecret;
  t.mock.method(console, 'log', () => {}); // WebhookUtils shows what it compares
  const { url } = await receiver(t, async (body, headers) => {
    const valid = old.WebhookUtils.validateWebhookRequest({ body, signature: headers['momento-signature'], signingSecret });
    if (valid !== old.WebhookUtils.RequestValidation.VALID) return 401;
    await topics.publish('chat', 'topic 2', JSON.parse(body).text.toUpperCase());
    return 200;
  });
  signingSecret = (await topics.putWebhook('chat', 'handler', { topicName: 'topic 1', destination: url })).secretString();
  const got = await subscribe(t, topics, 'chat', 'topic 2');
  await topics.publish('chat', 'topic 1', 'a value');
  await until(() => got.values.length > 0);
  assert.deepEqual(got.values, ['A VALUE']);
  assert.equal(await g.metric('hookmoon_webhook_deliveries_total{webhook="chat/handler",outcome="ok"}'), 1);
});

test('a rotated secret: our own hook takes the old one for the grace, and no longer', async (t) => {
  const g = await start(t, { scripts: uppercase, config: 'limits = { rotation_grace = "1500ms" }' });
  const topics = topicClient(g);
  const first = (await topics.putWebhook('chat', 'w', { topicName: 'topic 1', destination: `${g.url}/hooks/uppercase` })).secretString();
  const call = async (secret) => { const body = event(); return (await g.hook('uppercase', body, { signature: sign(body, secret) })).status; };
  assert.equal(await call(first), 200);
  const second = (await topics.rotateWebhookSecret('chat', 'w')).secret();
  assert.equal(await call(second), 200);
  assert.equal(await call(first), 200);
  await until(async () => await call(first) === 401, 'the old secret to end');
  assert.equal(await call(second), 200);
  const got = await subscribe(t, topics, 'chat', 'topic 2');
  await topics.publish('chat', 'topic 1', 'a value');
  await until(() => got.values.includes('A VALUE'));
  await topics.deleteWebhook('chat', 'w');
  assert.equal(await call(second), 401);
});
