// The admin API, against its own description.
import test from 'node:test';
import assert from 'node:assert/strict';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { spawnSync } from 'node:child_process';
import { binary, start, event, sign, until } from './gateway.mjs';

const root = 'root-key-12345';
const asked = `open = false
keys = { { id = "root", key = "${root}", role = "admin" }, { id = "alice", key = "alice-key-1", role = "publishsubscribe" } }
webhooks = { { cache = "chat", name = "fixed", topic = "t", url = "http://127.0.0.1:9/", secret = "long-enough" } }`;

/** Calls the API and holds each answer against the description. */
class Admin {
  seen = new Set();

  static async open(g) {
    const admin = new Admin();
    admin.g = g;
    admin.api = await (await fetch(`${g.url}/admin/openapi.json`)).json();
    admin.ajv = new Ajv2020({ strict: false });
    addFormats(admin.ajv);
    admin.ajv.addSchema(admin.api, 'api');
    return admin;
  }

  operation(method, path) {
    for (const [template, item] of Object.entries(this.api.paths)) {
      const form = new RegExp(`^${template.replace(/\{\w+\}/g, '[^/]+')}$`);
      if (form.test(path) && item[method.toLowerCase()]) return [template, item[method.toLowerCase()]];
    }
    return [];
  }

  async call(method, path, body, { key = root, headers = {} } = {}) {
    const all = { ...headers };
    if (key !== null) all.authorization = key;
    if (body !== undefined) all['content-type'] ??= 'application/json';
    const response = await fetch(`${this.g.url}/admin${path}`, {
      method, headers: all, body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body) });
    const text = await response.text();
    const [template, operation] = this.operation(method, `/admin${path.replace(/\?.*/, '')}`);
    if (operation) {
      const id = `${method} ${template} ${response.status}`;
      let described = operation.responses[response.status];
      assert.ok(described, `${id} is not described: ${text}`);
      if (described.$ref) described = this.api.components.responses.Error;
      const schema = described.content?.['application/json'].schema;
      if (schema) {
        const valid = this.ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('#/', 'api#/')));
        assert.ok(valid(JSON.parse(text)), `${id}: ${text} ${JSON.stringify(valid.errors)}`);
      } else assert.equal(text, '', id);
      this.seen.add(id);
    }
    return { status: response.status, body: text ? JSON.parse(text) : undefined, headers: response.headers };
  }
}

