// Builds faults.c and tells it what to do.
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, readSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { endianness } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from '../e2e/gateway.mjs';

const source = join(dirname(fileURLToPath(import.meta.url)), 'faults.c');
const library = join(root, 'build/crash/faults.so');

// The members of its struct control, in order.
const MEMBERS = ['syncErrno', 'writeErrno', 'syncMs', 'clockMs', 'syncs', 'failedSyncs', 'failedWrites'];
export const EIO = 5;
export const ENOSPC = 28;
export const DAY_MS = 86_400_000;

const changed = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** Compiles the library, unless it is newer than its source. */
export function build() {
  if (changed(library) > changed(source)) return;
  mkdirSync(dirname(library), { recursive: true });
  const { status, error, stderr } = spawnSync(
    process.env.CC ?? 'cc', ['-std=gnu17', '-O2', '-Wall', '-Wextra', '-shared', '-fPIC', '-o', library, source, '-ldl'],
    { encoding: 'utf8' });
  if (status !== 0) throw new Error(`faults.c does not compile: ${error?.message ?? stderr}`);
}

export class Faults {
  /** `path`: a file for the orders, which one gateway reads. */
  constructor(path) {
    writeFileSync(path, Buffer.alloc(MEMBERS.length * 8));
    this.file = openSync(path, 'r+');
    // A sanitizer's runtime wants to be the first library; after ours is good enough.
    this.env = { LD_PRELOAD: library, HOOKMOON_FAULTS: path, ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:verify_asan_link_order=0` };
  }

  /** E.g. { syncErrno: EIO }; what is not named stays. */
  set(orders) {
    for (const [name, value] of Object.entries(orders)) writeSync(this.file, number(value), 0, 8, MEMBERS.indexOf(name) * 8);
  }

  get(name) {
    const bytes = Buffer.alloc(8);
    readSync(this.file, bytes, 0, 8, MEMBERS.indexOf(name) * 8);
    return Number(endianness() === 'LE' ? bytes.readBigInt64LE() : bytes.readBigInt64BE());
  }

  lift() {
    this.set({ syncErrno: 0, writeErrno: 0, syncMs: 0, clockMs: 0 });
  }

  close() {
    closeSync(this.file);
  }
}

const SECTOR = 512; // of a disk: each is written whole or not at all

/**
 * What a power cut makes of a database: all that was synced (the files in `synced`, by the library),
 * and of what was not, some sectors. Only while no gateway runs. Returns how many bytes were cut off
 * or put back.
 */
export function cutPower(data, synced, random) {
  let undone = 0;
  for (const name of ['hookmoon.db', 'hookmoon.db-wal']) {
    const file = join(data, name), copy = join(synced, name);
    if (!existsSync(file)) continue;
    const now = readFileSync(file), safe = existsSync(copy) ? readFileSync(copy) : Buffer.alloc(0);
    const left = Buffer.alloc(Math.max(now.length, safe.length));
    let end = safe.length;
    // Some cuts leave nothing that was not synced, some nearly all.
    const chance = random.pick([0, 0.1, 0.5, 0.9]);
    for (let at = 0; at < left.length; at += SECTOR) {
      const a = now.subarray(at, at + SECTOR), b = safe.subarray(at, at + SECTOR);
      const same = a.equals(b);
      if (!same && random.chance(chance)) {
        a.copy(left, at);
        end = Math.max(end, at + a.length);
      } else {
        b.copy(left, at);
        if (!same) undone += SECTOR;
      }
    }
    writeFileSync(file, left.subarray(0, end));
    writeFileSync(copy, left.subarray(0, end));
  }
  rmSync(join(data, 'hookmoon.db-shm'), { force: true });
  return undone;
}

function number(value) {
  const bytes = Buffer.alloc(8);
  if (endianness() === 'LE') bytes.writeBigInt64LE(BigInt(value));
  else bytes.writeBigInt64BE(BigInt(value));
  return bytes;
}
