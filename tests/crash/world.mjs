// A gateway with everything around it: publishers, callers of hooks, subscribers, the receiver of its
// webhooks. A scenario lets the load run, does its harm, and asks at the end whether all is well.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sleep } from '../e2e/gateway.mjs';
import { check } from './checker.mjs';
import { newAgent, pathOf, request } from './http.mjs';
import { Life } from './life.mjs';
import { pack, unpack } from './payload.mjs';
import { worker } from './publishers.mjs';
import { Random } from './random.mjs';
import { Receiver } from './receiver.mjs';
import { audit, subscriber } from './subscribers.mjs';

const SETTLE_MS = 30_000;
const QUIET_MS = 12_000; // what has not come by then, with nothing else coming, does not come
const secrets = { hook: 'the-secret-of-the-hooks', webhook: 'the-secret-of-the-webhooks' };

const script = (topics) => `function on_event(event)
  if event.text:find("fail", 1, true) then error("told to fail") end
${topics.map((t) => `  publish("${t}", event.text)`).join('\n')}
end
`;

// Each hook publishes to two topics: both or neither is right.
const hooks = {
  processed: { topics: ['processed', 'processed too'], config: 'ack = "processed"' },
  received: { topics: ['received', 'received too'], config: 'ack = "received", retries = 1' },
};

/** The webhooks that every world has, unless it brings its own. */
const usual = [
  { name: 'steady', topic: 'a' },
  { name: 'ordered', topic: 'b', order: 'topic' },
  { name: 'once', topic: 'a', delivery: 'once' },
  { name: 'outbound', topic: 'processed' },
];

export class World {
  topics = {};
  publishes = [];
  subscribers = [];
  webhooks = [];
  events = [];
  deadletters = new Map();
  #workers = [];
  #agent = newAgent();

  /** Starts the gateway. `data`: its data directory; `env`: more variables. */
  static async create(name, seed, { webhooks = usual, data, env } = {}) {
    const world = new World();
    world.name = name;
    world.seed = seed;
    world.random = new Random(seed, name);
    world.path = mkdtempSync(join(tmpdir(), `hookmoon-crash-${name}-`));
    world.receiver = await Receiver.start();
    for (const w of webhooks)
      world.webhooks.push(world.receiver.add({ ...w, topic: `disk/${w.topic}`, secret: secrets.webhook }));
    world.life = await Life.create(world.path, {
      data, env,
      scripts: Object.fromEntries(Object.entries(hooks).map(([hook, { topics }]) => [`${hook}.lua`, script(topics)])),
      config: configuration(world.receiver.url, webhooks),
    });
    await world.life.start();
    return world;
  }

  get url() {
    return this.life.url;
  }

  /** Subscribes to everything, and waits until those who begin with what is new are there. */
  async subscribe() {
    const kinds = { a: ['stream', 'poll', 'grpc', 'sdk'], b: ['stream', 'grpc'] };
    for (const { topics } of Object.values(hooks)) kinds[topics[0]] = ['stream', 'grpc'], kinds[topics[1]] = ['poll'];
    for (const [topic, list] of Object.entries(kinds)) {
      this.topics[`disk/${topic}`] = { durable: true };
      for (const kind of list) this.subscribers.push(subscriber(kind, this.url, 'disk', topic));
    }
    this.topics['mem/m'] = { durable: false };
    this.subscribers.push(subscriber('stream', this.url, 'mem', 'm'));
    await this.#warmUp();
  }

