// What is done to a gateway under load. Each scenario gets { seed, kills, soak } and returns the world
// it did it to and, in `problems`, what went wrong that the checker cannot see. A function that returns
// a text instead was not possible here, and says why.
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, rmdirSync, unlinkSync, writeSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sleep } from '../e2e/gateway.mjs';
import { cutPower, DAY_MS, EIO, ENOSPC, Faults } from './faults.mjs';
import { World } from './world.mjs';

const AGAIN_MS = 5000; // after a fault, publishing is to work again within this
const FAULT_MS = 2000;

/** SIGKILL at random moments, some of them right behind the start. */
async function kills({ seed, kills: count }) {
  const world = await World.create('kills', seed);
  const { random } = world;
  // Mostly it works; now and then it fails in each of the ways that there are.
  const moody = () => (random.chance(0.9) ? 'ok' : random.pick([500, 503, 'hang', 'drop', 'half']));
  for (const w of world.webhooks) world.receiver.behaviour.set(w.name, moody);
  await world.subscribe();
  world.load();
  for (let i = 0; i < count; i++) {
    await sleep(random.chance(0.2) ? random.between(0, 100) : random.between(300, 1500));
    await world.crash(random.between(0, 200));
  }
  await sleep(500);
  await world.stopLoad();
  for (const w of world.webhooks) world.receiver.behaviour.delete(w.name);
  return { world, problems: [] };
}

/** What a broken disk does to publishes, and what it must not do. */
function judge(world, problems, from, to, fault) {
  const disk = world.between('disk', from + 200, to), mem = world.between('mem', from + 200, to);
  for (const by of ['http', 'sdk']) {
    const mine = disk.filter((p) => p.by.startsWith(by));
    if (!mine.some((p) => p.result === 'refused')) problems.push(`${fault}: no publish by ${by} was refused meanwhile (of ${mine.length})`);
  }
  const died = disk.find((p) => p.result === 'unanswered');
  if (died) problems.push(`${fault}: a publish was not answered (${died.by}, ${died.key}: ${died.why ?? died.detail})`);
  if (!mem.some((p) => p.result === 'acknowledged')) problems.push(`${fault}: the cache in memory took nothing meanwhile`);
  const refused = mem.find((p) => p.result !== 'acknowledged');
  if (refused) problems.push(`${fault}: a publish to the cache in memory was ${refused.result} (${refused.key})`);
}

/** Everything works again, without a restart. */
async function comesBack(world, problems, fault, within = AGAIN_MS) {
  const lifted = Date.now();
  const published = (by) => world.publishes.some((p) => p.by.startsWith(by) && p.at > lifted && p.result === 'acknowledged');
  const accepted = (hook) => world.events.some((e) => e.hook === hook && e.accepted > lifted);
  const waited = [
    ['publishes over HTTP', () => published('http')],
    ['publishes over gRPC', () => published('sdk')],
    ['the hook "processed"', () => accepted('processed')],
    ['the hook "received"', () => accepted('received')],
    ...world.webhooks.map((w) => [`the webhook "${w.name}"`, () => w.arrivals.some((a) => a.good && a.at > lifted)]),
  ];
  const missing = () => waited.filter(([, works]) => !works()).map(([name]) => name);
  await world.until(() => missing().length === 0, 'everything to work again', within)
    .catch(() => problems.push(`${fault}: ${within} ms after it was over, this does not work again: ${missing().join(', ')}\n${world.life.tail()}`));
}

