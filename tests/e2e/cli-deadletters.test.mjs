// hookmoon deadletters: against a gateway's answers as docs/admin-api.md has them, and a real one.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import test from 'node:test';

import { binary, event, folder, secret, start, until } from './gateway.mjs';

function hookmoon(args, { env = {}, cwd } = {}) {
  return new Promise((done) => {
    const child = spawn(binary, args, { cwd, env: { ...process.env, HOOKMOON_URL: '', HOOKMOON_KEY: '', ...env } });
    let out = '', err = '';
    child.stdout.setEncoding('utf8').on('data', (d) => { out += d; });
    child.stderr.setEncoding('utf8').on('data', (d) => { err += d; });
    child.on('close', (code) => done({ code, out, err }));
  });
}

const letter = (id, fields = {}) => ({
  id, kind: 'script', hook: 'uppercase', created: '2026-11-23T10:00:00Z', updated: '2026-11-23T10:05:00Z', attempts: 3,
  error: 'scripts/uppercase.lua:3: attempt to index a nil value', cache: 'chat', topic: 'topic 1', topic_sequence_number: id + 5, ...fields,
});
const delivery = (id) => letter(id, { kind: 'delivery', hook: undefined, webhook: 'out', url: 'https://example.com/in', error: 'status 500' });

/** Serves the dead letters as the admin API does, two a page at most. */
async function fake(t, letters, { refuse = {} } = {}) {
  const g = { letters: new Map(letters.map((l) => [l.id, l])), requests: [] };
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, 'http://x');
    let body = '';
    for await (const part of request) body += part;
    g.requests.push({ method: request.method, path: url.pathname, query: Object.fromEntries(url.searchParams), body, key: request.headers.authorization });
    const answer = (status, json) => { response.writeHead(status, { 'content-type': 'application/json' }); response.end(json && JSON.stringify(json)); };
    const [, , , id, verb] = url.pathname.split('/');
    if (id === undefined) {
      const q = (name) => url.searchParams.get(name);
      const all = [...g.letters.values()].filter((l) => l.id > Number(q('after') ?? 0) && ['kind', 'hook', 'cache', 'webhook'].every((f) => !q(f) || l[f] === q(f)));
      const page = all.slice(0, Math.min(2, Number(q('limit') ?? 2)));
      return answer(200, { deadletters: page, next: page.length < all.length ? page.at(-1).id : null });
    }
    const l = g.letters.get(Number(id));
    if (!l) return answer(404, { code: 'not_found', message: 'there is no such dead letter' });
    if (refuse[id]) return answer(refuse[id], { code: 'internal', message: 'uppercase.lua:3: it fails again' });
    if (request.method === 'GET') return answer(200, { ...l, traceback: 'stack traceback:\n\tuppercase.lua:3: in on_event', headers: { 'content-type': 'application/json' }, event: '{"text":"x"}', bundle_version: '1.2.0' });
    if (verb === 'replay') {
      const dry = JSON.parse(body).dry_run === true;
      if (!dry) g.letters.delete(l.id);
      return answer(200, l.kind === 'delivery' ? { publishes: [], queued: true, dry_run: dry }
        : { publishes: [{ cache: 'chat', topic: 'topic 2', text: `A ${id}` }, { cache: 'chat', topic: 'b', binary: '/w==' }], dry_run: dry });
    }
    g.letters.delete(l.id);
    return answer(204);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => { server.closeAllConnections?.(); server.close(); });
  g.url = `http://127.0.0.1:${server.address().port}`;
  g.run = (...args) => hookmoon(['deadletters', ...args], { env: { HOOKMOON_URL: g.url, HOOKMOON_KEY: 'the-key' } });
  return g;
}

