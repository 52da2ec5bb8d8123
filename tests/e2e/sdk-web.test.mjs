// The unmodified web SDK over gRPC-web, in jsdom.
import './dom.mjs';
import test from 'node:test';
import assert from 'node:assert/strict';
import { start, sleep, until } from './gateway.mjs';
import { outcome, subscribe, wrap } from './momento.mjs';

const { AuthClient, CacheClient, Configurations, CredentialProvider, DisposableTokenScopes, ExpiresIn, NoopMomentoLoggerFactory, TopicClient, TopicConfigurations } =
  await import('@gomomento/sdk-web');
const quiet = new NoopMomentoLoggerFactory();

function clients(g, key = 'none') {
  const credentialProvider = CredentialProvider.fromString({ apiKey: wrap(key), endpointOverrides: {
    cacheEndpoint: g.url, controlEndpoint: g.url, tokenEndpoint: g.url } });
  return {
    topics: new TopicClient({ configuration: TopicConfigurations.Default.latest(quiet), credentialProvider }),
    cache: new CacheClient({ configuration: Configurations.Laptop.v1(quiet), credentialProvider, defaultTtlSeconds: 60 }),
    auth: new AuthClient({ credentialProvider }),
  };
}

test('caches, topics, webhooks and keys over gRPC-web', async (t) => {
  const g = await start(t, { config: 'caches = {}' });
  const { topics, cache, auth } = clients(g);
  assert.equal(outcome(await cache.createCache('web')), 'Success');
  assert.equal((await cache.createCache('web')).toString(), 'AlreadyExists');
  assert.deepEqual((await cache.listCaches()).getCaches().map((c) => c.getName()), ['web']);
  assert.equal(outcome(await cache.deleteCache('nope')), 'NOT_FOUND_ERROR');
  assert.equal(outcome(await cache.get('web', 'key')), 'BAD_REQUEST_ERROR'); // UNIMPLEMENTED
  const put = await topics.putWebhook('web', 'w', { topicName: 't2', destination: 'http://127.0.0.1:9/' });
  assert.equal(outcome(put), 'Success');
  assert.equal((await topics.getWebhookSecret('web', 'w')).secret(), put.secretString());
  assert.equal((await topics.listWebhooks('web')).getWebhooks().length, 1);

  const got = await subscribe(t, topics, 'web', 't');
  const token = await auth.generateDisposableToken(DisposableTokenScopes.topicPublishOnly('web', 't'), ExpiresIn.minutes(1), { tokenId: 'mo' });
  const limited = clients(g, JSON.parse(atob(token.authToken)).api_key).topics;
  assert.equal(outcome(await topics.publish('web', 't', 'Grüße 🌍')), 'Success');
  assert.equal(outcome(await topics.publish('web', 't', new Uint8Array([0, 255]))), 'Success');
  assert.equal(outcome(await limited.publish('web', 't', 'mine')), 'Success');
  assert.equal(outcome(await limited.publish('web', 'other', 'x')), 'PERMISSION_ERROR');
  await until(() => got.values.length === 3);
  assert.deepEqual(got.values.map((v) => (typeof v === 'string' ? v : [...v])), ['Grüße 🌍', [0, 255], 'mine']);
  assert.deepEqual([got.numbers, got.ids], [[1, 2, 3], ['', '', 'mo']]);
  await until(() => got.heartbeats >= 3);
  await cache.deleteCache('web');
  await until(() => got.errors.length > 0);
  assert.deepEqual(got.errors.map((e) => e.errorCode()), ['NOT_FOUND_ERROR']);
});

test('a large message over gRPC-web, and a stream that is ended now and then', async (t) => {
  const g = await start(t, { config: 'limits = { retained = "64m" }' });
  const { topics } = clients(g);
  const got = await subscribe(t, topics, 'chat', 't');
  const values = Array.from({ length: 5 }, (_, i) => `${i}`.repeat(4_000_000)); // 26 MB in base64
  for (const value of values) assert.equal((await g.publish('t', value)).status, 204);
  await until(() => got.values.length === values.length, 'all');
  assert.ok(got.values.every((v, i) => v === values[i]));
  assert.deepEqual([got.gaps.length, got.errors.length], [0, 0]);
  assert.ok(await g.metric('hookmoon_grpc_calls_total{method="Subscribe",status="CANCELLED"}') >= 1, 'it was ended and begun again');
});

