// Keys and tokens through the unmodified Node SDK: what each may, and may not.
import test from 'node:test';
import assert from 'node:assert/strict';
import { AllDataReadWrite, DisposableTokenScopes, ExpiresIn, TokenScopes, TopicRole } from '@gomomento/sdk';
import { createServer } from 'node:http';
import { start, until } from './gateway.mjs';
import { authClient, cacheClient, outcome, rawCall, subscribe, topicClient } from './momento.mjs';

const root = 'root-key-12345';
const config = `open = false caches = { "chat", "other" }
keys = { { id = "root", key = "${root}", role = "admin" },
         { id = "alice", key = "alice-key-1", role = "publishsubscribe", topic_prefix = "room-" } }`;

/** What goes over the wire of what the SDK hands out. */
const bare = (key) => JSON.parse(atob(key)).api_key;

/** What a key may do: 'publish', 'subscribe' or both, on each of the topics. */
async function rights(t, g, key, cache, topic) {
  const topics = topicClient(g, key);
  const can = [];
  const published = outcome(await topics.publish(cache, topic, 'x'));
  const subscribed = await subscribe(t, topics, cache, topic);
  subscribed.unsubscribe();
  for (const [what, result, good] of [['publish', published, 'Success'], ['subscribe', outcome(subscribed.response), 'Subscription']]) {
    if (result === good) can.push(what);
    else assert.equal(result, 'PERMISSION_ERROR', `${what} ${cache} ${topic}`);
  }
  return can.join('+');
}

test('each role may what it says and nothing else', async (t) => {
  const g = await start(t, { config });
  const auth = authClient(g, root);
  const make = async (...permissions) => {
    const response = await auth.generateApiKey({ permissions }, ExpiresIn.minutes(5));
    assert.equal(outcome(response), 'Success', response.toString());
    return bare(response.apiKey);
  };
  const on = (role, cache, topic) => ({ role, cache, topic });
  const both = await make(on(TopicRole.PublishSubscribe, 'chat', 'room'));
  assert.equal(await rights(t, g, both, 'chat', 'room'), 'publish+subscribe');
  assert.equal(await rights(t, g, both, 'chat', 'room2'), '');
  assert.equal(await rights(t, g, both, 'other', 'room'), '');
  const publisher = await make(on(TopicRole.PublishOnly, 'chat', { name: 'room' }));
  assert.equal(await rights(t, g, publisher, 'chat', 'room'), 'publish');
  const subscriber = await make(on(TopicRole.SubscribeOnly, { name: 'chat' }, 'room'));
  assert.equal(await rights(t, g, subscriber, 'chat', 'room'), 'subscribe');
  const several = await make(TokenScopes.topicPublishOnly('chat', 'a').permissions[0], TokenScopes.topicSubscribeOnly('chat', 'b').permissions[0]);
  assert.equal(await rights(t, g, several, 'chat', 'a'), 'publish');
  assert.equal(await rights(t, g, several, 'chat', 'b'), 'subscribe');
  assert.equal(await rights(t, g, 'alice-key-1', 'other', 'room-7'), 'publish+subscribe');
  assert.equal(await rights(t, g, 'alice-key-1', 'other', 'hall'), '');
  const caches = await make({ role: 'readwrite', cache: 'chat' });
  assert.equal(await rights(t, g, caches, 'chat', 'room'), '', 'rights on a cache are none on its topics');
  const all = await auth.generateApiKey(AllDataReadWrite, ExpiresIn.never());
  assert.equal(await rights(t, g, bare(all.apiKey), 'other', 'any'), 'publish+subscribe');
  assert.equal(all.expiresAt.doesExpire(), false);

  // None of them administers.
  for (const key of [bare(all.apiKey), both, 'alice-key-1']) {
    const cache = await cacheClient(t, g, key), topics = topicClient(g, key);
    for (const result of [cache.createCache('x'), cache.deleteCache('other'), cache.listCaches(), cache.flushCache('chat'),
      topics.putWebhook('chat', 'w', { topicName: 't', destination: 'http://a/' }), topics.listWebhooks('chat'),
      topics.getWebhookSecret('chat', 'w'), topics.rotateWebhookSecret('chat', 'w'), topics.deleteWebhook('chat', 'w'),
      authClient(g, key).generateApiKey(AllDataReadWrite, ExpiresIn.never()),
      authClient(g, key).generateDisposableToken(DisposableTokenScopes.topicPublishOnly('chat', 't'), ExpiresIn.minutes(1))])
      assert.equal(outcome(await result), 'PERMISSION_ERROR');
  }
});