/** A fault of the shim's for a while, under load; then a crash. */
const withFaults = (name, orders, { refuses = true, moody = false, again = AGAIN_MS, during = () => {} } = {}) => async ({ seed }) => {
  const folder = mkdtempSync(join(tmpdir(), 'hookmoon-faults-'));
  const faults = new Faults(join(folder, 'orders'));
  const problems = [];
  try {
    const world = await World.create(name, seed, { env: faults.env });
    try {
      await world.subscribe();
      // Not so often that the breaker, by chance, stays open for all of the time that is waited.
      if (moody) for (const w of world.webhooks) world.receiver.behaviour.set(w.name, () => (world.random.chance(0.15) ? 500 : 'ok'));
      world.load();
      await sleep(700);
      for (const order of orders) {
        const from = Date.now();
        faults.set(order);
        await sleep(FAULT_MS);
        during(world, problems, from, Date.now());
        if (refuses) judge(world, problems, from, Date.now(), name);
        faults.lift();
        await comesBack(world, problems, name, again);
      }
      if (faults.get('syncs') === 0) problems.push(`${name}: the gateway never synced its database: the faults did not reach it`);
      // Once more, and this time it dies of it: what was half written is there at its next start.
      await sleep(300);
      faults.set(orders[0]);
      await sleep(world.random.between(50, 400));
      await world.life.kill();
      faults.lift();
      await world.life.start();
      await sleep(300);
      await world.stopLoad();
      for (const w of world.webhooks) world.receiver.behaviour.delete(w.name);
      return { world, problems };
    } catch (e) {
      await world.close(true).catch(() => {});
      throw e;
    }
  } finally {
    faults.lift();
    faults.close();
    rmSync(folder, { recursive: true });
  }
};

/** A slow disk holds up those who wait for it, and nobody else. */
function onlyTheDiskIsSlow(world, problems, from, to) {
  const slowest = Math.max(...world.between('mem', from, to).map((p) => p.ms));
  if (slowest > 1000) problems.push(`slow: a publish to the cache in memory took ${slowest} ms`);
  const died = world.between('disk', from, to).find((p) => p.result === 'unanswered');
  if (died) problems.push(`slow: a publish was not answered (${died.by}, ${died.key}: ${died.why ?? died.detail})`);
}

/** Power cuts: of what was not synced, the disk has some sectors and not others. */
async function power({ seed, kills: count }) {
  const folder = mkdtempSync(join(tmpdir(), 'hookmoon-power-'));
  const synced = join(folder, 'synced');
  mkdirSync(synced);
  const faults = new Faults(join(folder, 'orders'));
  const problems = [];
  const after = () => { faults.close(); rmSync(folder, { recursive: true }); };
  let world, undone = 0;
  try {
    world = await World.create('power', seed, { env: { ...faults.env, HOOKMOON_SYNCED: synced } });
    await world.subscribe();
    world.load();
    for (let i = 0; i < count; i++) {
      // Slow enough for much to be under way when it happens.
      faults.set({ syncMs: world.random.pick([0, 10, 50]) });
      await sleep(world.random.between(200, 1200));
      await world.life.kill();
      undone += cutPower(world.life.data, synced, world.random);
      await world.life.start();
    }
    if (count > 0 && undone === 0) problems.push('power: all was synced whenever the power was cut; nothing was proved');
    faults.lift();
    await sleep(300);
    await world.stopLoad();
    return { world, problems, after };
  } catch (e) {
    await world?.close(true).catch(() => {});
    after();
    throw e;
  }
}

/** A file system of eight megabytes that somebody else fills up, and empties again. */
async function full({ seed }) {
  const folder = mkdtempSync(join(tmpdir(), 'hookmoon-full-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', folder], { encoding: 'utf8' });
  if (mounted.status !== 0) {
    rmdirSync(folder);
    return `a tmpfs cannot be mounted here: ${(mounted.error?.message ?? mounted.stderr).trim()}`;
  }
  const problems = [];
  let world;
  const unmount = () => { spawnSync('umount', ['-l', folder]); rmdirSync(folder); };
  try {
    const data = join(folder, 'data');
    mkdirSync(data, { mode: 0o700 });
    world = await World.create('full', seed, { data });
    await world.subscribe();
    world.load(30, true);
    await sleep(700);
    const from = Date.now(), ballast = join(folder, 'ballast');
    // What the database gives back is taken, too.
    for (let i = 0; i < FAULT_MS / 100; i++, await sleep(100)) fill(ballast);
    judge(world, problems, from + 1000, Date.now(), 'full');
    unlinkSync(ballast);
    await comesBack(world, problems, 'full');
    await sleep(200);
    await world.crash();
    await sleep(200);
    await world.stopLoad();
    return { world, problems, after: unmount };
  } catch (e) {
    await world?.close(true).catch(() => {});
    unmount();
    throw e;
  }
}

