// How long things took, in buckets that grow by 1 %: a million measurements take no more memory
// than a hundred, and a percentile is off by 1 % at most.

const LEAST = 1e-6;
const GROWTH = Math.log(1.01);

export class Histogram {
  readonly #counts: number[] = [];
  count = 0;
  most = 0;
  #sum = 0;

  add(seconds: number): void {
    const bucket = Math.max(0, Math.ceil(Math.log(seconds / LEAST) / GROWTH));
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.count++;
    this.#sum += seconds;
    this.most = Math.max(this.most, seconds);
  }

  get mean(): number {
    return this.count === 0 ? 0 : this.#sum / this.count;
  }

  /** So many percent took this many seconds at most. */
  percentile(percent: number): number {
    let left = Math.ceil((this.count * percent) / 100);
    for (const [bucket, count = 0] of this.#counts.entries()) {
      left -= count;
      if (left <= 0) return Math.min(LEAST * Math.exp(bucket * GROWTH), this.most);
    }
    return this.most;
  }
}