test('who is not known gets nowhere', async (t) => {
  const g = await start(t, { config });
  for (const key of ['wrong', 'hm1.AAAA.AAAA', root.slice(1), undefined]) {
    const topics = topicClient(g, key), cache = await cacheClient(t, g, key);
    assert.equal(outcome(await topics.publish('chat', 't', 'x')), 'AUTHENTICATION_ERROR');
    assert.equal(outcome((await subscribe(t, topics, 'chat', 't')).response), 'AUTHENTICATION_ERROR');
    assert.equal(outcome(await cache.createCache('x')), 'AUTHENTICATION_ERROR');
    assert.equal(outcome(await authClient(g, key).generateApiKey(AllDataReadWrite, ExpiresIn.never())), 'AUTHENTICATION_ERROR');
  }
  assert.equal(await g.metric('hookmoon_items_published_total'), 0);
});

test('a token id goes with what is published: to subscribers and to webhooks', async (t) => {
  const g = await start(t, { config: `${config}\nwebhook_networks = { "127.0.0.1" }` });
  const bodies = [];
  const server = createServer((q, r) => { let b = ''; q.on('data', (d) => { b += d; }).on('end', () => { bodies.push(JSON.parse(b)); r.end(); }); }).listen(0, '127.0.0.1');
  await new Promise((done) => server.on('listening', done));
  t.after(() => { server.closeAllConnections?.(); server.close(); });
  await topicClient(g, root).putWebhook('chat', 'w', { topicName: 't', destination: `http://127.0.0.1:${server.address().port}/` });
  const token = await authClient(g, root).generateDisposableToken(
    DisposableTokenScopes.topicPublishSubscribe('chat', 't'), ExpiresIn.minutes(30), { tokenId: 'mo-the-squirrel' });
  assert.equal(outcome(token), 'Success');
  assert.equal(token.endpoint, new URL(g.url).host);
  const topics = topicClient(g, bare(token.authToken));
  const got = await subscribe(t, topics, 'chat', 't');
  await topics.publish('chat', 't', 'hi');
  await topicClient(g, root).publish('chat', 't', 'from root');
  await until(() => got.ids.length === 2 && bodies.length === 2);
  assert.deepEqual(got.ids, ['mo-the-squirrel', 'root']);
  assert.deepEqual(bodies.map((b) => b.token_id).sort(), ['mo-the-squirrel', 'root']);
  // The wrapped form is taken as it is, too, as some clients send it.
  assert.equal((await g.publish('t', 'x', { headers: { authorization: token.authToken } })).status, 204);
});

test('a token that expires ends its subscription and publishes no more', async (t) => {
  const g = await start(t, { config });
  const token = await authClient(g, root).generateDisposableToken(DisposableTokenScopes.topicPublishSubscribe('chat', 't'), ExpiresIn.seconds(3));
  assert.ok(token.expiresAt.epoch() - Date.now() / 1000 <= 3);
  const topics = topicClient(g, bare(token.authToken));
  const got = await subscribe(t, topics, 'chat', 't');
  assert.equal(outcome(await topics.publish('chat', 't', 'in time')), 'Success');
  await until(() => got.errors.length > 0, 'the end');
  assert.deepEqual([got.values, got.errors.map((e) => e.errorCode())], [['in time'], ['AUTHENTICATION_ERROR']]);
  assert.equal(outcome(await topics.publish('chat', 't', 'late')), 'AUTHENTICATION_ERROR');
});

