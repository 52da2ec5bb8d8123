// One gateway with a port and a data directory, which it keeps over its many lives.
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { binary, root, sleep } from '../e2e/gateway.mjs';
import { request } from './http.mjs';

export const PATIENCE_MS = 20_000;

/**
 * A free port below those that the kernel gives to clients: from there, a client that calls a gateway
 * which is down could be given the very port it calls, and keep it.
 */
async function freePort() {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = createServer().listen(port, '127.0.0.1');
    if (!(await once(server, 'listening').then(() => true, () => false))) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

export class Life {
  lives = 0;

  /** `path`: an empty folder; `config`: Lua; `scripts`: {'name.lua': text}. */
  static async create(path, { config, scripts, data = join(path, 'data'), env = {} }) {
    const life = new Life();
    const port = await freePort();
    Object.assign(life, { path, env, data, url: `http://127.0.0.1:${port}`, log: join(path, 'log') });
    mkdirSync(join(path, 'scripts'), { recursive: true });
    for (const [name, text] of Object.entries(scripts)) writeFileSync(join(path, 'scripts', name), text);
    writeFileSync(join(path, 'hookmoon.lua'), `
listen = "127.0.0.1:${port}"
data = "${data}"
library = "${root}/lua-lib"
open = true
workers = 2
log = { level = "info", format = "json" }
${config}`);
    return life;
  }

  /** Starts it and waits until it serves. */
  async start() {
    const log = openSync(this.log, 'a');
    this.child = spawn(binary, ['serve', '-c', join(this.path, 'hookmoon.lua')],
      { cwd: root, env: { ...process.env, ...this.env }, stdio: ['ignore', 'ignore', log] });
    closeSync(log);
    this.lives++;
    let result;
    this.exited = new Promise((done) => {
      this.child.on('error', (e) => done(e.message));
      this.child.on('close', (code, signal) => done(code ?? signal));
    }).then((end) => { result = end; return end; });
    for (const end = Date.now() + PATIENCE_MS; ; await sleep(5)) {
      if (result !== undefined) throw new Error(`the gateway ended with ${result} in its life ${this.lives}:\n${this.tail()}`);
      const answer = await request(this.url, '/ready', { timeout: 1000 }).catch(() => null);
      if (answer?.status === 200) return;
      if (Date.now() > end) throw new Error(`the gateway does not serve ${PATIENCE_MS} ms after its start:\n${this.tail()}`);
    }
  }

  /** SIGKILL. It is an error when it was gone before: then it had crashed by itself. */
  async kill() {
    const gone = this.child.exitCode ?? this.child.signalCode;
    if (gone !== null) throw new Error(`the gateway was gone before it was killed (${gone}):\n${this.tail()}`);
    this.child.kill('SIGKILL');
    await this.exited;
  }

  async stop() {
    if (!this.child || this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), PATIENCE_MS);
    const result = await this.exited;
    clearTimeout(timer);
    if (result !== 0) throw new Error(`the gateway ended with ${result} when it was told to stop:\n${this.tail()}`);
  }

  /** The last lines of its log. */
  tail(lines = 10) {
    return readFileSync(this.log, 'utf8').split('\n').slice(-lines - 1).join('\n');
  }
}
