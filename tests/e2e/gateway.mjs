// Starts the real gateway for a test, on a free port, in a folder of its own.
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
export const binary = resolve(root, process.env.HOOKMOON ?? 'hookmoon');
export const secret = 'test-secret';

// A sanitizer's build runs several times slower; waits are bounded by this.
export const patience = 20_000;

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Waits until `check` returns something true, and returns it. */
export async function until(check, what = 'a condition') {
  const end = Date.now() + patience;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await sleep(20);
  }
}

/** Writes files into a fresh folder that goes away with the test. */
export function folder(t, files = {}) {
  const path = mkdtempSync(join(tmpdir(), 'hookmoon-test-'));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), text);
  }
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

export class Gateway {
  logs = [];
  stderr = '';

  constructor(child, path) {
    this.child = child;
    this.path = path;
    child.stdout.resume();
    let rest = '';
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (text) => {
      this.stderr += text;
      const lines = (rest + text).split('\n');
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith('{')) this.logs.push(JSON.parse(line));
      }
    });
    // Its code, or the signal's name; "close" comes when its last output was read.
    this.exited = new Promise((done) => child.on('close', (code, signal) => done(code ?? signal)));
  }

  /** A log line whose fields equal those of `wanted`. */
  log(wanted) {
    return until(
      () => this.logs.find((l) => Object.entries(wanted).every(([k, v]) => l[k] === v)),
      `the log line ${JSON.stringify(wanted)}`);
  }

  publish(topic, body, { cache = 'chat', headers = {} } = {}) {
    return fetch(`${this.url}/topics/${encodeURIComponent(cache)}/${encodeURIComponent(topic)}`, {
      method: 'POST', body, headers: { 'content-type': 'text/plain', ...headers },
    });
  }

  /** One long poll; its items. */
  async poll(topic, query = 'sequence_number=1', { cache = 'chat', headers = {} } = {}) {
    const response = await fetch(
      `${this.url}/topics/${encodeURIComponent(cache)}/${encodeURIComponent(topic)}?${query}`,
      { headers });
    if (response.status !== 200) throw new Error(`status ${response.status}: ${await response.text()}`);
    return (await response.json()).items;
  }

  /** The texts of the first `count` items of a topic. */
  async texts(topic, count, options) {
    const texts = [];
    let page = 0;
    while (texts.length < count) {
      const items = await this.poll(
        topic, `sequence_number=${texts.length + 1}&sequence_page=${page}`, options);
      for (const { item } of items) {
        if (!item) continue;
        texts.push(item.value.text);
        page = item.sequence_page;
      }
    }
    return texts;
  }

  /** POSTs to a hook; without a signature of its own it is signed rightly. */
  hook(name, body, { signature = sign(body), headers = {}, method = 'POST' } = {}) {
    const all = { 'content-type': 'application/json', ...headers };
    if (signature !== null) all['momento-signature'] = signature;
    return fetch(`${this.url}/hooks/${name}`, { method, body, headers: all });
  }

  async metric(name) {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const line = text.split('\n').find((l) => l.startsWith(`${name} `));
    return line === undefined ? undefined : Number(line.slice(name.length + 1));
  }

  async stop(signal = 'SIGTERM') {
    this.child.kill(signal);
    return this.exited;
  }
}

/**
 * Starts `hookmoon serve`. `config` is Lua; `scripts` is {'name.lua': text}. The test fails when the
 * gateway does not end well (a sanitizer's complaint is an exit code, too).
 */
export async function start(t, { config = '', scripts = {}, args = [], env = {}, listen = '127.0.0.1:0' } = {}) {
  const files = {};
  for (const [name, text] of Object.entries(scripts)) files[`scripts/${name}`] = text;
  const path = folder(t, files);
  writeFileSync(join(path, 'hookmoon.lua'), `${defaults}data = "${path}/data"\n${config}`);
  mkdirSync(join(path, 'scripts'), { recursive: true });
  const child = spawn(
    binary, ['serve', '-c', join(path, 'hookmoon.lua'), '--listen', listen, ...args],
    { cwd: root, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const gateway = new Gateway(child, path);
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    const result = await gateway.exited;
    if (result === (gateway.expect ?? 0)) return;
    // Said at once: when the test has failed as well, its own error is all that is reported.
    console.error(`the gateway ended with ${result}:\n${gateway.stderr.slice(-6000)}`);
    throw new Error(`the gateway ended with ${result}`);
  });
  const line = await Promise.race([
    gateway.log({ message: 'listening' }),
    gateway.exited.then((result) => { throw new Error(`exit ${result}: ${gateway.stderr}`); }),
  ]);
  gateway.url = line.url;
  gateway.pid = child.pid;
  return gateway;
}

const defaults = `
library = "${root}/lua-lib"
open = true
workers = 2
caches = { "chat" }
limits = { stop_grace = "5s" }
`;

/** For a test of the ring: what is past it is gone. */
export const inMemory = 'caches = { { name = "chat", durability = "memory" } }';

let number = 0;

/** An event in Momento's shape, new each time. */
export function event(fields = {}) {
  const now = Date.now();
  return JSON.stringify({
    cache: 'chat', topic: 'topic 1', event_timestamp: now, publish_timestamp: now,
    topic_sequence_number: ++number, token_id: '', text: 'a value', ...fields,
  });
}

export const sign = (body, key = secret) => createHmac('sha3-256', key).update(body).digest('hex');
