/**
 * Which pool a site is reached by, where the caller leaves it to us. Pools stand in order of their
 * cost. A failure to reach a site makes its pool worse by ten, and each choice makes all of them better by one; the
 * choice moves to the dearer neighbour only while the cheap one is worse, so cheap pools are tried
 * again from time to time. (Crawlee 3 chose its tiers so.) Refusals are not failures: what a site
 * does not want to give by one way is not asked for by another.
 */
export class Tiers {
  readonly #penalties: number[];
  #current = 0;

  constructor(count: number) {
    this.#penalties = new Array<number>(count).fill(0);
  }

  choose(): number {
    for (const [tier, penalty] of this.#penalties.entries()) {
      this.#penalties[tier] = Math.max(penalty - 1, 0);
    }
    const here = this.#at(this.#current);
    if (this.#at(this.#current + 1) < here) this.#current++;
    else if (this.#current > 0 && this.#at(this.#current - 1) <= here) this.#current--;
    return this.#current;
  }

  failed(tier: number): void {
    this.#penalties[tier] = Math.min(this.#at(tier) + 10, 100);
  }

  #at(tier: number): number {
    return this.#penalties[tier] ?? Number.POSITIVE_INFINITY;
  }
}
