// Subscribers that come back after every lost connection, and write down all they get.
import { request as open } from 'node:http';
import { sleep } from '../e2e/gateway.mjs';
import * as grpc from './grpc.mjs';
import { newAgent, pathOf, request } from './http.mjs';
import { unpack } from './payload.mjs';

const RETRY_MS = 50;

class Subscriber {
  items = [];
  gaps = [];
  closed = new AbortController();
  page = 0;
  next = 1;

  constructor(kind, url, cache, topic) {
    Object.assign(this, { name: `${kind} of ${topic}`, url, cache, plain: topic, topic: `${cache}/${topic}` });
  }

  /** Connects again and again until it is closed. */
  start() {
    this.over = (async () => {
      while (!this.closed.signal.aborted) {
        await this.connect().catch(() => {});
        await sleep(RETRY_MS);
      }
    })();
    return this;
  }

  item(page, number, value) {
    this.items.push({ page, number, key: unpack(value) });
    this.page = page;
    this.next = number + 1;
  }

  gap(last, next, page) {
    this.gaps.push({ before: this.items.length, last, next });
    this.page = page;
    this.next = next;
  }

  element({ item, discontinuity }) {
    if (item) this.item(item.sequence_page, item.topic_sequence_number, item.value.text);
    else this.gap(discontinuity.last_topic_sequence, discontinuity.new_topic_sequence, discontinuity.new_sequence_page);
  }

  async close() {
    this.closed.abort();
    await this.over;
  }
}

/** An event stream, which resumes as browsers do: by Last-Event-ID and nothing else. */
class EventStream extends Subscriber {
  connect() {
    return new Promise((done, fail) => {
      const sent = open(`${this.url}${pathOf(this.cache, this.plain)}?sequence_number=1`, {
        signal: this.closed.signal,
        headers: { accept: 'text/event-stream', ...(this.last === undefined ? {} : { 'last-event-id': this.last }) },
      });
      sent.on('error', fail);
      sent.on('response', (response) => {
        if (response.statusCode !== 200) { response.resume(); fail(new Error(`status ${response.statusCode}`)); return; }
        let rest = '';
        response.setEncoding('utf8');
        // What is cut off within an event has not been received.
        response.on('data', (text) => {
          const events = (rest + text).split('\n\n');
          rest = events.pop();
          for (const event of events) this.event(event);
        });
        response.on('error', fail);
        response.on('close', done);
      });
      sent.end();
    });
  }

  event(text) {
    const fields = {};
    for (const line of text.split('\n')) {
      const [, name, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
      if (name) fields[name] = name in fields ? `${fields[name]}\n${value}` : value;
    }
    if (fields.id !== undefined) this.last = fields.id;
    if (fields.data === undefined || fields.event === 'position' || fields.event === 'error') return;
    this.element(JSON.parse(fields.data));
  }
}

class LongPoll extends Subscriber {
  agent = newAgent();

  async connect() {
    const path = `${pathOf(this.cache, this.plain)}?sequence_number=${this.next}&sequence_page=${this.page}`;
    const answer = await request(this.url, path, { agent: this.agent, signal: this.closed.signal });
    if (answer.status !== 200) throw new Error(`status ${answer.status}`);
    for (const element of JSON.parse(answer.text).items) this.element(element);
  }

  start() {
    this.over = (async () => {
      while (!this.closed.signal.aborted) await this.connect().catch(() => sleep(RETRY_MS));
    })();
    return this;
  }

  async close() {
    await super.close();
    this.agent.destroy();
  }
}

class GrpcStream extends Subscriber {
  connect() {
    return grpc.subscribe(this.url, {
      cache: this.cache, topic: this.plain, number: this.next, page: this.page, signal: this.closed.signal,
      each: ({ item, discontinuity }) => {
        if (item) this.item(item.sequence_page, item.topic_sequence_number, item.value.text);
        else if (discontinuity) this.gap(discontinuity.last_topic_sequence, discontinuity.new_topic_sequence, discontinuity.new_sequence_page);
      },
    });
  }
}

/** Momento's SDK, which resumes by itself; it begins with what is published from now on. */
class SdkSubscriber extends Subscriber {
  from = 'now';

  start() {
    const { hostname, port } = new URL(this.url);
    this.over = grpc.topicClient(hostname, Number(port)).subscribe(this.cache, this.plain, {
      onItem: (i) => this.items.push({ page: null, number: i.sequenceNumber(), key: unpack(i.value()) }),
      onError: () => {},
      onDiscontinuity: (d) => this.gaps.push({ before: this.items.length, last: d.lastSequenceNumber(), next: d.newSequenceNumber() }),
      onHeartbeat: () => {},
      onConnectionLost: () => {},
    }).then((response) => { this.response = response; });
    return this;
  }

  async close() {
    await this.over;
    this.response.unsubscribe?.();
  }
}

const kinds = { stream: EventStream, poll: LongPoll, grpc: GrpcStream, sdk: SdkSubscriber };

export const subscriber = (kind, url, cache, topic) => new kinds[kind](kind, url, cache, topic).start();

/** Reads a topic once more from its first item until nothing comes for a second: what a newcomer sees. */
export async function audit(url, cache, topic) {
  const reader = new LongPoll('newcomer', url, cache, topic), end = Date.now() + 10_000;
  while (!reader.closed.signal.aborted && Date.now() < end) {
    const timer = setTimeout(() => reader.closed.abort(), 1000);
    await reader.connect().catch(() => reader.closed.abort());
    clearTimeout(timer);
  }
  reader.agent.destroy();
  return reader;
}
