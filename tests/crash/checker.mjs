/**
 * The checker: holds what the clients wrote down against each other. It knows no gateway and asks
 * nobody; what it gets is
 *
 *   topics       { NAME: { durable } }
 *   publishes    [{ key, topic, by, result, detail }], in the order of each publisher (`by`), which
 *                waits for each answer. result: "acknowledged", "refused" (it said so: 503, 429,
 *                RESOURCE_EXHAUSTED), "unanswered" (the connection died), "unexpected"
 *   subscribers  [{ name, topic, from, items: [{ page, number, key }], gaps: [{ before, last, next }] }]:
 *                a gap was announced before the item of that index; `page` null: not told; it asked
 *                for all from number 1, or (`from`: "now") for what came next
 *   webhooks     [{ name, topic, order, delivery, arrivals: [{ id, number, key, signed, good }] }]:
 *                all that arrived, in order; `good`: it was answered 2xx
 *   events       [{ key, hook, topics, fails, answers: [...] }]: what was sent to a hook, whose script
 *                publishes the key to each of `topics`, or raises when `fails`. The answers to the
 *                same signed body, in order: "published", "received", "duplicate", "failed" (500),
 *                "refused" (429, 503), "unanswered", or anything else
 *   deadletters  [{ id, kind, hook, key }]
 *
 * and what it gives is { violations: [{ rule, message }], totals: { RULE: how often }, counts }.
 */
export function check(records) {
  const found = new Findings();
  const counts = {
    publishes: 0, acknowledged: 0, refused: 0, unanswered: 0, delivered: 0, lost: 0, arrivals: 0, doubled: 0,
    events: 0, deadletters: records.deadletters.length,
  };
  const topics = new Map();
  for (const [name, { durable }] of Object.entries(records.topics)) topics.set(name, new Topic(name, durable));
  for (const p of records.publishes) topics.get(p.topic).expect(p.key, p);
  for (const e of records.events) for (const name of e.topics) topics.get(name).expect(e.key, e);

  for (const s of records.subscribers) checkSubscriber(found, counts, topics.get(s.topic), s);
  for (const w of records.webhooks) checkArrivals(found, counts, topics.get(w.topic), w);
  for (const t of topics.values()) checkTopic(found, t);
  for (const s of records.subscribers) checkComplete(found, counts, topics.get(s.topic), s);
  for (const w of records.webhooks) checkDelivered(found, counts, topics.get(w.topic), w);
  checkPublishes(found, counts, topics, records.publishes);
  checkEvents(found, counts, topics, records);
  checkIds(found, records.webhooks);
  return { violations: found.list, totals: found.totals, counts };
}

/** So many of each rule are told in full; a broken gateway breaks thousands. */
const TOLD = 5;

class Findings {
  list = [];
  #told = new Map();

