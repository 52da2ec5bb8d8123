// hookmoon cache, webhook and key, as a user runs them.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { binary, folder, start, until } from './gateway.mjs';

function hookmoon(args, { env = {}, cwd } = {}) {
  return new Promise((done) => {
    const child = spawn(binary, args, { cwd, env: { ...process.env, HOOKMOON_URL: '', HOOKMOON_KEY: '', ...env } });
    let out = '', err = '';
    child.stdout.on('data', (d) => { out += d; });
    child.stderr.on('data', (d) => { err += d; });
    child.on('close', (code) => done({ code, out, err }));
  });
}

test('caches and webhooks of a running gateway', async (t) => {
  const g = await start(t, { config: 'open = false keys = { { id = "root", key = "root-key-12345", role = "admin" } }' });
  const env = { HOOKMOON_URL: g.url, HOOKMOON_KEY: 'root-key-12345' };
  const run = async (...args) => { const r = await hookmoon(args, { env }); return r.code === 0 ? r.out : `${r.code} ${r.err}`; };
  assert.equal(await run('cache', 'create', 'my room'), '');
  assert.match(await run('cache', 'create', 'my room'), /^1 hookmoon: refused \(status 409\): there is a cache of that name already/);
  assert.equal(await run('cache', 'create', 'quick', '--memory'), '');
  assert.equal(await run('cache', 'list'), 'chat\tdisk\nmy room\tdisk\nquick\tmemory\n');
  assert.equal(await run('cache', 'delete', 'quick'), '');
  assert.equal(JSON.parse(await run('cache', 'list', '--json')).caches.length, 2);
  const secret = await run('webhook', 'put', 'my room', 'w', '--topic', 't', '--to', 'https://example.com/x');
  assert.match(secret, /^[0-9a-f]{64}\n$/);
  assert.equal(await run('webhook', 'secret', 'my room', 'w'), secret);
  assert.notEqual(await run('webhook', 'rotate', 'my room', 'w'), secret);
  assert.equal(await run('webhook', 'list', 'my room'), 'w\tt\thttps://example.com/x\tok\t0\n');
  assert.equal(await run('webhook', 'put', 'my room', 'w', '--topic', 't', '--to', 'https://example.com/x', '--order', 'topic', '--concurrency', '3', '--rate', '2.5'), await run('webhook', 'secret', 'my room', 'w'));
  assert.match(await run('webhook', 'show', 'my room', 'w'), /^cache: my room\nname: w\ntopic: t\n[^]*\nstatus: ok\n[^]*order: topic\ndelivery: at_least_once\nconcurrency: 3\nrate: 2.5\n/);
  assert.equal(JSON.parse(await run('webhook', 'show', 'my room', 'w', '--json')).rate, 2.5);
  assert.equal(await run('webhook', 'enable', 'my room', 'w'), '');
  assert.match(await run('webhook', 'put', 'my room', 'w', '--topic', 't', '--to', '/x', '--order', 'sideways'), /^1 .*order must be "none" or "topic"/);
  assert.equal(await run('webhook', 'delete', 'my room', 'w'), '');
  assert.match(await run('webhook', 'delete', 'my room', 'w'), /^1 .*no webhook of that name/);
  assert.equal(await run('cache', 'flush', 'my room'), '');
  assert.equal(await run('cache', 'delete', 'my room'), '');
  assert.match(await run('cache', 'delete', 'chat'), /^1 .*configuration file/);
  for (const wrong of [['cache'], ['cache', 'create'], ['cache', 'list', 'x'], ['webhook', 'put', 'a', 'b'], ['webhook', 'put', 'a', 'b', '--topic', 't'], ['webhook', 'nope'], ['webhook', 'put', 'a', 'b', '--topic', 't', '--to', '/x', '--rate', 'fast'], ['cache', 'list', '--nope'], ['key'], ['key', 'create'], ['key', 'revoke']])
    assert.match(await run(...wrong), /^2 /, wrong.join(' '));
  assert.match((await hookmoon(['cache', 'list', '--url', g.url])).err, /status 401/);
  assert.match((await hookmoon(['cache', 'list', '--url', 'http://127.0.0.1:1'])).err, /cannot reach http:\/\/127\.0\.0\.1:1/);
  assert.equal((await hookmoon(['cache', 'list', '--url', g.url, '--key-env', 'MINE'], { env: { MINE: 'root-key-12345' } })).out, 'chat\tdisk\n');
});

