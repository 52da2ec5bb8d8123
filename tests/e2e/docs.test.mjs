// Every command and script of README and docs/ does what it says.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'node:test';

import { Gateway, binary, folder, patience, root } from './gateway.mjs';

/** The fenced blocks of a page: {kind, text, line}. */
function blocks(page) {
  const found = [];
  let block;
  readFileSync(join(root, page), 'utf8').split('\n').forEach((line, i) => {
    const fence = line.match(/^```(\S*)/);
    if (fence && !block) block = { kind: fence[1], text: '', line: i + 1, page };
    else if (fence) { found.push(block); block = undefined; } else if (block) block.text += `${line}\n`;
  });
  assert.equal(block, undefined, `${page}: a block is not closed`);
  return found;
}

/** Serves a folder, on a free port, by its hookmoon.lua or as the demo. */
async function serve(path) {
  const child = spawn(binary, ['serve', '--listen', '127.0.0.1:0'], { cwd: path });
  const gateway = new Gateway(child, path);
  gateway.url = (await gateway.log({ message: 'listening' })).url;
  return gateway;
}

/** A folder as a clone is, with the built binary and the SDKs, served; `again` serves it anew. */
async function clone(t) {
  const path = folder(t);
  cpSync(join(root, 'scripts'), join(path, 'scripts'), { recursive: true });
  symlinkSync(binary, join(path, 'hookmoon'));
  symlinkSync(join(root, 'tests/e2e/node_modules'), join(path, 'node_modules'));
  const it = { path, gateway: await serve(path) };
  t.after(() => it.gateway.stop());
  it.again = async () => {
    await it.gateway.stop();
    it.gateway = await serve(path);
  };
  return it;
}

/** A page's address of the gateway is an example: it becomes the real one. */
function point(text, url) {
  const { host, port } = new URL(url);
  return text.replaceAll('127.0.0.1:8080', host).replaceAll('port: 8080', `port: ${port}`);
}

/**
 * Runs JavaScript as a file of that folder. A page of the web SDK gets what it needs of a browser;
 * WebhookUtils is in an older SDK only.
 */
function runJavaScript(path, text, key) {
  const file = join(path, 'example.mjs');
  const older = text.includes('WebhookUtils');
  writeFileSync(file, older ? text.replaceAll("'@gomomento/sdk'", "'sdk-1111'") : text);
  const browser = text.includes('@gomomento/sdk-web') ? ['--import', join(root, 'tests/e2e/dom.mjs')] : [];
  return spawnSync(process.execPath, [...browser, file], {
    cwd: path, encoding: 'utf8', timeout: patience, env: { ...process.env, HOOKMOON_KEY: key },
  });
}

const matches = (expected, got) => new RegExp(
  `^${expected.trim().split('…').map((s) => s.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*')}$`).test(got.trim());

const pages = ['README.md', 'CONTRIBUTING.md', ...readdirSync(join(root, 'docs')).filter((n) => n.endsWith('.md')).map((n) => `docs/${n}`)];

const notRun = ['console', 'text', 'output', 'json', 'python', 'go', 'java', 'csharp', 'rust'];

for (const page of pages) {
  test(`the blocks of ${page} run`, async (t) => {
    const all = blocks(page);
    if (all.length === 0) return;
    const it = await clone(t);
    const { path } = it;
    const forSdks = all.some(({ kind }) => kind === 'js');
    let key = ''; // the last one that the page made
    for (const [i, { kind, text, line }] of all.entries()) {
      const where = `${page}:${line}`;
      const check = (r) => {
        assert.equal(r.status, 0, `${where}: ${r.stdout}\n${r.stderr}`);
        const next = all[i + 1];
        if (next?.kind === 'output') assert.ok(matches(next.text, r.stdout), `${where} printed\n${r.stdout}\n${r.stderr}`);
      };
      if (kind === 'sh') {
        const r = spawnSync('sh', ['-eu'], { input: text.replaceAll('http://127.0.0.1:8080', it.gateway.url), cwd: path, encoding: 'utf8', timeout: 30000 });
        check(r);
        key = r.stdout.match(/eyJlbmRwb2ludCI6[\w+/=]+/)?.[0] ?? key; // base64 of {"endpoint":
      } else if (kind === 'js') {
        check(runJavaScript(path, point(text, it.gateway.url), key));
      } else if (kind === 'lua') {
        const name = text.match(/^-- (\S+\.lua)\n/)?.[1];
        assert.ok(name, `${where}: the first line names no file`);
        mkdirSync(dirname(join(path, name)), { recursive: true });
        if (!existsSync(join(path, name)) || name !== 'scripts/uppercase.lua') writeFileSync(join(path, name), text);
        const r = name === 'hookmoon.lua'
          ? spawnSync(binary, ['check', '-c', name], { cwd: path, encoding: 'utf8' })
          : /\/(bundle|words)\.lua$/.test(name) ? { status: 0 }
            : name.endsWith('/main.lua') ? { status: 0 }
              : spawnSync(binary, ['run', name, '--event', '-'], { cwd: path, input: '{"text":"x"}', encoding: 'utf8' });
        assert.equal(r.status, 0, `${where}: ${r.stderr}`);
        if (name === 'hookmoon.lua' && forSdks) await it.again(); // what follows is for this one
      } else {
        assert.ok(notRun.includes(kind), `${where}: no test knows "${kind}"`);
      }
    }
  });
}

test('the links of all pages lead somewhere', () => {
  for (const page of pages) {
    for (const [, target] of readFileSync(join(root, page), 'utf8').matchAll(/\]\(([^)#]+)(#[^)]*)?\)/g)) {
      if (!/^https?:/.test(target)) assert.ok(existsSync(join(root, dirname(page), target)), `${page}: ${target}`);
    }
  }
});

test('operations.md lists every limit, and each metric is one that is served', async (t) => {
  const { url } = (await clone(t)).gateway;
  const text = readFileSync(join(root, 'docs/operations.md'), 'utf8');
  const schema = readFileSync(join(root, 'src/config/config_schema.c'), 'utf8');
  const names = [...schema.matchAll(/\{"(\w+)",[^{}]*\bLIMIT\(/g)].map((m) => m[1]);
  assert.ok(names.length > 15, 'the table of limits was found');
  for (const name of names) assert.ok(text.includes(`\`${name}\``), `limits.${name}`);
  const served = await (await fetch(`${url}/metrics`)).text();
  for (const [, name] of text.matchAll(/`(hookmoon_\w+)`/g)) assert.ok(served.includes(name), name);
});
