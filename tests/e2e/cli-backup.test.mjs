// hookmoon backup: taken while the gateway writes, restored into a fresh data directory.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import test from 'node:test';

import { binary, folder, start, until } from './gateway.mjs';

const run = (args, options = {}) => new Promise((done) => {
  const child = spawn(binary, ['backup', ...args], options);
  let out = '', err = '';
  child.stdout.setEncoding('utf8').on('data', (d) => { out += d; });
  child.stderr.setEncoding('utf8').on('data', (d) => { err += d; });
  child.on('close', (code) => done({ code, out, err }));
});
const files = (path) => readdirSync(path).sort();

/** A data directory as a gateway leaves it: made by making a key. */
function data(t) {
  const path = folder(t);
  const made = spawnSync(binary, ['key', 'create', '--role', 'admin', '--data', `${path}/data`], { cwd: path, encoding: 'utf8' });
  assert.equal(made.status, 0, made.stderr);
  return { path, token: made.stdout.split('\n')[0] };
}

test('a backup under load has every item that was acknowledged before it began', async (t) => {
  const g = await start(t);
  const published = new Map(); // by topic, in order
  let going = true;
  const writers = ['a', 'b', 'c', 'd'].map(async (topic) => {
    const texts = published.set(topic, []).get(topic);
    while (going) {
      const text = `${topic}${texts.length + 1} ${'x'.repeat(500)}`;
      assert.equal((await g.publish(topic, text)).status, 204);
      texts.push(text);
    }
  });
  let before, r;
  try {
    await until(() => [...published.values()].every((texts) => texts.length >= 100), 'some items');
    before = new Map([...published].map(([topic, texts]) => [topic, texts.length]));
    r = await run([`${g.path}/b.db`, '--data', `${g.path}/data`]);
  } finally {
    going = false;
    await Promise.all(writers);
  }
  assert.equal(r.code, 0, r.err);
  assert.match(r.out, /b\.db: \d+ bytes, checked\n.*b\.db\.token\.key: the key that signs tokens/);
  const [{ item: { sequence_page: page } }] = await g.poll('a', 'sequence_number=1');
  await g.stop();

  const fresh = folder(t);
  mkdirSync(`${fresh}/data`, { mode: 0o700 });
  copyFileSync(`${g.path}/b.db`, `${fresh}/data/hookmoon.db`);
  copyFileSync(`${g.path}/b.db.token.key`, `${fresh}/data/token.key`);
  const restored = await start(t, { args: ['--data', `${fresh}/data`] });
  assert.equal((await restored.poll('a', 'sequence_number=1'))[0].item.sequence_page, page);
  for (const [topic, count] of before)
    assert.deepEqual(await restored.texts(topic, count).then((texts) => texts.slice(0, count)), published.get(topic).slice(0, count));
});

test('a backup is one file for its owner alone, beside the key; nothing else stays', async (t) => {
  const { path } = data(t);
  const r = await run(['b.db', '--data', 'data'], { cwd: path });
  assert.equal(r.code, 0, r.err);
  assert.deepEqual(files(path), ['b.db', 'b.db.token.key', 'data']);
  for (const name of ['b.db', 'b.db.token.key']) assert.equal(statSync(`${path}/${name}`).mode & 0o777, 0o600);
  assert.deepEqual(readFileSync(`${path}/b.db.token.key`), readFileSync(`${path}/data/token.key`));
  writeFileSync(`${path}/hookmoon.lua`, 'data = "data"\n');
  for (const args of [['c.db'], ['d.db', '-c', 'hookmoon.lua']]) assert.equal((await run(args, { cwd: path })).code, 0, args[0]);
});