test('every operation of the description is there, and answers as described', async (t) => {
  const g = await start(t, { config: `${asked} hooks = { bad = { secret = "the-bad-secret" } }`, scripts: {
    'up.lua': 'function on_event(event) publish("out", event.text:upper()) end', 'bad.lua': 'function on_event(event) error("no") end' } });
  const a = await Admin.open(g);
  const status = async (...args) => (await a.call(...args)).status;

  assert.deepEqual((await a.call('GET', '/caches')).body, { caches: [{ name: 'chat', configured: true, durability: 'disk', topics: 1 }] });
  assert.equal(await status('POST', '/caches', { name: 'Räume/1' }), 201);
  assert.equal(await status('POST', '/caches', { name: 'Räume/1' }), 409);
  assert.equal(await status('POST', '/caches', { name: '' }), 400);
  const room = `/caches/${encodeURIComponent('Räume/1')}`;
  assert.equal(await status('POST', `${room}/flush`), 204);
  assert.equal(await status('POST', '/caches/nope/flush'), 404);

  assert.deepEqual((await a.call('GET', `${room}/webhooks`)).body, { webhooks: [] });
  const put = (await a.call('PUT', `${room}/webhooks/w`, { topic: 'in', url: '/hooks/up' })).body;
  assert.equal(put.url, `${g.url}/hooks/up`);
  const again = (await a.call('PUT', `${room}/webhooks/w`, { topic: 'in', url: '/hooks/up' })).body;
  assert.equal(again.secret, put.secret);
  assert.equal((await a.call('GET', `${room}/webhooks/w/secret`)).body.secret, put.secret);
  const body = event();
  assert.equal((await g.hook('up', body, { signature: sign(body, put.secret) })).status, 200);
  const rotated = (await a.call('POST', `${room}/webhooks/w/rotate`)).body;
  assert.notEqual(rotated.secret, put.secret);
  assert.ok(Date.parse(rotated.previous_valid_until) > Date.now() + 200_000);
  for (const secret of [put.secret, rotated.secret]) { // both, for limits.rotation_grace
    const next = event();
    assert.equal((await g.hook('up', next, { signature: sign(next, secret) })).status, 200);
  }
  for (let i = 0; i < 4; i++) assert.equal(await status('PUT', `${room}/webhooks/w${i}`, { topic: 'in', url: 'http://127.0.0.1:9/' }), 200);
  assert.equal(await status('PUT', `${room}/webhooks/w5`, { topic: 'in', url: 'http://127.0.0.1:9/' }), 429);
  assert.equal(await status('PUT', `${room}/webhooks/w`, { topic: 'in', url: 'ftp://a' }), 400);
  assert.equal(await status('PUT', '/caches/nope/webhooks/w', { topic: 'in', url: 'http://a' }), 404);
  assert.equal((await a.call('GET', `${room}/webhooks`)).body.webhooks.length, 5);
  assert.equal(await status('GET', '/caches/nope/webhooks'), 404);
  for (const [method, more] of [['GET', '/secret'], ['POST', '/rotate'], ['DELETE', '']]) {
    assert.equal(await status(method, `${room}/webhooks/nope${more}`), 404);
    if (method !== 'GET') assert.equal(await status(method, `/caches/chat/webhooks/fixed${more}`), 409);
  }
  assert.equal(await status('PUT', '/caches/chat/webhooks/fixed', { topic: 't', url: 'http://a' }), 409);
  assert.equal((await a.call('GET', `${room}/webhooks/w`)).body.status, 'ok');
  assert.equal(await status('GET', `${room}/webhooks/nope`), 404);
  assert.equal(await status('POST', `${room}/webhooks/w/enable`), 204);
  for (const [name, value] of [['order', 'x'], ['delivery', 1], ['concurrency', 0], ['rate', -1]])
    assert.equal(await status('PUT', `${room}/webhooks/w`, { topic: 'in', url: '/hooks/up', [name]: value }), 400);
  assert.equal(await status('DELETE', `${room}/webhooks/w`), 204);
  const last = event();
  assert.equal((await g.hook('up', last, { signature: sign(last, rotated.secret) })).status, 401);

  const bad = event({ text: 'please raise' });
  assert.equal((await g.hook('bad', bad, { signature: sign(bad, 'the-bad-secret') })).status, 500);
  const [letter] = (await a.call('GET', '/deadletters?kind=script&hook=bad')).body.deadletters;
  assert.equal((await a.call('GET', `/deadletters/${letter.id}`)).body.event, bad);
  assert.equal(await status('POST', `/deadletters/${letter.id}/replay`, { dry_run: true }), 409);
  assert.equal(await status('DELETE', `/deadletters/${letter.id}`), 204);
  assert.equal(await status('DELETE', `/deadletters/${letter.id}`), 404);
  assert.equal(await status('GET', '/deadletters?kind=x'), 400);

  const key = (await a.call('POST', '/keys', { id: 'mo', role: 'publishonly', cache: 'chat', topic: 'x', valid_for: 60 })).body;
  assert.deepEqual(JSON.parse(atob(key.base64)), { endpoint: new URL(g.url).host, api_key: key.token });
  for (const form of [key.token, key.base64]) assert.equal((await g.publish('x', 'hi', { headers: { authorization: form } })).status, 204);
  assert.equal((await g.publish('y', 'hi', { headers: { authorization: key.token } })).status, 403);
  assert.deepEqual((await a.call('GET', '/keys')).body.keys.map((k) => [k.id, k.rights]), [['mo', 'publishonly on topic "x" of cache "chat"']]);
  const fresh = (await a.call('POST', '/keys/refresh', { token: key.token, refresh_token: key.refresh_token })).body;
  assert.equal(await status('POST', '/keys/refresh', { token: key.token, refresh_token: 'x' }), 401);
  assert.equal(await status('DELETE', `/keys/${key.serial}`), 204);
  assert.equal(await status('DELETE', `/keys/${key.serial}`), 404);
  assert.equal((await g.publish('x', 'hi', { headers: { authorization: key.token } })).status, 401);
  assert.equal((await g.publish('x', 'hi', { headers: { authorization: fresh.token } })).status, 204);
  const several = (await a.call('POST', '/keys', { disposable: true, valid_for: 60, permissions: [
    { role: 'publishonly', topic_prefix: 'room-' }, { role: 'subscribeonly', cache: 'chat' }] })).body;
  assert.equal(several.refresh_token, null);
  const as = { headers: { authorization: several.token } };
  assert.equal((await g.publish('room-1', 'hi', as)).status, 204);
  assert.equal((await g.publish('x', 'hi', as)).status, 403);
  assert.equal((await g.poll('room-1', 'sequence_number=1', as)).length, 1);
  assert.equal(await status('POST', '/keys/revoke', { token: several.token }), 204);
  assert.equal(await status('POST', '/keys/revoke', { token: 'x' }), 404);
  assert.equal((await g.publish('room-1', 'hi', as)).status, 401);
  const admin = (await a.call('POST', '/keys', { role: 'admin' })).body;
  assert.equal(await status('GET', '/caches', undefined, { key: admin.token }), 200);

  assert.equal(await status('DELETE', '/caches/chat'), 409);
  assert.equal(await status('DELETE', room), 204);
  assert.equal(await status('DELETE', room), 404);

  const called = new Set([...a.seen].map((id) => id.replace(/ \d+$/, '')));
  for (const [path, item] of Object.entries(a.api.paths))
    for (const method of Object.keys(item).filter((k) => k !== 'parameters')) {
      if (path === '/admin/openapi.json') continue;
      const id = `${method.toUpperCase()} ${path}`;
      assert.ok(called.has(id), `${id} was not called`);
      const real = path.replace('/admin', '').replace(/\{\w+\}/g, 'x');
      const input = item[method].requestBody ? {} : undefined;
      assert.equal(await status(method.toUpperCase(), real, input, { key: null }), 401, id);
      assert.equal(await status(method.toUpperCase(), real, input, { key: 'alice-key-1' }), 403, id);
    }
  assert.ok(!new RegExp([put.secret, rotated.secret, key.token, admin.token, root].join('|')).test(g.stderr), 'no secret in the log');
});

