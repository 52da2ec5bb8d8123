// The checker must be able to fail: records that are right, and each kind of wrong ones.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check } from './checker.mjs';
import { pack, unpack } from './payload.mjs';
import { Random } from './random.mjs';

/** Right in every respect, and new for each test to spoil. */
function records() {
  const items = (...keys) => keys.map((key, i) => ({ page: 7, number: i + 1, key }));
  const arrival = (number, key, fields) => ({ id: `msg_${number}`, number, key, signed: true, good: true, ...fields });
  return {
    topics: { 'disk/a': { durable: true }, 'disk/out': { durable: true }, 'disk/out too': { durable: true }, 'mem/m': { durable: false } },
    publishes: [
      { key: 'p1', topic: 'disk/a', by: 'one', result: 'acknowledged' },
      { key: 'q1', topic: 'disk/a', by: 'two', result: 'unanswered' },
      { key: 'p2', topic: 'disk/a', by: 'one', result: 'acknowledged' },
      { key: 'p3', topic: 'disk/a', by: 'one', result: 'refused' },
      { key: 'm1', topic: 'mem/m', by: 'mem', result: 'acknowledged' },
    ],
    subscribers: [
      { name: 'stream', topic: 'disk/a', items: items('p1', 'q1', 'p2'), gaps: [] },
      { name: 'poll', topic: 'disk/a', items: items('p1', 'q1', 'p2'), gaps: [] },
      { name: 'sdk', from: 'now', topic: 'disk/a', items: items('p1', 'q1', 'p2').slice(1).map((i) => ({ ...i, page: null })), gaps: [] },
      { name: 'out', topic: 'disk/out', items: items('e1', 'r1'), gaps: [] },
      { name: 'out too', topic: 'disk/out too', items: items('e1', 'r1'), gaps: [] },
      { name: 'memory', topic: 'mem/m', items: [{ page: 8, number: 4, key: 'm1' }], gaps: [{ before: 0, last: 0, next: 4 }] },
    ],
    webhooks: [
      { name: 'ordered', topic: 'disk/a', order: 'topic', delivery: 'at_least_once',
        arrivals: [arrival(1, 'p1', { good: false }), arrival(1, 'p1'), arrival(2, 'q1'), arrival(3, 'p2'), arrival(2, 'q1')] },
      { name: 'once', topic: 'disk/out', order: 'none', delivery: 'once', arrivals: [arrival(1, 'e1', { id: 'msg_o1', good: false })] },
    ],
    events: [
      { key: 'e1', hook: 'processed', topics: ['disk/out', 'disk/out too'], fails: false, answers: ['unanswered', 'duplicate'] },
      { key: 'r1', hook: 'received', topics: ['disk/out', 'disk/out too'], fails: false, answers: ['received', 'duplicate'] },
      { key: 'n1', hook: 'received', topics: ['disk/out', 'disk/out too'], fails: false, answers: ['unanswered'] },
      { key: 'f1', hook: 'processed', topics: ['disk/out', 'disk/out too'], fails: true, answers: ['failed', 'failed'] },
      { key: 'f2', hook: 'received', topics: ['disk/out', 'disk/out too'], fails: true, answers: ['received'] },
    ],
    deadletters: [{ id: 1, kind: 'script', hook: 'processed', key: 'f1' }, { id: 2, kind: 'script', hook: 'received', key: 'f2' }],
  };
}

test('right records have nothing wrong with them', () => {
  const { violations, counts } = check(records());
  assert.deepEqual(violations, []);
  assert.deepEqual(counts, { publishes: 5, acknowledged: 3, refused: 1, unanswered: 1, delivered: 13, lost: 0, arrivals: 6, doubled: 1,
    events: 5, deadletters: 2 });
});