test('a key is refreshed with its refresh token, and with no other', async (t) => {
  const g = await start(t, { config });
  const auth = authClient(g, root);
  const make = () => auth.generateApiKey({ permissions: [{ role: 'publishonly', cache: 'chat', topic: 't' }] }, ExpiresIn.seconds(60));
  const [a, b] = [await make(), await make()];
  const holder = (key) => authClient(g, bare(key));
  const fresh = await holder(a.apiKey).refreshApiKey(a.refreshToken);
  assert.equal(outcome(fresh), 'Success');
  assert.notEqual(fresh.apiKey, a.apiKey);
  const left = fresh.expiresAt.epoch() - Date.now() / 1000;
  assert.ok(left > 55 && left <= 61, `${left} seconds`);
  for (const { apiKey } of [a, fresh]) assert.equal(outcome(await topicClient(g, bare(apiKey)).publish('chat', 't', 'x')), 'Success');
  assert.equal(outcome(await holder(a.apiKey).refreshApiKey(b.refreshToken)), 'AUTHENTICATION_ERROR');
  const short = await auth.generateApiKey({ permissions: [{ role: 'publishonly', cache: 'chat', topic: 't' }] }, ExpiresIn.seconds(1));
  await until(async () => outcome(await holder(short.apiKey).refreshApiKey(short.refreshToken)) === 'AUTHENTICATION_ERROR', 'the key to expire');
});

test('a revoked key is refused at once, and its subscription ends', async (t) => {
  const g = await start(t, { config });
  const made = await authClient(g, root).generateApiKey({ permissions: [{ role: 'publishsubscribe', cache: 'chat', topic: 't' }] }, ExpiresIn.never());
  const key = bare(made.apiKey);
  const topics = topicClient(g, key);
  const got = await subscribe(t, topics, 'chat', 't');
  assert.equal(outcome(await topics.publish('chat', 't', 'x')), 'Success');
  const admin = (method, path, body) => fetch(`${g.url}/admin${path}`, { method, body: body && JSON.stringify(body), headers: { authorization: root, 'content-type': 'application/json' } });
  assert.equal((await admin('POST', '/keys/revoke', { token: key })).status, 204);
  assert.equal(outcome(await topics.publish('chat', 't', 'x')), 'AUTHENTICATION_ERROR');
  await until(() => got.errors.length > 0);
  assert.equal(got.errors[0].errorCode(), 'AUTHENTICATION_ERROR');
});

test('keys that cannot be made', async (t) => {
  const g = await start(t, { config });
  const auth = authClient(g, root);
  const p = { role: 'publishonly', cache: 'chat', topic: 't' };
  const key = async (permissions) => outcome(await auth.generateApiKey({ permissions }, ExpiresIn.never()));
  assert.equal(await key([]), 'INVALID_ARGUMENT_ERROR');
  assert.equal(await key([p, p]), 'INVALID_ARGUMENT_ERROR');
  assert.equal(await key([p, { ...p, role: 'subscribeonly' }]), 'INVALID_ARGUMENT_ERROR');
  assert.equal(await key([{ role: 'readwrite', cache: 'chat' }, { role: 'readonly', cache: 'chat' }]), 'INVALID_ARGUMENT_ERROR');
  assert.equal(outcome(await auth.generateDisposableToken(DisposableTokenScopes.topicPublishOnly('chat', 't'), ExpiresIn.hours(2))), 'INVALID_ARGUMENT_ERROR');
  // A super user is made by no call: GenerateApiTokenRequest { never {}, auth_token, permissions { super_user } }
  const message = Buffer.concat([Buffer.from([0x0a, 0, 0x1a, root.length]), Buffer.from(root), Buffer.from([0x22, 2, 8, 0])]);
  assert.equal((await rawCall(g, '/auth.Auth/GenerateApiToken', message)).code, 7);
});

test('while nothing is asked for, a token still says who its holder is and what it may', async (t) => {
  const g = await start(t);
  const token = await authClient(g, 'whatever').generateDisposableToken(DisposableTokenScopes.topicPublishOnly('chat', 't'), ExpiresIn.minutes(1), { tokenId: 'mo' });
  const got = await subscribe(t, topicClient(g), 'chat', 't');
  const topics = topicClient(g, bare(token.authToken));
  await topics.publish('chat', 't', 'x');
  await until(() => got.ids.length === 1);
  assert.deepEqual(got.ids, ['mo']);
  assert.equal(outcome(await topics.publish('chat', 'other', 'x')), 'PERMISSION_ERROR');
});