test('the keys and what was revoked come back with it', async (t) => {
  const { path, token } = data(t);
  assert.equal((await run(['b.db', '--data', 'data'], { cwd: path })).code, 0);
  mkdirSync(`${path}/fresh`, { mode: 0o700 });
  copyFileSync(`${path}/b.db`, `${path}/fresh/hookmoon.db`);
  copyFileSync(`${path}/b.db.token.key`, `${path}/fresh/token.key`);
  const g = await start(t, { config: `open = false data = "${path}/fresh"` });
  const list = await fetch(`${g.url}/admin/keys`, { headers: { authorization: token } });
  assert.equal(list.status, 200);
  assert.equal((await list.json()).keys.length, 1);
});

test('an existing file is replaced only with --force', async (t) => {
  const { path } = data(t);
  writeFileSync(`${path}/b.db`, 'mine');
  const no = await run(['b.db', '--data', 'data'], { cwd: path });
  assert.equal(no.code, 1);
  assert.match(no.err, /b\.db is there already; give another name, or --force/);
  assert.equal(readFileSync(`${path}/b.db`, 'utf8'), 'mine');
  assert.equal((await run(['b.db', '--data', 'data', '--force'], { cwd: path })).code, 0);
  assert.match(readFileSync(`${path}/b.db`, 'latin1').slice(0, 15), /^SQLite format 3/);
  writeFileSync(`${path}/c.db.token.key`, 'mine');
  assert.match((await run(['c.db', '--data', 'data'], { cwd: path })).err, /c\.db\.token\.key is there already/);
  writeFileSync(`${path}/e.db.partial`, 'of one that was killed');
  assert.equal((await run(['e.db', '--data', 'data'], { cwd: path })).code, 0);
  assert.ok(!existsSync(`${path}/e.db.partial`));
});

test('what is wrong is said, and nothing partial stays', async (t) => {
  const { path } = data(t);
  const fails = async (said, args, options = {}) => {
    const r = await run(args, { cwd: path, ...options });
    assert.equal(r.code, 1, args.join(' '));
    assert.match(r.err, said, args.join(' '));
    assert.equal(r.out, '');
  };
  await fails(/there is no database at none\/hookmoon\.db: No such file.*--data/, ['b.db', '--data', 'none']);
  await fails(/cannot write none\/b\.db\.partial: No such file/, ['none/b.db', '--data', 'data']);
  mkdirSync(`${path}/odd`);
  writeFileSync(`${path}/odd/hookmoon.db`, 'this is not a database at all'.repeat(100));
  await fails(/cannot read odd\/hookmoon\.db: file is not a database/, ['b.db', '--data', 'odd']);
  writeFileSync(`${path}/hookmoon.lua`, 'nonsense = 1');
  await fails(/configuration has mistakes/, ['b.db']);
  assert.equal((await run([], { cwd: path })).code, 2);
  assert.equal((await run(['a', 'b'], { cwd: path })).code, 2);
  // A bound on the size of files stands for a disk that is full.
  const g = await start(t, { config: `data = "${path}/data"` });
  for (let i = 0; i < 300; i++) {
    const body = JSON.stringify({ name: `${i} ${'x'.repeat(240)}` });
    assert.equal((await fetch(`${g.url}/admin/caches`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })).status, 201);
  }
  await g.stop();
  const full = spawnSync('sh', ['-c', `trap '' XFSZ; ulimit -f 128; exec "$0" backup b.db --data data`, binary], { cwd: path, encoding: 'utf8' });
  assert.equal(full.status, 1, full.stderr);
  assert.match(full.stderr, /(cannot write b\.db\.partial: .*File too large|the disk of b\.db is full)/);
  mkdirSync(`${path}/bad`);
  copyFileSync(`${path}/data/hookmoon.db`, `${path}/bad/hookmoon.db`);
  truncateSync(`${path}/bad/hookmoon.db`, statSync(`${path}/bad/hookmoon.db`).size - 4096);
  await fails(/bad\/hookmoon\.db.*(damaged|malformed)/, ['b.db', '--data', 'bad']);
  assert.deepEqual(files(path), ['bad', 'data', 'hookmoon.lua', 'odd']);
});