  add(rule, message) {
    const times = (this.#told.get(rule) ?? 0) + 1;
    this.#told.set(rule, times);
    if (times <= TOLD) this.list.push({ rule, message });
  }

  /** How often each rule was broken. */
  get totals() {
    return Object.fromEntries(this.#told);
  }
}

/** What is known of a topic: which number carried which key, and who says so. */
class Topic {
  pages = new Map(); // page -> who saw it first
  carried = new Map(); // "page:number" -> { number, key, by }
  numbers = new Map(); // key -> [number...]
  expected = new Map(); // key -> the publish or event

  constructor(name, durable) {
    this.name = name;
    this.durable = durable;
  }

  expect(key, source) {
    this.expected.set(key, source);
  }

  saw(found, { page, number, key }, by) {
    if (page !== null && !this.pages.has(page)) this.pages.set(page, by);
    // A durable topic has one page; in memory those who are not told it cannot be compared.
    if (!this.durable && page === null) return;
    const place = this.durable ? number : `${page}:${number}`;
    const before = this.carried.get(place);
    if (before === undefined) {
      this.carried.set(place, { number, key, by });
      const numbers = this.numbers.get(key) ?? [];
      numbers.push(place);
      this.numbers.set(key, numbers);
    } else if (before.key !== key) {
      found.add('two payloads under one number',
        `${this.name}: number ${place} was ${before.key} for ${before.by}, and ${key} for ${by}`);
    }
  }

  /** In words, where a key was seen. */
  where(key) {
    const numbers = this.numbers.get(key) ?? [];
    if (numbers.length === 0) return 'nobody has seen it';
    const some = numbers.slice(0, 3).join(' and ') + (numbers.length > 3 ? ` and ${numbers.length - 3} more` : '');
    return `it is number ${some} for ${this.carried.get(numbers[0]).by}`;
  }
}

function checkSubscriber(found, counts, topic, s) {
  let next = null, page = null;
  const gaps = new Map(s.gaps.map((g) => [g.before, g]));
  counts.delivered += s.items.length;
  s.items.forEach((item, i) => {
    const gap = gaps.get(i);
    if (next !== null && item.number !== next && gap === undefined && !(item.page !== page && !topic.durable)) {
      found.add(item.number < next ? 'an item came twice or out of order' : 'a gap was not announced',
        `${s.name}, ${topic.name}: after number ${next - 1} (${s.items[i - 1].key}) came number ${item.number} (${item.key})`);
    }
    if (next === null && item.number !== 1 && gap === undefined && s.from !== 'now')
      found.add('a gap was not announced', `${s.name}, ${topic.name}: asked for number 1, and was first given ${item.number} (${item.key})`);
    if (gap !== undefined && topic.durable)
      found.add('a gap where nothing may be missing',
        `${s.name}, ${topic.name}: after ${next === null ? 'its start' : `number ${next - 1}`} it was told of a gap ${JSON.stringify(gap)}`);
    topic.saw(found, item, s.name);
    page = item.page;
    next = item.number + 1;
  });
}

function checkArrivals(found, counts, topic, w) {
  const first = new Map(), good = new Map();
  let highest = 0;
  counts.arrivals += w.arrivals.length;
  for (const a of w.arrivals) {
    topic.saw(found, { page: null, number: a.number, key: a.key }, `webhook ${w.name}`);
    if (!a.signed) found.add('a delivery was not signed', `webhook ${w.name}: number ${a.number} (${a.key})`);
    if (good.has(a.number)) counts.doubled++;
    if (w.delivery === 'once' && first.has(a.number))
      found.add('delivered again, though at most once', `webhook ${w.name}: number ${a.number} (${a.key})`);
    if (w.order === 'topic' && !first.has(a.number)) {
      if (a.number < highest)
        found.add('a delivery was out of order', `webhook ${w.name}: number ${a.number} came first after number ${highest}`);
      else if (w.delivery !== 'once' && highest > 0 && !good.has(highest))
        found.add('a delivery was out of order', `webhook ${w.name}: number ${a.number} came while number ${highest} was not yet taken`);
    }
    highest = Math.max(highest, a.number);
    if (!first.has(a.number)) first.set(a.number, a);
    if (a.good) good.set(a.number, a);
  }
}

function checkTopic(found, topic) {
  if (topic.durable && topic.pages.size > 1)
    found.add('the page changed', `${topic.name}: ${[...topic.pages].map(([page, by]) => `${page} for ${by}`).join(', ')}`);
  for (const [key, numbers] of topic.numbers) {
    if (!topic.expected.has(key))
      found.add('nobody published this', `${topic.name}: ${key}; ${topic.where(key)}`);
    if (numbers.length > 1)
      found.add('published once, there twice', `${topic.name}: ${key}; ${topic.where(key)}`);
  }
}

/** Everybody has what anybody has, and all that was acknowledged; who began later, from there. */
function checkComplete(found, counts, topic, s) {
  if (!topic.durable) return;
  const has = new Set(s.items.map((i) => i.number));
  const start = s.from === 'now' && s.items.length > 0 ? s.items[0].number : 1;
  const before = (key) => (topic.numbers.get(key) ?? []).some((number) => number < start);
  for (const { number, key, by } of topic.carried.values()) {
    if (number >= start && !has.has(number))
      found.add('a subscriber has not what another one has', `${s.name}, ${topic.name}: number ${number} (${key}), which ${by} has`);
  }
  const keys = new Set(s.items.map((i) => i.key));
  for (const [key, source] of topic.expected) {
    if (source.result !== 'acknowledged' || keys.has(key) || before(key)) continue;
    counts.lost++;
    found.add('acknowledged and lost', `${s.name}, ${topic.name}: ${key}, which ${source.by} was told is published; ${topic.where(key)}`);
  }
}

function checkDelivered(found, counts, topic, w) {
  if (w.delivery === 'once') return;
  const good = new Set(w.arrivals.filter((a) => a.good).map((a) => a.number));
  for (const { number, key, by } of topic.carried.values()) {
    if (good.has(number)) continue;
    const tried = w.arrivals.filter((a) => a.number === number).length;
    counts.lost++;
    found.add('not delivered', `webhook ${w.name}, ${topic.name}: number ${number} (${key}), which ${by} has, ` +
      (tried ? `arrived ${tried} times, each time refused, and not again` : 'never arrived'));
  }
}

function checkPublishes(found, counts, topics, publishes) {
  const last = new Map();
  for (const p of publishes) {
    counts.publishes++;
    if (p.result in counts) counts[p.result]++;
    else found.add('an unexpected answer', `${p.by}, ${p.topic}, ${p.key}: ${p.detail}`);
    if (p.result === 'refused' && p.detail) found.add('a refusal without its headers', `${p.by}, ${p.topic}, ${p.key}: ${p.detail}`);
    const topic = topics.get(p.topic), [number] = topic.numbers.get(p.key) ?? [];
    if (p.result !== 'acknowledged' || number === undefined || !topic.durable) continue;
    const before = last.get(`${p.by} ${p.topic}`);
    if (before !== undefined && before.number > number)
      found.add('a publisher\'s order was changed', `${p.by}, ${p.topic}: ${before.key} was acknowledged before ${p.key} was sent, ` +
        `but they are numbers ${before.number} and ${number}`);
    last.set(`${p.by} ${p.topic}`, { number, key: p.key });
  }
}

/** "webhook-id" names an item for a webhook: one id, one item, and the other way round. */
function checkIds(found, webhooks) {
  const items = new Map(), ids = new Map();
  for (const w of webhooks) {
    for (const a of w.arrivals) {
      const item = `${w.name}, number ${a.number}`;
      if (typeof a.id !== 'string' || !a.id.startsWith('msg_')) {
        found.add('webhook-id', `webhook ${item} (${a.key}) came with the webhook-id ${a.id}`);
        continue;
      }
      if ((items.get(a.id) ?? item) !== item)
        found.add('webhook-id', `${a.id} is webhook ${items.get(a.id)}, and webhook ${item}`);
      if ((ids.get(item) ?? a.id) !== a.id)
        found.add('webhook-id', `webhook ${item} came as ${ids.get(item)}, and as ${a.id}`);
      items.set(a.id, item);
      ids.set(item, a.id);
    }
  }
}

const KNOWN = ['published', 'received', 'duplicate', 'failed', 'refused', 'unanswered'];

function checkEvents(found, counts, topics, { events, deadletters }) {
  const buried = new Map();
  for (const d of deadletters) {
    if (d.kind !== 'script') continue;
    if (buried.has(d.key)) found.add('two dead letters of one event', `${d.key}: ${buried.get(d.key).id} and ${d.id}`);
    buried.set(d.key, d);
  }
  for (const e of events) {
    counts.events++;
    const say = `${e.key}, sent to the hook ${e.hook} (${e.answers.join(', ')})`;
    const numbers = e.topics.map((name) => topics.get(name).numbers.get(e.key) ?? []);
    const there = numbers.some((n) => n.length > 0);
    for (const answer of e.answers) {
      if (!KNOWN.includes(answer)) found.add('an unexpected answer', `${say}: ${answer}`);
    }
    if (there && numbers.some((n) => n.length === 0))
      found.add('published by half', `${say}: ${e.topics.map((t, i) => `${t} ${numbers[i].length ? 'has it' : 'has it not'}`).join(', ')}`);
    checkAnswers(found, e, say);
    if (e.fails) {
      if (there) found.add('a script that raised published', `${say}; ${topics.get(e.topics[0]).where(e.key)}`);
      if (e.answers.some((a) => a === 'failed' || a === 'received') && !buried.has(e.key))
        found.add('a failed event is no dead letter', say);
      continue;
    }
    if (buried.has(e.key)) found.add('a dead letter of a script that does not fail', `${say}: ${buried.get(e.key).id}`);
    if (e.answers.includes('failed')) found.add('an unexpected answer', `${say}: this script does not fail`);
    if (!there && e.answers.some((a) => ['published', 'received', 'duplicate'].includes(a))) {
      counts.lost++;
      found.add('acknowledged and not processed', `${say}: its output is not in ${e.topics.join(', ')}`);
    }
  }
}

function checkAnswers(found, e, say) {
  const first = e.answers.findIndex((a) => ['published', 'received', 'duplicate'].includes(a));
  if (e.answers.some((a, i) => first >= 0 && i > first && (a === 'published' || a === 'received')))
    found.add('accepted twice', `${say}: what was accepted before must be a duplicate`);
  // What a failing disk refused may be there after a crash all the same.
  if (e.answers[first] === 'duplicate' && !e.answers.slice(0, first).some((a) => a === 'unanswered' || a === 'refused'))
    found.add('a duplicate of nothing', `${say}: nobody had sent it before`);
}