test('an unsubscribed page leaves nothing behind', async (t) => {
  const g = await start(t);
  const { topics } = clients(g);
  const got = await subscribe(t, topics, 'chat', 't');
  assert.equal(await g.metric('hookmoon_grpc_subscribers'), 1);
  got.unsubscribe();
  await until(async () => await g.metric('hookmoon_grpc_subscribers') === 0);
});

test('gRPC-web by hand: exact bytes, errors, what is refused', async (t) => {
  const g = await start(t);
  const call = async (path, body, headers = {}) => {
    const r = await fetch(`${g.url}${path}`, { method: 'POST', body, headers: { 'content-type': 'application/grpc-web-text', ...headers } });
    return { status: r.status, type: r.headers.get('content-type'), text: await r.text() };
  };
  const publish = '/cache_client.pubsub.Pubsub/Publish';
  const message = Buffer.from('0a046368617412017a1a040a026869', 'hex'); // chat, z, text "hi"
  const frame = Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]);
  const good = await call(publish, frame.toString('base64'));
  assert.deepEqual(good, { status: 200, type: 'application/grpc-web-text+proto', text: 'AAAAAAA=gAAAAA9ncnBjLXN0YXR1czowDQo=' });
  // In padded pieces, as some encoders write it.
  const pieces = frame.subarray(0, 5).toString('base64') + frame.subarray(5).toString('base64');
  assert.equal((await call(publish, pieces)).text, good.text);
  const binary = await fetch(`${g.url}${publish}`, { method: 'POST', body: frame, headers: { 'content-type': 'application/grpc-web+proto' } });
  assert.equal(binary.headers.get('content-type'), 'application/grpc-web+proto');
  assert.equal(Buffer.from(await binary.arrayBuffer()).toString('latin1'), '\0\0\0\0\0\x80\0\0\0\x0fgrpc-status:0\r\n');
  const trailer = async (...args) => Buffer.from((await call(...args)).text, 'base64').toString('latin1').slice(5);
  assert.equal(await trailer(publish, 'AAAAAAA='), 'grpc-status:3\r\ngrpc-message:the cache name is empty\r\n');
  assert.equal(await trailer(publish, '!!!!'), 'grpc-status:3\r\ngrpc-message:the body is not base64\r\n');
  assert.equal(await trailer(publish, ''), 'grpc-status:3\r\ngrpc-message:the request holds no message\r\n');
  assert.match(await trailer('/cache_client.Scs/Get', 'AAAAAAA='), /^grpc-status:12\r\n/);
  assert.match(await trailer(publish, 'AAAAAAA=', { 'grpc-timeout': '0m' }), /^grpc-status:4\r\n/);
  assert.match(await trailer(publish, 'AAAAAAA=', { 'grpc-timeout': 'soon' }), /^grpc-status:3\r\n/);
  assert.equal((await call(publish, 'x', { 'content-type': 'application/json' })).status, 415);
  assert.equal((await fetch(`${g.url}${publish}`)).status, 405);
  const preflight = await fetch(`${g.url}${publish}`, { method: 'OPTIONS', headers: { origin: 'http://localhost:1', 'access-control-request-method': 'POST' } });
  assert.match(preflight.headers.get('access-control-allow-headers'), /agent.*cache.*grpc-timeout.*x-grpc-web/);
  assert.equal((await call(publish, frame.toString('base64'), { origin: 'https://evil.example' })).status, 403);
});

test('a restart is survived', async (t) => {
  const first = await start(t);
  const { topics } = clients(first);
  const got = await subscribe(t, topics, 'chat', 't');
  await topics.publish('chat', 't', 'before');
  await until(() => got.values.length === 1);
  await first.stop();
  await sleep(300);
  const second = await start(t, { listen: new URL(first.url).host, config: `data = "${first.path}/data"` });
  await until(async () => await second.metric('hookmoon_grpc_subscribers') === 1, 'it to come back');
  await topics.publish('chat', 't', 'after');
  await until(() => got.values.length === 2);
  assert.deepEqual([got.values, got.errors, got.gaps.length], [['before', 'after'], [], 0]);
});
