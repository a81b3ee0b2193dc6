// What a rate limiter is asked for, and how far from it it was: `rate` in a second, evenly.

export interface RateFinding {
  /** What was granted in a second, of what was asked for: 1 is exact. */
  readonly reached: number;
  /** The most that was granted in `window` seconds, beyond what the rate allows there. */
  readonly excess: number;
  /** The smallest distance of two grants, of what it should be. */
  readonly closest: number;
}

export interface RatePlan {
  /** In a second. */
  readonly rate: number;
  readonly count: number;
}

/** Seconds; short, so that what is caught up for shows. */
const window = 0.1;

/** @param times - Of the grants, in seconds. */
export function findingOf(times: readonly number[], { rate }: RatePlan): RateFinding {
  const [first = 0, last = 0] = [times[0], times.at(-1)];
  const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
  let [from, most] = [0, 0];
  for (const [index, time] of times.entries()) {
    // A thousandth of a step for what the numbers themselves are off.
    while ((times[from] ?? 0) < time - window + 0.001 / rate) from++;
    most = Math.max(most, index - from + 1);
  }
  return {
    reached: (times.length - 1) / (last - first) / rate,
    excess: most - Math.max(1, Math.ceil(window * rate)),
    closest: Math.min(...gaps) * rate,
  };
}

export const planFrom = (text = ""): RatePlan => JSON.parse(text) as RatePlan; // patterns.ts sends one
