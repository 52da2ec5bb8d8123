// Every status that the gateway can give, as the Node SDK and as bare gRPC see it.
import test from 'node:test';
import assert from 'node:assert/strict';
import grpc from '@grpc/grpc-js';
import { inMemory, start, until } from './gateway.mjs';
import { cacheClient, outcome, publishRequest, rawCall, subscribe, topicClient } from './momento.mjs';

const publishPath = '/cache_client.pubsub.Pubsub/Publish';

test('what the SDK makes of each status', async (t) => {
  const g = await start(t, { config: 'limits = { subscribers = 1, message = "1k", topics = 2 } caches = { "chat", "full" }' });
  const topics = topicClient(g), cache = await cacheClient(t, g);
  assert.equal(outcome(await topics.publish('nope', 't', 'x')), 'NOT_FOUND_ERROR');
  assert.equal(outcome((await subscribe(t, topics, 'nope', 't')).response), 'NOT_FOUND_ERROR');
  assert.equal(outcome(await topics.publish('chat', 'a\u0001b', 'x')), 'INVALID_ARGUMENT_ERROR');
  assert.equal(outcome(await topics.publish('chat', 'x'.repeat(256), 'x')), 'INVALID_ARGUMENT_ERROR');
  assert.equal(outcome(await topics.publish('chat', 't', 'x'.repeat(2000))), 'LIMIT_EXCEEDED_ERROR');
  assert.equal((await cache.createCache('chat')).toString(), 'AlreadyExists');
  assert.equal(outcome(await cache.deleteCache('chat')), 'FAILED_PRECONDITION_ERROR');
  const first = await subscribe(t, topics, 'chat', 't');
  const second = await subscribe(t, topics, 'chat', 't');
  assert.equal(outcome(second.response), 'LIMIT_EXCEEDED_ERROR');
  assert.match(second.response.message(), /subscribers/);
  first.unsubscribe();
  for (const topic of ['1', '2']) await topics.publish('full', topic, 'x');
  assert.equal(outcome(await topics.publish('full', '3', 'x')), 'LIMIT_EXCEEDED_ERROR');
  assert.equal(outcome(await cache.get('chat', 'key')), 'BAD_REQUEST_ERROR'); // caches hold no data: UNIMPLEMENTED
});

test('statuses, words and details on the wire', async (t) => {
  const g = await start(t, { config: `open = false limits = { subscribers = 0 + 1, message = "1k" }
    keys = { { id = "root", key = "root-key-12345", role = "admin" }, { id = "s", key = "subscriber-1", role = "subscribeonly" } }` });
  const call = (path, message, options = {}) => rawCall(g, path, message, { metadata: { authorization: 'root-key-12345' }, ...options });
  const { status: codes } = grpc;
  const ok = await call(publishPath, publishRequest('chat', 't', 'x'));
  assert.deepEqual([ok.code, ok.messages.length], [codes.OK, 1]);

  const nobody = await call(publishPath, publishRequest('chat', 't', 'x'), { metadata: {} });
  assert.deepEqual([nobody.code, nobody.details], [codes.UNAUTHENTICATED, 'a key is needed: send it as the Authorization header or as ?token=']);
  assert.equal((await call(publishPath, publishRequest('chat', 't', 'x'), { metadata: { authorization: 'subscriber-1' } })).code, codes.PERMISSION_DENIED);
  assert.equal((await call('/cache_client.Scs/Get', Buffer.alloc(0))).code, codes.UNIMPLEMENTED);
  assert.equal((await call('/no.Such/Method', Buffer.alloc(0))).code, codes.UNIMPLEMENTED);
  const large = await call(publishPath, publishRequest('chat', 't', 'x'.repeat(2000)));
  assert.deepEqual([large.code, large.metadata.get('err')], [codes.RESOURCE_EXHAUSTED, ['request_size_limit_exceeded']]);
  assert.match(large.details, /request limit/);
  const huge = await call(publishPath, publishRequest('chat', 't', 'x'.repeat(200_000)));
  assert.equal(huge.code, codes.RESOURCE_EXHAUSTED);
  assert.equal((await call(publishPath, publishRequest('chat', 't'))).code, codes.INVALID_ARGUMENT);
  assert.equal((await call(publishPath, publishRequest('a\u0000b', 't', 'x'))).code, codes.INVALID_ARGUMENT);
  const percent = await call(publishPath, publishRequest('100% é', 't', 'x'));
  assert.deepEqual([percent.code, percent.details], [codes.NOT_FOUND, 'there is no cache "100% é"']);
  assert.equal((await call(publishPath, Buffer.from([0xff, 0xff, 0xff]))).code, codes.INVALID_ARGUMENT);
  assert.equal((await call(publishPath, Buffer.from([0x1a, 3, 0x0a, 1, 0xff, 0x0a, 4, ...Buffer.from('chat'), 0x12, 1, 0x74]))).code, codes.INVALID_ARGUMENT); // no UTF-8
  // Members that we do not know are passed over.
  const more = Buffer.concat([Buffer.from(publishRequest('chat', 't', 'y').serializeBinary()), Buffer.from([0xfa, 0x3f, 1, 0x21, 0x78, 7])]);
  assert.equal((await call(publishPath, more)).code, codes.OK);
  assert.equal((await call('/cache_client.Ping/Ping', Buffer.alloc(0), { metadata: {} })).code, codes.OK);
});

test('a gateway that stops says that it is not there any more, and a client comes back', async (t) => {
  const g = await start(t, {
    scripts: { 'slow.lua': 'function on_event(event) local x = 0 for i = 1, 5e5 do x = x + i end publish("out", "done") end' },
    config: `${inMemory} webhooks = { { cache = "chat", name = "w", topic = "in", url = "/hooks/slow", secret = "long-enough" } }`,
  });
  const topics = topicClient(g);
  const got = await subscribe(t, topics, 'chat', 'out');
  // While it brings its own webhooks to their end, nothing new is taken.
  const published = await Promise.all(Array.from({ length: 150 }, () => topics.publish('chat', 'in', 'x')));
  assert.deepEqual([...new Set(published.map(outcome))], ['Success']);
  const stopped = g.stop();
  const outcomes = new Set();
  await until(async () => { outcomes.add(outcome(await topics.publish('chat', 'late', 'x'))); return outcomes.has('SERVER_UNAVAILABLE'); });
  assert.equal(await stopped, 0);
  assert.equal(got.errors.length, 0);
  assert.equal(got.response.isSubscribed, true);
  assert.equal(got.values.length, 150, 'what was under way arrived');
});

test('a client\'s deadline', async (t) => {
  const g = await start(t);
  // The stream was established: a deadline for its headers is not one for all of it.
  const started = Date.now();
  const { code, messages } = await rawCall(g, '/cache_client.pubsub.Pubsub/Subscribe',
    Buffer.from([0x0a, 4, ...Buffer.from('chat'), 0x12, 1, 0x74]), { deadline: Date.now() + 1500 });
  assert.equal(code, grpc.status.DEADLINE_EXCEEDED); // by the client itself
  assert.ok(Date.now() - started >= 1400);
  assert.ok(messages.length >= 2);
});
