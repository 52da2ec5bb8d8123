// Random numbers that a seed repeats: what is sent, when it is killed, how a receiver misbehaves.
export class Random {
  #state;

  /** `seed` is any text or number; a name beside it gives each user a sequence of its own. */
  constructor(...seed) {
    this.#state = 0x9e3779b9;
    for (const c of seed.join('/')) this.#state = Math.imul(this.#state ^ c.codePointAt(0), 0x85ebca6b) >>> 0;
  }

  /** In [0, 1). */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  between(low, high) {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  chance(probability) {
    return this.next() < probability;
  }

  pick(list) {
    return list[this.between(0, list.length - 1)];
  }
}