test('the first key is made before the first start, and revoked while it runs', async (t) => {
  const path = folder(t);
  const data = `${path}/keys`;
  const key = (...args) => hookmoon(['key', ...args, '--data', data], { cwd: path });
  const made = await key('create', '--role', 'publishsubscribe', '--id', 'alice', '--valid-for', '1h', '--endpoint', '127.0.0.1:7777');
  assert.equal(made.code, 0, made.err);
  const [token] = made.out.split('\n');
  assert.match(token, /^hm1\./);
  const wrapped = made.out.match(/apiKey: '([^']+)'/)[1];
  assert.deepEqual(JSON.parse(atob(wrapped)), { endpoint: '127.0.0.1:7777', api_key: token });
  assert.match(made.out, /cacheEndpoint: '127\.0\.0\.1:7777'/);
  assert.equal(statSync(`${data}/token.key`).mode & 0o777, 0o600);
  assert.equal(statSync(data).mode & 0o777, 0o700);

  const g = await start(t, { config: `open = false data = "${data}"` });
  const as = (authorization) => ({ headers: { authorization } });
  assert.equal((await g.publish('t', 'hi', as(token))).status, 204);
  const [{ item }] = await g.poll('t', 'sequence_number=1', as(wrapped));
  assert.equal(item.publisher_id, 'alice');

  const admin = JSON.parse((await key('create', '--role', 'admin', '--json')).out);
  assert.equal((await fetch(`${g.url}/admin/keys`, as(admin.token))).status, 200);
  const [, serial] = (await key('list')).out.match(/^(\w+)\talice\t/m);
  assert.match((await key('list')).out, /alice\tpublishsubscribe on all topics\tsince 20/);
  assert.equal((await key('revoke', serial)).code, 0);
  await until(async () => (await g.publish('t', 'hi', as(token))).status === 401, 'the gateway to notice');
  assert.match((await key('revoke', serial)).err, /there is no key with the serial/);

  const remote = ['--url', g.url, '--key', admin.token];
  const other = await hookmoon(['key', 'create', '--role', 'publishonly', '--topic-prefix', 'room-', '--cache', 'chat', ...remote]);
  const [theirs] = other.out.split('\n');
  assert.equal((await g.publish('room-1', 'hi', as(theirs))).status, 204);
  assert.match((await hookmoon(['key', 'list', ...remote])).out, /publishonly on topics that begin with "room-" of cache "chat"/);
  assert.equal((await hookmoon(['key', 'revoke', theirs, ...remote])).code, 0);
  assert.equal((await g.publish('room-1', 'hi', as(theirs))).status, 401);
});

test('what is wrong with a key is said', async (t) => {
  const path = folder(t, { 'hookmoon.lua': 'nonsense = 1', file: '' });
  const key = async (...args) => (await hookmoon(['key', ...args], { cwd: path })).err;
  assert.match(await key('create', '--role', 'boss'), /--role must be/);
  assert.match(await key('create', '--role', 'admin', '--cache', 'c'), /everything/);
  assert.match(await key('create', '--role', 'publishonly', '--topic', 'a', '--topic-prefix', 'b'), /exclude/);
  assert.match(await key('create', '--role', 'publishonly', '--valid-for', 'soon'), /30d or 12h/);
  assert.match(await key('list'), /hookmoon\.lua:1: nonsense/);
  assert.match(await key('list', '-c', '/dev/null', '--data', `${path}/file/x`), /cannot make the data directory .*file\/x/);
  assert.match(await key('create', '-c', '/dev/null', '--data', `${path}/d`, '--role', 'publishonly', '--id', 'x'.repeat(65)), /more than 64 characters/);
});
