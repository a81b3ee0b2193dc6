// Where a median lies, without any belief in how the figures are spread.

export interface Interval {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  /** False if there are too few values for 95 %: then the range is that of all of them. */
  readonly known: boolean;
}

/**
 * The 95 % confidence interval for the median, from order statistics: of n values, the true median
 * is below the k-th smallest exactly if fewer than k of n coins show heads. Six values are needed;
 * ten give the range without the outermost.
 */
export function medianInterval(values: readonly number[]): Interval {
  const sorted = values.toSorted((a, b) => a - b);
  const count = sorted.length;
  const at = (index: number): number => sorted[index] ?? Number.NaN;
  const median = (at(Math.floor((count - 1) / 2)) + at(Math.ceil((count - 1) / 2))) / 2;
  let outside = 0; // how many values can be left out on each side
  let tail = 0.5 ** count; // the chance that the median is below the smallest value
  let term = tail;
  while (tail <= 0.025) {
    outside++;
    term *= (count - outside + 1) / outside;
    tail += term;
  }
  const known = outside > 0;
  const left = Math.max(outside - 1, 0);
  return { median, low: at(left), high: at(count - 1 - left), known };
}
