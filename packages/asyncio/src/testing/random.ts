/** Random but repeatable numbers. */

/** Whole numbers from 0 up to `count`, the same ones for each seed: Tommy Ettinger's mulberry32. */
export function drawer(seed: number): (count: number) => number {
  let state = seed >>> 0;
  return (count) => {
    state = (state + 0x6d2b79f5) >>> 0;
    return Math.floor((mix(state) / 2 ** 32) * count);
  };
}

/** A well mixed 32-bit number made of `state`. */
export function mix(state: number): number {
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
  return (mixed ^ (mixed >>> 14)) >>> 0;
}