// [the rule that must be broken, what its message must name, what spoils the records]
const wrongs = [
  ['acknowledged and lost', /stream, disk\/a: p2, which one was told is published; it is number 3 for poll/,
    (r) => r.subscribers[0].items.pop()],
  ['acknowledged and lost', /p9, which one was told is published; nobody has seen it/,
    (r) => r.publishes.push({ key: 'p9', topic: 'disk/a', by: 'one', result: 'acknowledged' })],
  ['a subscriber has not what another one has', /poll, disk\/a: number 2 \(q1\), which stream has/,
    (r) => r.subscribers[1].items.splice(1, 1)],
  ['a gap was not announced', /after number 1 \(p1\) came number 3 \(p2\)/,
    (r) => r.subscribers[0].items.splice(1, 1)],
  ['a gap was not announced', /asked for number 1, and was first given 2/,
    (r) => r.subscribers[0].items.shift()],
  ['a gap where nothing may be missing', /stream, disk\/a: after number 1/,
    (r) => { r.subscribers[0].items.splice(1, 1); r.subscribers[0].gaps.push({ before: 1, last: 1, next: 3 }); }],
  ['an item came twice or out of order', /after number 3 \(p2\) came number 3 \(p2\)/,
    (r) => r.subscribers[0].items.push({ page: 7, number: 3, key: 'p2' })],
  ['an item came twice or out of order', /after number 3 \(p2\) came number 2 \(q1\)/,
    (r) => r.subscribers[2].items.push({ page: null, number: 2, key: 'q1' })],
  ['two payloads under one number', /number 2 was q1 for stream, and p2 for poll/,
    (r) => { r.subscribers[1].items[1].key = 'p2'; }],
  ['two payloads under one number', /number 3 was p2 for stream, and q1 for webhook ordered/,
    (r) => { r.webhooks[0].arrivals[3].key = 'q1'; }],
  ['published once, there twice', /q1; it is number 2 and 4 for/,
    (r) => r.subscribers[0].items.push({ page: 7, number: 4, key: 'q1' })],
  ['published once, there twice', /e1; it is number 1 and 3 for out/,
    (r) => r.subscribers[3].items.push({ page: 7, number: 3, key: 'e1' })],
  ['nobody published this', /not ours: p1 10 p1p/,
    (r) => r.subscribers[0].items.push({ page: 7, number: 4, key: unpack('p1 10 p1p') })],
  ['the page changed', /disk\/a: 7 for stream, 9 for poll/,
    (r) => { r.subscribers[1].items[2].page = 9; }],
  ['a publisher\'s order was changed', /p1 was acknowledged before p2 was sent, but they are numbers 3 and 1/,
    (r) => r.subscribers.slice(0, 2).forEach((s) => { [s.items[0].key, s.items[2].key] = ['p2', 'p1']; })],
  ['an unexpected answer', /mem, mem\/m, m2: status 500/,
    (r) => r.publishes.push({ key: 'm2', topic: 'mem/m', by: 'mem', result: 'unexpected', detail: 'status 500' })],
  ['a refusal without its headers', /p3: status 503 without Retry-After/,
    (r) => { r.publishes[3].detail = 'status 503 without Retry-After'; }],
  ['not delivered', /number 3 \(p2\), which stream has, never arrived/,
    (r) => r.webhooks[0].arrivals.splice(3, 1)],
  ['not delivered', /number 3 \(p2\), which stream has, arrived 1 times, each time refused/,
    (r) => { r.webhooks[0].arrivals[3].good = false; }],
  ['a delivery was not signed', /webhook ordered: number 1/,
    (r) => { r.webhooks[0].arrivals[0].signed = false; }],
  ['a delivery was out of order', /number 2 came first after number 3/,
    (r) => { r.webhooks[0].arrivals.splice(2, 1); }],
  ['a delivery was out of order', /number 2 came while number 1 was not yet taken/,
    (r) => { r.webhooks[0].arrivals.push(...r.webhooks[0].arrivals.splice(1, 1)); }],
  ['delivered again, though at most once', /webhook once: number 1/,
    (r) => r.webhooks[1].arrivals.push({ ...r.webhooks[1].arrivals[0] })],
  ['webhook-id', /webhook ordered, number 2 came as msg_2, and as msg_new/,
    (r) => { r.webhooks[0].arrivals[4].id = 'msg_new'; }],
  ['webhook-id', /msg_1 is webhook ordered, number 1, and webhook once, number 1/,
    (r) => { r.webhooks[1].arrivals[0].id = 'msg_1'; }],
  ['webhook-id', /came with the webhook-id undefined/,
    (r) => { delete r.webhooks[0].arrivals[0].id; }],
  ['acknowledged and not processed', /r1, sent to the hook received \(received, duplicate\): its output is not in/,
    (r) => { r.subscribers[3].items.pop(); r.subscribers[4].items.pop(); }],
  ['published by half', /r1, .*disk\/out has it, disk\/out too has it not/,
    (r) => r.subscribers[4].items.pop()],
  ['accepted twice', /r1, .*received, received/,
    (r) => { r.events[1].answers = ['received', 'received']; }],
  ['accepted twice', /e1, .*duplicate, published/,
    (r) => { r.events[0].answers.push('published'); }],
  ['a duplicate of nothing', /r1/,
    (r) => { r.events[1].answers = ['duplicate']; }],
  ['an unexpected answer', /e1, .*failed\): this script does not fail/,
    (r) => { r.events[0].answers = ['unanswered', 'duplicate', 'failed']; }],
  ['an unexpected answer', /status 401/,
    (r) => { r.events[2].answers.push('status 401: no'); }],
  ['a failed event is no dead letter', /f1, sent to the hook processed \(failed, failed\)/,
    (r) => r.deadletters.shift()],
  ['a failed event is no dead letter', /f2, sent to the hook received \(received\)/,
    (r) => r.deadletters.pop()],
  ['a dead letter of a script that does not fail', /r1/,
    (r) => r.deadletters.push({ id: 3, kind: 'script', hook: 'received', key: 'r1' })],
  ['two dead letters of one event', /f1: 1 and 3/,
    (r) => r.deadletters.push({ id: 3, kind: 'script', hook: 'processed', key: 'f1' })],
  ['a script that raised published', /f2/,
    (r) => r.subscribers[3].items.push({ page: 7, number: 3, key: 'f2' })],
];