  /** The SDK resumes only what it has had an item of. */
  async #warmUp() {
    const sdk = this.subscribers.filter((s) => s.from === 'now');
    await Promise.all(sdk.map((s) => s.over));
    for (const s of sdk) {
      const publish = { key: `first-of-${s.name.replaceAll(' ', '-')}`, topic: s.topic, by: 'start' };
      const answer = await this.post('disk', s.plain, pack(publish.key, 10));
      this.publishes.push({ ...publish, result: answer.status === 204 ? 'acknowledged' : 'unexpected', detail: `status ${answer.status}` });
      await this.until(() => s.items.length > 0, `the first item of ${s.name}`);
    }
  }

  /** Starts the load. `pace`: milliseconds between two requests of each worker; `small`: what they send. */
  load(pace = 10, small = false) {
    const add = (kind, by, options) => this.#workers.push(
      worker(kind, by, new Random(this.seed, this.name, by), pace, { url: this.url, small, ...options }));
    const publishes = this.publishes, events = this.events;
    for (let i = 1; i <= 4; i++) add('http', `http${i}`, { cache: 'disk', topic: i % 2 ? 'a' : 'b', publishes });
    for (let i = 1; i <= 2; i++) add('sdk', `sdk${i}`, { cache: 'disk', topic: i % 2 ? 'a' : 'b', publishes });
    for (const [hook, { topics }] of Object.entries(hooks)) {
      for (let i = 1; i <= 2; i++)
        add('hook', `${hook}${i}`, { hook, topics: topics.map((t) => `disk/${t}`), events, secret: secrets.hook });
    }
    add('http', 'mem1', { cache: 'mem', topic: 'm', publishes });
  }

  async stopLoad() {
    await Promise.all(this.#workers.splice(0).map((w) => w.stop()));
  }

  post(cache, topic, body) {
    return request(this.url, pathOf(cache, topic), { agent: this.#agent, method: 'POST', body, headers: { 'content-type': 'text/plain' } });
  }

  /** Kills the gateway and starts it again after `ms`. */
  async crash(ms = 0) {
    await this.life.kill();
    await sleep(ms);
    await this.life.start();
  }

  async until(condition, what, ms = 10_000) {
    for (const end = Date.now() + ms; !(await condition()); await sleep(20)) {
      if (Date.now() > end) throw new Error(`${this.name}: waited ${ms} ms in vain for ${what}\n${this.life.tail()}`);
    }
  }

  /** Publishes between two moments (of Date.now), to a cache. */
  between(cache, from, to) {
    return this.publishes.filter((p) => p.at >= from && p.at <= to && p.topic.startsWith(`${cache}/`));
  }

  async #readDeadletters() {
    for (let after = 0; after !== null;) {
      const list = await this.#admin(`/admin/deadletters?after=${after}&limit=100`);
      for (const { id, kind, hook } of list.deadletters) {
        if (this.deadletters.has(id)) continue;
        const { event } = await this.#admin(`/admin/deadletters/${id}`);
        let key = 'no event';
        try { key = unpack(JSON.parse(event).text); } catch { /* the checker shows what it is not */ }
        this.deadletters.set(id, { id, kind, hook, key });
      }
      after = list.next;
    }
  }

  async #admin(path) {
    const { status, text } = await request(this.url, path, { agent: this.#agent });
    if (status !== 200) throw new Error(`${path}: status ${status}: ${text.slice(0, 200)}`);
    return JSON.parse(text);
  }

  #records(more = []) {
    const { topics, publishes, webhooks, events } = this;
    return { topics, publishes, webhooks, events, subscribers: [...this.subscribers, ...more], deadletters: [...this.deadletters.values()] };
  }

  /**
   * Waits until nothing is missing any more, then looks at everything once more with the eyes of a
   * newcomer, who is given it from the disk. What is missing by then is lost.
   */
  async verify() {
    await this.stopLoad();
    const started = Date.now();
    let result, deadletters, seen, news = started;
    for (;;) {
      const before = Date.now();
      deadletters = await this.#readDeadletters().then(() => null, (e) => e);
      result = check(this.#records());
      if (result.violations.length === 0 && !deadletters) break;
      const now = JSON.stringify(result.counts);
      if (now !== seen) news = before;
      seen = now;
      if (before > started + SETTLE_MS || before > news + QUIET_MS) break;
      await sleep(Math.max(200, 3 * (Date.now() - before)));
    }
    const settled = Date.now() - started;
    await sleep(500); // for what comes twice
    const durable = Object.keys(this.topics).filter((t) => this.topics[t].durable);
    const readers = await Promise.all(durable.map((t) => audit(this.url, 'disk', t.slice('disk/'.length))));
    result = check(this.#records(readers));
    if (deadletters) result.violations.push({ rule: 'dead letters cannot be read', message: deadletters.message });
    return { ...result, settled, lives: this.life.lives };
  }

  /** `keep`: leaves its folder for whoever wants to see why it failed. */
  async close(keep) {
    await this.stopLoad();
    await Promise.all(this.subscribers.map((s) => s.close()));
    try {
      await this.life.stop();
    } finally {
      this.#agent.destroy();
      this.receiver.close();
      if (!keep) rmSync(this.path, { recursive: true, force: true });
    }
  }
}

function configuration(receiver, webhooks) {
  const lines = webhooks.map(({ name, topic, order = 'none', delivery = 'at_least_once' }) =>
    `  { cache = "disk", name = "${name}", topic = "${topic}", url = "${receiver}/${name}", secret = "${secrets.webhook}",
    order = "${order}", delivery = "${delivery}", retry = { first = "100ms", factor = 2, max = "1s", give_up = "3d" } },`);
  // The clocks of some scenarios jump by a day, and the events are still to be good.
  const hook = ([name, { config }]) => `  ${name} = { secret = "${secrets.hook}", ${config}, max_age = "3d", max_future = "3d" },`;
  return `
caches = { "disk", { name = "mem", durability = "memory" } }
webhooks = {
${lines.join('\n')}
}
hooks = {
${Object.entries(hooks).map(hook).join('\n')}
}
limits = { webhook_timeout = "1s", stop_grace = "2s" }
`;
}