test('bad requests are refused, and say why', async (t) => {
  const g = await start(t, { config: asked });
  const a = await Admin.open(g);
  const refusal = async (...args) => { const r = await a.call(...args); return `${r.status} ${r.body.message}`; };
  assert.match(await refusal('POST', '/caches', { nmae: 'x' }), /^400 "nmae" is not known; did you mean "name"\?/);
  assert.match(await refusal('POST', '/caches', '{'), /^400 the body is no JSON/);
  assert.match(await refusal('POST', '/caches', '[]'), /^400 the body must be an object/);
  assert.match(await refusal('POST', '/caches', '{"name":"a","name":"b"}'), /^400 .*duplicate/);
  assert.match(await refusal('POST', '/caches', `${'['.repeat(50)}`), /^400 the body is nested too deep/);
  assert.match(await refusal('POST', '/caches', { name: 7 }), /^400 name must be a string/);
  assert.match(await refusal('POST', '/caches', {}), /^400 name is missing/);
  assert.match(await refusal('POST', '/caches', { name: 'a\u0000b' }), /^400 /);
  assert.match(await refusal('POST', '/caches', { name: 'x'.repeat(70_000) }), /^413/);
  assert.match(await refusal('POST', '/caches', '{"name":"a"}', { headers: { 'content-type': 'text/plain' } }), /^415/);
  assert.match(await refusal('POST', '/keys', { role: 'boss' }), /^400 role must be/);
  assert.match(await refusal('POST', '/keys', { role: 'admin', cache: 'chat' }), /^400 .*everything/);
  assert.match(await refusal('POST', '/keys', { role: 'publishonly', topic: 'a', topic_prefix: 'b' }), /^400 .*exclude/);
  assert.match(await refusal('POST', '/keys', { role: 'publishonly', permissions: [] }), /^400 .*exclude/);
  assert.match(await refusal('POST', '/keys', { permissions: [] }), /^400 .*at least one/);
  assert.match(await refusal('POST', '/keys', { permissions: [7] }), /^400 .*must be an object/);
  assert.match(await refusal('POST', '/keys', { permissions: [{ role: 'publishonly', topik: 'x' }] }), /^400 .*did you mean "topic"/);
  assert.match(await refusal('POST', '/keys', { permissions: [{ role: 'publishonly' }, { role: 'subscribeonly' }] }), /^400 .*same topics/);
  assert.match(await refusal('POST', '/keys', { permissions: [{ role: 'admin' }] }), /^400 /);
  assert.match(await refusal('POST', '/keys', { role: 'publishonly', valid_for: -1 }), /^400 valid_for/);
  assert.match(await refusal('POST', '/keys', { role: 'publishonly', disposable: true }), /^400 .*1 to 3600/);
  assert.match(await refusal('POST', '/keys', { role: 'publishonly', disposable: 1 }), /^400 disposable/);
  assert.match(await refusal('POST', '/keys', { role: 'publishonly', id: 'x'.repeat(65) }), /^400 .*64/);
  assert.match(await refusal('GET', '/caches?token=x'), /^400 .*twice/);
  assert.match(await refusal('GET', '/nothing'), /^404 .*openapi/);
  const put = await a.call('PUT', '/caches', {});
  assert.equal(put.status, 405);
  assert.equal(put.headers.get('allow'), 'GET, POST');
});