for (const [rule, names, spoil] of wrongs) {
  test(`it finds: ${rule} ${names.source.slice(0, 50)}`, () => {
    const spoilt = records();
    spoil(spoilt);
    const messages = check(spoilt).violations.filter((v) => v.rule === rule).map((v) => v.message);
    assert.ok(messages.some((m) => names.test(m)), `none of ${JSON.stringify(check(spoilt).violations)} is it`);
  });
}

test('thousands of one kind are counted, and some of them told', () => {
  const r = records();
  for (let i = 0; i < 3000; i++) r.publishes.push({ key: `lost-${i}`, topic: 'disk/a', by: 'one', result: 'acknowledged' });
  const { violations, totals, counts } = check(r);
  assert.equal(counts.lost, 9000); // for each of three subscribers
  assert.equal(totals['acknowledged and lost'], 9000);
  assert.equal(violations.length, 5);
});

test('a payload that was cut, mixed up or changed has no key', () => {
  const text = pack('http1-7', 300);
  assert.equal(unpack(text), 'http1-7');
  for (const bad of [text.slice(0, -1), `${text}x`, text.replace('http1-7', 'http1-8'), '', pack('a', 5) + pack('b', 5)])
    assert.match(unpack(bad), /^not ours: /);
});

test('a seed repeats its numbers, and another one has others', () => {
  const draw = (...seed) => { const random = new Random(...seed); return Array.from({ length: 8 }, () => random.between(0, 1e6)); };
  assert.deepEqual(draw(1, 'kills'), draw(1, 'kills'));
  assert.notDeepEqual(draw(1, 'kills'), draw(2, 'kills'));
  assert.notDeepEqual(draw(1, 'kills'), draw(1, 'kills', 'http1'));
  const spread = Array.from({ length: 1000 }, ((random) => () => random.next())(new Random(3)));
  assert.ok(spread.every((n) => n >= 0 && n < 1) && Math.abs(spread.reduce((a, b) => a + b) / 1000 - 0.5) < 0.05);
});
