// The load: publishers and callers of hooks. Each waits for its answer before it goes on, and writes
// down what it was told. None repeats a publish by itself, so that each is there once at most.
import { sign, sleep } from '../e2e/gateway.mjs';
import * as grpc from './grpc.mjs';
import { newAgent, pathOf, request } from './http.mjs';
import { pack } from './payload.mjs';

const PAUSE_MS = 20; // after what was not answered

/** What all of them share: a loop until they are stopped. */
class Worker {
  running = true;
  count = 0;

  constructor(by, random, pace) {
    Object.assign(this, { by, random, pace });
  }

  start() {
    this.over = (async () => {
      while (this.running) {
        await this.turn();
        await sleep(this.random.between(0, 2 * this.pace));
      }
    })();
    return this;
  }

  key(word = '') {
    return `${this.by}${word}-${++this.count}`;
  }

  /** Mostly small, now and then some pages of the database, unless there is no room for them. */
  size() {
    return !this.small && this.random.chance(0.02) ? this.random.between(4000, 40_000) : this.random.between(10, 400);
  }

  async stop() {
    this.running = false;
    await this.over;
  }
}

class Publisher extends Worker {
  constructor(by, random, pace, { url, small, cache, topic, publishes }) {
    super(by, random, pace);
    Object.assign(this, { url, small, cache, topic, publishes });
  }

  async turn() {
    const record = { key: this.key(), topic: `${this.cache}/${this.topic}`, by: this.by };
    const started = Date.now();
    Object.assign(record, await this.publish(pack(record.key, this.size())), { at: Date.now(), ms: Date.now() - started });
    if (record.result !== 'unsent') this.publishes.push(record);
    if (record.result !== 'acknowledged') await sleep(PAUSE_MS);
  }
}

class HttpPublisher extends Publisher {
  agent = newAgent();

  async publish(body) {
    try {
      const { status, headers, text } = await request(this.url, pathOf(this.cache, this.topic), {
        agent: this.agent, method: 'POST', body, headers: { 'content-type': 'text/plain' } });
      if (status === 204) return { result: 'acknowledged' };
      return { result: status === 503 || status === 429 ? 'refused' : 'unexpected', status, detail: refusal(status, headers, text) };
    } catch (e) {
      // Nobody listened: it cannot have been published.
      return { result: e.code === 'ECONNREFUSED' ? 'unsent' : 'unanswered', why: e.message };
    }
  }

  async stop() {
    await super.stop();
    this.agent.destroy();
  }
}

/** What is wrong with a refusal, if anything. */
export function refusal(status, headers, text) {
  let error;
  try { error = JSON.parse(text); } catch { return `status ${status} with a body that is no JSON: ${text.slice(0, 80)}`; }
  if (status !== 503 && status !== 429) return `status ${status}: ${text.slice(0, 200)}`;
  if (!error.code || !error.message) return `status ${status} without code and message: ${text.slice(0, 80)}`;
  if (!/^\d+$/.test(headers['retry-after'] ?? '')) return `status ${status} without Retry-After (${error.message})`;
  return undefined;
}

class SdkPublisher extends Publisher {
  constructor(...args) {
    super(...args);
    const { hostname, port } = new URL(this.url);
    this.client = grpc.topicClient(hostname, Number(port));
  }

  async publish(value) {
    const response = await this.client.publish(this.cache, this.topic, value);
    const code = response.errorCode?.();
    if (code === undefined) return { result: 'acknowledged' };
    if (code === 'LIMIT_EXCEEDED_ERROR') return { result: 'refused', status: 'RESOURCE_EXHAUSTED' };
    // A dead connection shows as any of these, before or after it was published.
    const died = ['SERVER_UNAVAILABLE', 'TIMEOUT_ERROR', 'CANCELLED_ERROR', 'INTERNAL_SERVER_ERROR', 'UNKNOWN_SERVICE_ERROR', 'UNKNOWN_ERROR'];
    return { result: died.includes(code) ? 'unanswered' : 'unexpected', detail: `${code}: ${response.message()}` };
  }
}

/** Calls a hook with signed events, some twice, some that make its script raise. */
class HookCaller extends Worker {
  agent = newAgent();

  constructor(by, random, pace, { url, small, hook, topics, events, secret }) {
    super(by, random, pace);
    Object.assign(this, { url, small, hook, topics, events, secret, mine: [] });
  }

  async turn() {
    const again = this.mine.length > 0 && this.random.chance(0.15);
    const record = again ? this.random.pick(this.mine.slice(-200)) : this.event();
    let answer = await this.call(record);
    // As senders do: what was not answered, or refused, is sent again until it is.
    while (this.running && (answer === 'unsent' || ((answer === 'unanswered' || answer === 'refused') && this.random.chance(0.8)))) {
      await sleep(PAUSE_MS);
      answer = await this.call(record);
    }
    if (record.answers.length > 0 && !again) {
      this.mine.push(record);
      this.events.push(record);
    }
  }

  event() {
    const fails = this.random.chance(0.04), now = Date.now(), key = this.key(fails ? '-fail' : '');
    const body = JSON.stringify({
      cache: 'disk', topic: 'in', event_timestamp: now, publish_timestamp: now, topic_sequence_number: this.count,
      token_id: this.by, text: pack(key, this.size()) });
    return { key, hook: this.hook, topics: this.topics, fails, answers: [], body };
  }

  async call(record) {
    const answer = await this.ask(record.body);
    if (answer !== 'unsent') record.answers.push(answer);
    if (answer === 'published' || answer === 'received') record.accepted = Date.now();
    return answer;
  }

  async ask(body) {
    try {
      const { status, headers, text } = await request(this.url, `/hooks/${this.hook}`, {
        agent: this.agent, method: 'POST', body,
        headers: { 'content-type': 'application/json', 'momento-signature': sign(body, this.secret) } });
      if (status === 200) return JSON.parse(text).duplicate ? 'duplicate' : 'published';
      if (status === 202) return 'received';
      if (status === 500) return 'failed';
      return refusal(status, headers, text) ?? 'refused';
    } catch (e) {
      return e.code === 'ECONNREFUSED' ? 'unsent' : 'unanswered';
    }
  }

  async stop() {
    await super.stop();
    this.agent.destroy();
  }
}

const kinds = { http: HttpPublisher, sdk: SdkPublisher, hook: HookCaller };

/** `pace`: milliseconds between two of its requests, on average. */
export const worker = (kind, by, random, pace, options) => new kinds[kind](by, random, pace, options).start();