test('the list follows the pages, as a table and as JSON', async (t) => {
  const g = await fake(t, [letter(1), letter(2), delivery(3), letter(14, { topic: 'größe', error: 'red \x1b[31m\nsecond line' }), letter(15)]);
  const { code, out, err } = await g.run('list');
  assert.equal(code, 0, err);
  const lines = out.trimEnd().split('\n');
  assert.equal(lines.length, 6);
  assert.match(lines[0], /^ID +KIND +OF +ITEM +ATTEMPTS +UPDATED +ERROR$/);
  assert.match(lines[1], /^1 +script +uppercase +chat\/topic 1:6 +3 +2026-11-23T10:05:00Z +scripts\/uppercase\.lua:3: attempt/);
  assert.match(lines[3], /^3 +delivery +out +chat\/topic 1:8 .* status 500$/);
  assert.match(lines[4], /red \?\[31m$/);
  assert.equal(new Set(lines.map((l) => [...l].join('').search(/ERROR|scripts|status|red/))).size, 1, 'the columns are straight');
  assert.deepEqual(g.requests.map((r) => r.query.after), [undefined, '2', '14']);
  assert.equal(g.requests[0].key, 'the-key');
  assert.deepEqual(JSON.parse((await g.run('list', '--json')).out).deadletters.map((l) => l.id), [1, 2, 3, 14, 15]);
  assert.deepEqual(JSON.parse((await g.run('list', '--json', '--limit', '3')).out).deadletters.map((l) => l.id), [1, 2, 3]);
  assert.deepEqual(JSON.parse((await g.run('list', '--json', '--kind', 'delivery', '--webhook', 'out', '--cache', 'chat')).out).deadletters.map((l) => l.id), [3]);
  assert.equal((await g.run('list', '--hook', 'a&b=c')).out, '');
  assert.equal(g.requests.at(-1).query.hook, 'a&b=c');
});

test('show tells everything, as text, as JSON, or the event alone', async (t) => {
  const g = await fake(t, [letter(7), delivery(8)]);
  const { out } = await g.run('show', '7');
  assert.match(out, /^dead letter 7: an event that the script failed on\n +hook +uppercase\n +bundle +1\.2\.0\n +item +chat\/topic 1, number 12\n +attempts +3\n/);
  assert.match(out, /\ntraceback:\n {2}stack traceback:\n {3}uppercase\.lua:3: in on_event\n\nheaders:\n {2}content-type: application\/json\n\nevent:\n {2}\{"text":"x"\}\n$/);
  assert.match((await g.run('show', '8')).out, /^dead letter 8: a delivery that the destination did not take\n +bundle .*\n +webhook +out\n +url +https:\/\/example\.com\/in\n/);
  assert.equal(JSON.parse((await g.run('show', '7', '--json')).out).id, 7);
  assert.equal((await g.run('show', '7', '--event')).out, '{"text":"x"}\n');
  const none = await g.run('show', '99');
  assert.equal(none.code, 1);
  assert.match(none.err, /status 404\): there is no such dead letter/);
});

test('replay prints what was published, and goes on after a failure', async (t) => {
  const g = await fake(t, [letter(1), letter(2), delivery(3)], { refuse: { 2: 500 } });
  const dry = await g.run('replay', '1', '--dry-run');
  assert.equal(dry.code, 0, dry.err);
  assert.deepEqual(dry.out.trim().split('\n').map((l) => JSON.parse(l)), [
    { id: 1, cache: 'chat', topic: 'topic 2', text: 'A 1' }, { id: 1, cache: 'chat', topic: 'b', binary: '/w==' }]);
  assert.deepEqual(g.requests.at(-1), { method: 'POST', path: '/admin/deadletters/1/replay', query: {}, body: '{"dry_run":true}', key: 'the-key' });
  assert.equal(g.letters.size, 3);
  const all = await g.run('replay', '--all');
  assert.equal(all.code, 1);
  assert.equal(all.out.trim().split('\n').length, 3);
  assert.deepEqual(JSON.parse(all.out.trim().split('\n')[2]), { id: 3, queued: true });
  assert.match(all.err, /dead letter 2: refused \(status 500\): uppercase\.lua:3: it fails again\n.*1 of 3 failed\n$/);
  assert.deepEqual([...g.letters.keys()], [2]);
  const these = await g.run('replay', '2', '77');
  assert.match(these.err, /dead letter 2: [\s\S]*dead letter 77: [\s\S]*2 of 2 failed/);
});

test('a gateway that is gone, or a key that is not good enough, is told of once', async (t) => {
  const g = await fake(t, [letter(1), letter(2), letter(3)], { refuse: { 1: 403 } });
  const refused = await g.run('replay', '1', '2', '3');
  assert.equal(refused.code, 1);
  assert.match(refused.err, /1 of 3 failed, and what came after was not tried/);
  const gone = await hookmoon(['deadletters', 'drop', '1', '2', '--url', 'http://127.0.0.1:1']);
  assert.equal(gone.code, 1);
  assert.equal(gone.err.match(/cannot reach/g).length, 1);
});

test('drop takes some, those of a filter, or with --yes all', async (t) => {
  const g = await fake(t, [letter(1), letter(2), delivery(3), letter(4, { hook: 'other' }), letter(5)]);
  assert.equal((await g.run('drop', '1')).out, '');
  const all = await g.run('drop', '--all');
  assert.equal(all.code, 2);
  assert.match(all.err, /every dead letter: add --yes/);
  assert.equal(g.letters.size, 4);
  const some = await g.run('drop', '--all', '--hook', 'other');
  assert.equal(some.code, 0);
  assert.match(some.err, /^hookmoon: 1 dropped\n$/);
  assert.deepEqual([...g.letters.keys()], [2, 3, 5]);
  assert.match((await g.run('drop', '--all', '--yes')).err, /3 dropped/);
  assert.equal(g.letters.size, 0);
});