test('a page in a browser does not administer', async (t) => {
  const g = await start(t);
  const from = async (origin) => (await fetch(`${g.url}/admin/caches`, { headers: { origin } })).status;
  assert.equal(await from(g.url), 200);
  for (const origin of ['http://localhost:3000', 'https://evil.example', 'null']) assert.equal(await from(origin), 403, origin);
});

test('what was made stays after a restart; two gateways do not share a directory', async (t) => {
  const data = `data = "${(await start(t)).path}/other"`;
  const first = await start(t, { config: data });
  const a = await Admin.open(first);
  const open = { key: null };
  await a.call('POST', '/caches', { name: 'kept' }, open);
  const { secret } = (await a.call('PUT', '/caches/kept/webhooks/w', { topic: 't', url: 'http://127.0.0.1:9/' }, open)).body;
  await first.stop();
  const second = await start(t, { config: data });
  const b = await Admin.open(second);
  assert.deepEqual((await b.call('GET', '/caches', undefined, open)).body.caches.map((c) => c.name), ['chat', 'kept']);
  assert.equal((await b.call('GET', '/caches/kept/webhooks/w/secret', undefined, open)).body.secret, secret);
  const third = spawnSync(binary, ['serve', '-c', `${second.path}/hookmoon.lua`, '--listen', '127.0.0.1:0'], { encoding: 'utf8', timeout: 20000 });
  assert.match(third.stderr, /in use by another gateway; give this one another with --data/);
});

test('a deleted cache ends what subscribes to it, and comes back empty with a larger page', async (t) => {
  const g = await start(t);
  const a = await Admin.open(g);
  await a.call('POST', '/caches', { name: 'c' }, { key: null });
  await g.publish('t', 'old', { cache: 'c' });
  const [before] = await g.poll('t', 'sequence_number=1', { cache: 'c' });
  const waiting = fetch(`${g.url}/topics/c/t`);
  await until(async () => await g.metric('hookmoon_http_subscribers{kind="long_poll"}') === 1);
  await a.call('DELETE', '/caches/c', undefined, { key: null });
  assert.equal((await waiting).status, 404);
  assert.equal((await g.publish('t', 'x', { cache: 'c' })).status, 404);
  await a.call('POST', '/caches', { name: 'c' }, { key: null });
  await g.publish('t', 'new', { cache: 'c' });
  const items = await g.poll('t', `sequence_number=2&sequence_page=${before.item.sequence_page}`, { cache: 'c' });
  assert.ok(items[0].discontinuity.new_sequence_page > before.item.sequence_page);
  assert.equal(items[1].item.value.text, 'new');
});
