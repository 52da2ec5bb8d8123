#!/usr/bin/env node
/*
 * The crash proof: `node tests/crash/crash.mjs [--kills N] [--seed S] [--only NAME[,NAME]] [--soak]`.
 *
 * Runs real gateways (the binary in HOOKMOON) under load, kills them, breaks their disks, clocks and
 * receivers, and then checks from the clients' own records that nothing acknowledged was lost. The
 * exit code is 0 when everything held. The seed repeats what is sent and when it is killed; what the
 * threads make of it differs from run to run.
 */
import { parseArgs } from 'node:util';
import { build } from './faults.mjs';
import { scenarios } from './scenarios.mjs';

const names = Object.keys(scenarios);
const { values } = parseArgs({ options: {
  kills: { type: 'string', default: '5' },
  seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  only: { type: 'string' },
  soak: { type: 'boolean', default: false },
  jobs: { type: 'string', default: '2' },
} });
const wanted = values.only ? values.only.split(',') : names;
const wrong = wanted.find((n) => !names.includes(n));
const kills = Number(values.kills), jobs = Number(values.jobs);
if (wrong !== undefined || !(kills >= 0) || !(jobs >= 1)) {
  console.error(wrong !== undefined ? `--only ${wrong}: the scenarios are ${names.join(', ')}` : '--kills and --jobs are numbers');
  process.exit(2);
}

async function run(name) {
  const started = Date.now();
  const seconds = () => ((Date.now() - started) / 1000).toFixed(1);
  let world, after;
  try {
    const done = await scenarios[name]({ seed: values.seed, kills, soak: values.soak });
    if (typeof done === 'string') return { name, skipped: done, good: true };
    ({ world, after } = done);
    const result = await world.verify();
    const failures = [...done.problems, ...result.violations.map((v) => `${v.rule}: ${v.message}`)];
    await world.close(failures.length > 0);
    after?.();
    const totals = Object.entries(result.totals ?? {}).map(([rule, count]) => `${count} x ${rule}`);
    return { name, good: failures.length === 0, failures, totals, result, seconds: seconds(), path: world.path };
  } catch (e) {
    await world?.close(true).catch(() => {});
    after?.();
    return { name, good: false, failures: [e.stack], totals: [], seconds: seconds(), path: world?.path };
  }
}

function report({ name, skipped, good, failures, totals, result, seconds, path }) {
  if (skipped) {
    console.log(`-- ${name}: skipped, ${skipped}`);
    return;
  }
  const c = result?.counts;
  console.log(`${good ? 'ok' : 'NOT OK'} ${name}, ${seconds} s` + (c ? `: ${result.lives - 1} kills; ${c.publishes} publishes, ` +
    `${c.acknowledged} acknowledged, ${c.refused} refused, ${c.unanswered} unanswered; ${c.events} events to hooks, ` +
    `${c.deadletters} dead letters; ${c.delivered} delivered to subscribers, ${c.arrivals} to webhooks; ` +
    `${c.lost} lost, ${c.doubled} doubled; settled after ${result.settled} ms` : ''));
  for (const f of failures ?? []) console.log(`   ${f.replaceAll('\n', '\n   ')}`);
  if (totals?.length > 0) console.log(`   in all: ${totals.join('; ')}`);
  if (!good && path) console.log(`   its folder, with the log and the database: ${path}`);
}

console.log(`crash proof, seed ${values.seed}`);
const started = Date.now(), results = [], queue = [...wanted];
build();
await Promise.all(Array.from({ length: Math.min(jobs, queue.length) }, async () => {
  while (queue.length > 0) {
    const outcome = await run(queue.shift());
    report(outcome);
    results.push(outcome);
  }
}));

const sum = (member) => results.reduce((total, r) => total + (r.result?.counts[member] ?? 0), 0);
const bad = results.filter((r) => !r.good);
console.log(`== ${results.reduce((n, r) => n + (r.result ? r.result.lives - 1 : 0), 0)} kills, ${sum('publishes')} publishes, ` +
  `${sum('acknowledged')} acknowledged, ${sum('delivered') + sum('arrivals')} delivered, ${sum('lost')} lost, ` +
  `${sum('doubled')} doubled, ${((Date.now() - started) / 1000).toFixed(0)} seconds`);
console.log(bad.length === 0 ? '== all held' : `== failed: ${bad.map((r) => r.name).join(', ')} (again with --seed ${values.seed})`);
// Clients of the SDK cannot be closed; they would hold the process.
process.exit(bad.length === 0 ? 0 : 1);
