// The unmodified web SDK in a real browser: Debian's Chromium without a window.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { buildSync } from 'esbuild';
import { chromium } from 'playwright-core';
import { start, until } from './gateway.mjs';

// One file with the SDK, as an application's bundler makes it.
const bundle = buildSync({
  stdin: { contents: "import * as momento from '@gomomento/sdk-web'; globalThis.momento = momento;", resolveDir: import.meta.dirname ?? new URL('.', import.meta.url).pathname },
  bundle: true, write: false, format: 'iife', platform: 'browser', logLevel: 'error', define: { global: 'globalThis', 'process.env.NODE_ENV': '"production"' },
}).outputFiles[0].text;

/** A page of `host` with the SDK in it and clients that call the gateway. */
async function open(t, g, host = 'localhost', key = 'none') {
  const server = createServer((request, response) => {
    const script = request.url === '/sdk.js';
    response.setHeader('content-type', script ? 'text/javascript' : 'text/html');
    response.end(script ? bundle : '<!doctype html><script src="/sdk.js"></script>');
  }).listen(0, '127.0.0.1');
  await new Promise((done) => server.on('listening', done));
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', `--host-resolver-rules=MAP ${host} 127.0.0.1`] });
  t.after(async () => { await browser.close(); server.closeAllConnections?.(); server.close(); });
  const page = await browser.newPage();
  await page.goto(`http://${host}:${server.address().port}/`);
  await page.evaluate(([url, apiKey]) => {
    const { CacheClient, Configurations, CredentialProvider, TopicClient, TopicConfigurations } = globalThis.momento;
    const credentialProvider = CredentialProvider.fromString({ apiKey: btoa(JSON.stringify({ endpoint: 'x', api_key: apiKey })),
      endpointOverrides: { cacheEndpoint: url, controlEndpoint: url, tokenEndpoint: url } });
    Object.assign(globalThis, {
      topics: new TopicClient({ configuration: TopicConfigurations.Browser.latest(), credentialProvider }),
      cache: new CacheClient({ configuration: Configurations.Browser.v1(), credentialProvider, defaultTtlSeconds: 60 }),
      got: { values: [], errors: [], gaps: 0 },
      listen: async (topic) => (await globalThis.topics.subscribe('chat', topic, {
        onItem: (i) => globalThis.got.values.push(i.value()), onError: (e) => globalThis.got.errors.push(e.toString()),
        onDiscontinuity: () => { globalThis.got.gaps++; } })).toString(),
      say: async (topic, value) => (await globalThis.topics.publish('chat', topic, value)).toString(),
    });
  }, [g.url, key]);
  return page;
}

const got = (page) => page.evaluate(() => globalThis.got);

test('Chromium: subscribe, publish, and go on after the gateway was restarted', async (t) => {
  const first = await start(t);
  const page = await open(t, first);
  assert.equal(await page.evaluate(async () => (await globalThis.cache.createCache('new')).toString()), 'Success');
  assert.equal(await page.evaluate(() => globalThis.listen('t')), 'Subscription');
  for (const value of ['one', 'Grüße 🌍']) assert.equal(await page.evaluate((v) => globalThis.say('t', v), value), 'Success');
  await until(async () => (await got(page)).values.length === 2);
  assert.equal(await first.stop(), 0);
  const second = await start(t, { listen: new URL(first.url).host, config: `data = "${first.path}/data"` });
  await until(async () => await second.metric('hookmoon_grpc_subscribers') === 1, 'the page to come back');
  await second.publish('t', 'after');
  await until(async () => (await got(page)).values.length === 3);
  assert.deepEqual(await got(page), { values: ['one', 'Grüße 🌍', 'after'], errors: [], gaps: 0 });
});

test('Chromium: a page of another origin is let in with a key, and without one is not', async (t) => {
  const keyed = await start(t, { config: 'open = false keys = { { id = "a", key = "alice-key-1", role = "publishsubscribe" } }' });
  const page = await open(t, keyed, 'app.example', 'alice-key-1');
  assert.equal(await page.evaluate(() => globalThis.listen('t')), 'Subscription');
  assert.equal(await page.evaluate(() => globalThis.say('t', 'hi')), 'Success');
  await until(async () => (await got(page)).values.length === 1);
  const unkeyed = await start(t);
  const other = await open(t, unkeyed, 'evil.example');
  assert.notEqual(await other.evaluate(() => globalThis.say('t', 'x')), 'Success');
  assert.equal(await unkeyed.metric('hookmoon_items_published_total'), 0);
});
