/**
 * How well a proxy does, in all or for one site: a moving mean of its failures and its times, and a
 * breaker. After three failures in a row it is left alone for 30 s, then for twice as long each time; after
 * that one request may try it.
 */

/** What is left of the past after each new outcome. */
const MEMORY = 0.8;
const FAILURES = 3;
const FIRST_REST = 30;
const LONGEST_REST = 1800;

export class Health {
  /** From 0, all well, to 1. */
  #failing = 0;
  /** Seconds to an answer; undefined before the first. */
  #latency: number | undefined = undefined;
  #inARow = 0;
  #rests = 0;
  #restsUntil = Number.NEGATIVE_INFINITY;
  #isProbed = false;

  /** Whether a request may go by it at `now`. */
  isUsable(now: number): boolean {
    return this.#inARow < FAILURES || (now >= this.#restsUntil && !this.#isProbed);
  }

  /** When it may be tried again; `now` or less if it may. */
  get restsUntil(): number {
    return this.#inARow < FAILURES ? Number.NEGATIVE_INFINITY : this.#restsUntil;
  }

  /** A request begins. It has to be followed by one of the three below. */
  begin(): void {
    if (this.#inARow >= FAILURES) this.#isProbed = true;
  }

  /** It was cancelled, and says nothing. */
  forget(): void {
    this.#isProbed = false;
  }

  succeeded(latency: number | undefined): void {
    this.#isProbed = false;
    this.#inARow = this.#rests = 0;
    this.#failing *= MEMORY;
    if (latency !== undefined) {
      this.#latency = (this.#latency ?? latency) * MEMORY + latency * (1 - MEMORY);
    }
  }

  failed(now: number): void {
    this.#isProbed = false;
    this.#failing = this.#failing * MEMORY + (1 - MEMORY);
    if (++this.#inARow < FAILURES) return;
    this.#restsUntil = now + Math.min(FIRST_REST * 2 ** this.#rests, LONGEST_REST);
    this.#rests++;
  }

  /** The lower, the better: how long a request is expected to take, failures counted as 10 s. */
  get expectation(): number {
    return (this.#latency ?? 0.2) + this.#failing * 10;
  }

  get failing(): number {
    return this.#failing;
  }

  get latency(): number | undefined {
    return this.#latency;
  }
}
