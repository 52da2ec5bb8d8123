// Starting, refusing to start, and stopping.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import test from 'node:test';

import { binary, event, folder, root, secret, sleep, start, until } from './gateway.mjs';

/** Runs `hookmoon serve` to its end, which is soon when it refuses to start. */
function refuse(t, config, args = []) {
  const path = folder(t, { 'hookmoon.lua': config, 'scripts/a.lua': 'function on_event() end' });
  const r = spawnSync(binary, ['serve', '-c', `${path}/hookmoon.lua`, '--data', `${path}/data`, ...args], { encoding: 'utf8', timeout: 20000 });
  assert.notEqual(r.status, 0);
  assert.notEqual(r.status, null, 'it serves instead of refusing');
  return r.stderr;
}

test('it refuses to start without keys on an address that others reach', async (t) => {
  assert.match(refuse(t, 'open = true', ['--listen', '0.0.0.0:0']), /refusing to serve 0\.0\.0\.0:0 without keys[\s\S]*allow_open_public/);
  assert.match(refuse(t, 'listen = "[::]:0" open = true'), /without keys/);
  const named = await start(t, { config: 'allow_open_public = true', args: ['--listen', '0.0.0.0:0'] });
  assert.equal((await fetch(`${named.url}/ready`)).status, 200);
});

test('without any key it serves, and says how to make one', async (t) => {
  const g = await start(t, { config: 'open = false' });
  await g.log({ level: 'warn', data: `${g.path}/data` });
  assert.match(g.stderr, /there is no key yet[\s\S]*hookmoon key create/);
  assert.equal((await g.publish('t', 'x')).status, 401);
});

test('it refuses what cannot work, and says why', async (t) => {
  assert.match(refuse(t, 'open = true hooks = { b = { secret = "long-enough" } }', ['--listen', '127.0.0.1:0']), /hooks\["b"\].*no such script/);
  assert.match(refuse(t, 'open = true caches = {"c"} webhooks = { { cache = "c", name = "w", topic = "t", url = "/hooks/b", secret = "long-enough" } }', ['--listen', '127.0.0.1:0']), /webhook w points at \/hooks\/b/);
  assert.match(refuse(t, 'open = true scripts = "nowhere"', ['--listen', '127.0.0.1:0']), /cannot open the folder of scripts, .*nowhere/);
  assert.match(refuse(t, 'open = true\nlimits = { bdoy = 1 }'), /hookmoon\.lua:2: limits\.bdoy: .*did you mean "body"/);
  const g = await start(t);
  assert.match(refuse(t, 'open = true', ['--listen', new URL(g.url).host]) , /cannot listen on .*: Address already in use|EADDRINUSE|another/);
});

test('flags go before the file', async (t) => {
  const path = folder(t, { 'more/late.lua': 'function on_event() end', 'more/later.lua': 'function on_event() end' });
  const g = await start(t, { config: 'workers = 1 log = { level = "off" }',
    args: ['--scripts', `${path}/more`, '--workers', '3', '--log-level', 'info', '--log-format', 'json'] });
  assert.equal((await g.log({ message: 'listening' })).scripts, 2);
});

test('without a configuration it serves the demo', async (t) => {
  const path = folder(t);
  const child = spawn(binary, ['serve', '--listen', '127.0.0.1:0', '--scripts', `${root}/scripts`], { cwd: path });
  t.after(() => child.kill('SIGKILL'));
  let out = '', err = '';
  child.stdout.on('data', (d) => { out += d; });
  child.stderr.on('data', (d) => { err += d; });
  await until(() => out.includes('publish chat'));
  const url = out.match(/http:\S+/)[0];
  const r = spawnSync(binary, ['publish', 'chat', 'topic 1', 'a value', '--url', url], { encoding: 'utf8' });
  assert.equal(r.status, 0, r.stderr);
  const answer = await (await fetch(`${url}/topics/chat/topic%202?sequence_number=1`)).json();
  assert.equal(answer.items[0].item.value.text, 'A VALUE');
  child.kill('SIGINT');
  assert.equal(await new Promise((done) => child.on('exit', done)), 0);
});