/** Appends to a file until nothing more fits. */
function fill(path) {
  const file = openSync(path, 'a'), page = Buffer.alloc(4096);
  try {
    for (;;) writeSync(file, page);
  } catch (e) {
    if (e.code !== 'ENOSPC') throw e;
  } finally {
    closeSync(file);
  }
}

/** Receivers that fail in one way each for a while, beside one that does not. */
async function receivers({ seed, soak }) {
  const bad = ['half', 'drop', 'error', 'busy', 'steady'].map((name) => ({ name, topic: 'a' }));
  const world = await World.create('receivers', seed, { webhooks: [...bad, { name: 'ordered', topic: 'b', order: 'topic' }] });
  const problems = [], ways = { half: 'half', drop: 'drop', error: 500, busy: [503, { 'retry-after': '2' }], ordered: 500 };
  await world.subscribe();
  world.load(40);
  await sleep(500);
  const from = Date.now();
  for (const [name, way] of Object.entries(ways)) world.receiver.behaviour.set(name, () => way);
  await sleep(soak ? 60_000 : 10_000);
  const to = Date.now();
  for (const name of Object.keys(ways)) world.receiver.behaviour.delete(name);
  // The longer they were down the longer it takes until they are asked again.
  await world.until(() => world.webhooks.every((w) => w.arrivals.some((a) => a.good && a.at > to)),
    'all receivers to be sent something again', soak ? 75_000 : 20_000).catch((e) => problems.push(e.message));

  const arrivals = (name) => world.webhooks.find((w) => w.name === name).arrivals.filter((a) => a.at >= from && a.at <= to);
  const published = world.between('disk', from, to - 2000).filter((p) => p.topic === 'disk/a' && p.result === 'acknowledged');
  const steady = new Set(arrivals('steady').map((a) => a.key));
  const late = published.find((p) => !steady.has(p.key));
  if (late) problems.push(`receivers: ${late.key} did not reach the good receiver while the others were bad`);
  for (const name of Object.keys(ways)) {
    // A receiver that is down is asked now and then, not for every item.
    const count = arrivals(name).length, most = 60 + (to - from) / 100;
    if (count === 0) problems.push(`receivers: nothing was sent to the receiver "${name}" meanwhile`);
    if (count > most) problems.push(`receivers: ${count} requests to the receiver "${name}" in ${to - from} ms, which took none of them`);
  }
  const busy = arrivals('busy');
  for (const [i, a] of busy.entries()) {
    const again = busy.slice(i + 1).find((b) => b.number === a.number);
    if (again && again.at - a.at < 1900) {
      problems.push(`receivers: number ${a.number} was sent again ${again.at - a.at} ms after a 503 with Retry-After: 2`);
      break;
    }
  }
  const refused = world.between('disk', from, to).find((p) => p.result !== 'acknowledged');
  if (refused) problems.push(`receivers: a publish was ${refused.result} while receivers were bad (${refused.key}: ${refused.detail})`);
  await world.crash();
  await sleep(300);
  await world.stopLoad();
  return { world, problems };
}

export const scenarios = {
  kills,
  power,
  fsync: withFaults('fsync', [{ syncErrno: EIO }]),
  write: withFaults('write', [{ writeErrno: EIO }]),
  nospace: withFaults('nospace', [{ writeErrno: ENOSPC }]),
  full,
  // What is to be tried again is due by a clock that then jumps, which is noticed before long.
  clock: withFaults('clock', [{ clockMs: DAY_MS }, { clockMs: -DAY_MS }], { refuses: false, moody: true, again: 15_000 }),
  slow: withFaults('slow', [{ syncMs: 200 }], { refuses: false, during: onlyTheDiskIsSlow }),
  receivers,
};
