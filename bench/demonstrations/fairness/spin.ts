// The stage of the fairness demonstration: something spins, and beside it a 10 ms timer is waited
// for again and again. How late does it fire?

export const spins = ["nothing", "queue", "switch"] as const;
/**
 * `nothing`: for comparison, how late timers are on this machine anyway. `queue`: one task takes
 * from a queue that is never empty. `switch`: a crowd of tasks takes turns.
 */
export type SpinKind = (typeof spins)[number];

export interface FairnessPlan {
  readonly spin: SpinKind;
  /** How many tasks take turns. */
  readonly tasks: number;
  /** How many timers are waited for, one after the other. */
  readonly timers: number;
  /**
   * The spinning ends when it has taken so much time of a processor, with or without a timer. Time
   * that other programs take does not count: a timer may become due in it, and cannot fire.
   */
  readonly limitMs: number;
}

export interface FairnessFinding {
  /** How late each timer fired, in the order in which they were set. */
  readonly latenessMs: readonly number[];
  /** True if no timer fired as long as something was spinning. */
  readonly starved: boolean;
  readonly turnsPerSecond: number;
}

const delayMs = 10;
const turnsBetweenLooks = 1024;

/** Says how long to spin, and counts the turns. */
export class Spin {
  turns = 0;
  readonly #startedAt = performance.now();
  readonly #usageAtStart = process.threadCpuUsage();
  readonly #limitMs: number;
  #ended = false;

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  /**
   * Counts one turn; false if it is to be the last. Looks at the clock now and then: it costs more
   * than a turn.
   */
  turn(): boolean {
    if (++this.turns % turnsBetweenLooks === 0 && this.#usedMs() >= this.#limitMs) this.end();
    return !this.#ended;
  }

  /** Waits for `count` timers one after the other, as long as it spins. Then the spinning ends. */
  async measureTimers(
    count: number,
    wait: (delayMs: number) => PromiseLike<void>,
  ): Promise<FairnessFinding> {
    const latenessMs: number[] = [];
    while (latenessMs.length < count && !this.#ended) {
      const due = performance.now() + delayMs;
      await wait(delayMs);
      latenessMs.push(performance.now() - due);
    }
    const starved = this.#ended && latenessMs.length === 1;
    this.end();
    return { latenessMs, starved, turnsPerSecond: (this.turns * 1000) / this.#elapsedMs() };
  }

  end(): void {
    this.#ended = true;
  }

  #usedMs(): number {
    const { user, system } = process.threadCpuUsage(this.#usageAtStart);
    return (user + system) / 1000;
  }

  #elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }
}
