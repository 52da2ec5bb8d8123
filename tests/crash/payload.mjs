// What is published: a key that is used once, and filler that shows when bytes were lost or mixed up.
const filler = (key, length) => key.repeat(Math.ceil(length / key.length)).slice(0, length);

export const pack = (key, length) => `${key} ${length} ${filler(key, length)}`;

/** The key; of a text that `pack` did not make, its beginning, which fits no key. */
export function unpack(text) {
  const [key, length] = String(text).split(' ', 2);
  return text === pack(key || 'none', Number(length) || 0) ? key : `not ours: ${String(text).slice(0, 60)}`;
}