test('on SIGTERM waiting subscribers are answered and it ends with 0', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT']) {
    const g = await start(t, { config: 'limits.stop_grace = "40s"' });
    const poll = fetch(`${g.url}/topics/chat/t`);
    const stream = await fetch(`${g.url}/topics/chat/t`, { headers: { accept: 'text/event-stream' } });
    await until(async () => await g.metric('hookmoon_http_subscribers{kind="long_poll"}') === 1);
    const began = Date.now();
    const code = g.stop(signal);
    assert.deepEqual(await (await poll).json(), { items: [] });
    assert.match(await stream.text(), /retry/);
    assert.equal(await code, 0);
    assert.ok(Date.now() - began < 15000);
    await assert.rejects(fetch(`${g.url}/ready`));
  }
});

test('a request that is under way is finished, an idle connection does not delay the end', async (t) => {
  const g = await start(t, { config: `hooks = { slow = { secret = "${secret}" } }`,
    scripts: { 'slow.lua': 'function on_event(e) local stop = os.clock() + 0.3 while os.clock() < stop do end publish("out", e.text) end' } });
  const idle = connect(new URL(g.url).port, '127.0.0.1');
  await new Promise((done) => idle.on('connect', done));
  idle.on('error', () => {});
  const answer = g.hook('slow', event());
  await sleep(100);
  const code = g.stop();
  assert.equal((await answer).status, 200);
  assert.equal(await code, 0);
  idle.destroy();
});

test('a client that never finishes its request does not hold up the end for longer than the grace', async (t) => {
  const g = await start(t, { config: 'limits.stop_grace = "500ms"' });
  const socket = connect(new URL(g.url).port, '127.0.0.1', () =>
    socket.write('POST /topics/chat/t HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc'));
  socket.on('error', () => {});
  await sleep(100);
  const began = Date.now();
  assert.equal(await g.stop(), 0);
  assert.ok(Date.now() - began < 8000);
});

test('stopping under load leaves nothing half done', async (t) => {
  const received = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (d) => { body += d; }).on('end', () => { received.push(JSON.parse(body).text); response.end(); });
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => { server.closeAllConnections(); server.close(); });
  const config = `webhooks = {
      { cache = "chat", name = "loop", topic = "in", url = "/hooks/up", secret = "${secret}" },
      { cache = "chat", name = "out", topic = "out", url = "http://127.0.0.1:${server.address().port}/", secret = "${secret}" } }`;
  const scripts = { 'up.lua': 'function on_event(e) publish("out", e.text:upper()) end' };
  const g = await start(t, { config, scripts });
  const accepted = [];
  let stopped = false;
  const publisher = async (name) => {
    for (let i = 0; !stopped; i++) {
      try {
        const r = await g.publish('in', `${name}-${i}`);
        await r.arrayBuffer();
        if (r.status === 204) accepted.push(`${name}-${i}`.toUpperCase());
        else assert.equal(r.status, 503);
      } catch { break; }
    }
  };
  const publishers = ['a', 'b', 'c', 'd', 'e', 'f'].map(publisher);
  await until(() => accepted.length > 300);
  const code = g.stop();
  const result = await code;
  stopped = true;
  await Promise.all(publishers);
  assert.equal(result, 0);
  // Everything that was acknowledged goes the whole way, before the stop or after the next start:
  // webhook, script, second topic, second webhook.
  await start(t, { config: `${config} data = "${g.path}/data"`, scripts });
  await until(() => accepted.every((text) => received.includes(text)), 'everything that was acknowledged');
  assert.equal(new Set(received).size, received.length);
});

test('a second signal ends it at once', async (t) => {
  const g = await start(t, { config: `limits.stop_grace = "40s" webhooks = { { cache = "chat", name = "w", topic = "t", url = "http://127.0.0.1:1/x", secret = "${secret}" } }` });
  const socket = connect(new URL(g.url).port, '127.0.0.1', () =>
    socket.write('POST /topics/chat/t HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc'));
  socket.on('error', () => {});
  await sleep(100);
  g.child.kill('SIGTERM');
  await g.log({ message: 'stopping' });
  const began = Date.now();
  g.child.kill('SIGTERM');
  assert.equal(await g.exited, 0);
  assert.ok(Date.now() - began < 15000);
});