test('of a real gateway: an event that failed is mended, tried and published', async (t) => {
  const data = folder(t);
  const config = `data = "${data}/data" hooks = { upper = { secret = "${secret}", ack = "received", retries = 0 } }`;
  const broken = await start(t, { config, scripts: { 'upper.lua': 'function on_event(e)\n  publish("out", e.txet:upper())\nend' } });
  assert.equal((await broken.hook('upper', event({ text: 'first', topic_sequence_number: 41 }))).status, 202);
  assert.equal((await broken.hook('upper', event({ text: 'second', topic_sequence_number: 42 }))).status, 202);
  const ours = (g, ...args) => hookmoon(['deadletters', ...args], { env: { HOOKMOON_URL: g.url } });
  const letters = await until(async () => {
    const { deadletters } = JSON.parse((await ours(broken, 'list', '--json')).out);
    return deadletters.length === 2 && deadletters;
  }, 'the dead letters');
  assert.deepEqual(letters.map((l) => [l.kind, l.hook, l.cache, l.topic, l.topic_sequence_number, l.attempts]).sort(),
    [['script', 'upper', 'chat', 'topic 1', 41, 1], ['script', 'upper', 'chat', 'topic 1', 42, 1]]);
  const [{ id }] = letters;
  const shown = (await ours(broken, 'show', id)).out;
  assert.match(shown, /error +.*upper\.lua:2: attempt to index a nil value/);
  assert.match(shown, /\ntraceback:\n[\s\S]*upper\.lua:2: in [\s\S]*\nheaders:\n[\s\S]*\nevent:\n {2}\{"cache":"chat"/);
  const again = await ours(broken, 'replay', id);
  assert.equal(again.code, 1);
  assert.match(again.err, /upper\.lua:2:/);
  await broken.stop();

  const mended = await start(t, { config, scripts: { 'upper.lua': 'function on_event(e)\n  publish("out", e.text:upper())\nend' } });
  const dry = await ours(mended, 'replay', '--all', '--hook', 'upper', '--dry-run');
  assert.equal(dry.code, 0, dry.err);
  assert.deepEqual(dry.out.trim().split('\n').map((l) => JSON.parse(l).text).sort(), ['FIRST', 'SECOND']);
  assert.match(dry.err, /2 replayed \(only tried, nothing has changed\)/);
  assert.equal(JSON.parse((await ours(mended, 'list', '--json')).out).deadletters.length, 2);
  assert.equal((await ours(mended, 'replay', id)).code, 0);
  assert.equal((await mended.texts('out', 1)).length, 1);
  assert.equal((await ours(mended, 'drop', '--all', '--kind', 'script')).code, 0);
  assert.equal((await ours(mended, 'list')).out, '');
});

test('of a real gateway: a delivery goes back into the queue', async (t) => {
  const got = [];
  let status = 500;
  const target = createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    got.push({ id: request.headers['webhook-id'], text: JSON.parse(body).text, status });
    response.writeHead(status).end();
  });
  await new Promise((done) => target.listen(0, '127.0.0.1', done));
  t.after(() => { target.closeAllConnections?.(); target.close(); });
  const g = await start(t, { config: `webhooks = { { cache = "chat", name = "out", topic = "t", url = "http://127.0.0.1:${target.address().port}/", secret = "${secret}",
    retry = { first = "10ms", factor = 2, max = "50ms", give_up = "200ms" } } }` });
  const ours = (...args) => hookmoon(['deadletters', ...args], { env: { HOOKMOON_URL: g.url } });
  assert.equal((await g.publish('t', 'hello')).status, 204);
  const letter = await until(async () => JSON.parse((await ours('list', '--json', '--webhook', 'out')).out).deadletters[0], 'the dead letter');
  assert.deepEqual([letter.kind, letter.cache, letter.topic, letter.topic_sequence_number], ['delivery', 'chat', 't', 1]);
  assert.match((await ours('show', letter.id)).out, /^dead letter \d+: a delivery that [\s\S]*webhook +out\n +url +http:[\s\S]*event:\n/);
  status = 204;
  const r = await ours('replay', letter.id);
  assert.deepEqual([r.code, r.out], [0, `{"id":${letter.id},"queued":true}\n`], r.err);
  await until(() => got.at(-1).status === 204, 'the delivery');
  assert.deepEqual([got.at(-1).text, new Set(got.map((x) => x.id)).size], ['hello', 1]);
  await until(async () => (await ours('list')).out === '', 'an empty list');
});

test('what is wrong with a command line is said', async () => {
  const wrong = { '': /expected is list/, 'list 1': /expected is list/, show: /expected is list/, 'show x': /x: an ID is a number/, replay: /either an ID/, 'replay 1 --all': /either an ID/,
    'replay 1 --hook h': /filters go with --all/, 'list --kind odd': /script or delivery/, 'list --limit 0': /--limit 0/, 'drop 1 --dry-run': /--dry-run goes with replay/, 'list --nope': /unknown/ };
  for (const [line, said] of Object.entries(wrong)) {
    const r = await hookmoon(['deadletters', ...line.split(' ').filter(Boolean)]);
    assert.equal(r.code, 2, line);
    assert.match(r.err, said, line);
  }
});
