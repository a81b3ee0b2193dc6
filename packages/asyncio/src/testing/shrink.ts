/**
 * Shrinking: the schedule that fails in the fewest places that differ from first in, first out.
 *
 * First deviations are taken away, in halves, quarters, down to single ones, as long as the same
 * failure comes back; then their options are lowered. The result is a schedule from which nothing
 * can be taken away. A smaller one may exist all the same. So at the end all schedules with fewer
 * deviations are tried, as far as the budget goes.
 */

import { isA } from "../errors/render.ts";
import { realHost } from "../kernel/host.ts";
import type { Failure } from "./injector.ts";
import { drawer } from "./random.ts";
import type { Deviation } from "./schedule.ts";
import { BoundedSearch, Scripted } from "./strategies.ts";
import { Trial } from "./trial.ts";
import type { TrialSettings } from "./trial-settings.ts";

/** How much is tried. */
const MOST_RUNS = 2000;
const MOST_SECONDS = 5;

/** The deviations of a schedule that fails as `failed` did, as few as can be found. */
export async function shrink<S>(
  settings: TrialSettings<S>,
  failed: Trial<S>,
): Promise<readonly Deviation[]> {
  return await new Shrinker(settings, failed).shrink();
}

class Shrinker<S> {
  readonly #settings: TrialSettings<S>;
  readonly #failed: Trial<S>;
  readonly #kind: string;
  readonly #startedAt: number = realHost.now();
  #best: readonly Deviation[];
  #runs = 0;

  constructor(settings: TrialSettings<S>, failed: Trial<S>) {
    this.#settings = settings;
    this.#failed = failed;
    this.#kind = kindOf(failed.failure as Failure); // it has failed
    this.#best = failed.decider.deviations;
  }

  async shrink(): Promise<readonly Deviation[]> {
    for (let before = -1; before !== this.#best.length; ) {
      before = this.#best.length;
      await this.#takeAway();
      await this.#lower();
    }
    await this.#searchBelow();
    return this.#best;
  }

  get #isSpent(): boolean {
    return this.#runs >= MOST_RUNS || realHost.now() - this.#startedAt > MOST_SECONDS;
  }

  async #takeAway(): Promise<void> {
    for (let size = this.#best.length; size >= 1; size = Math.floor(size / 2)) {
      for (let start = 0; start < this.#best.length && !this.#isSpent; ) {
        const candidate = [...this.#best.slice(0, start), ...this.#best.slice(start + size)];
        if (!(await this.#accept(candidate))) start += size;
      }
    }
  }

  /** Lower options are nearer to FIFO, and random numbers of a lower option are no worse. */
  async #lower(): Promise<void> {
    for (let index = 0; index < this.#best.length && !this.#isSpent; index++) {
      const { position, option } = this.#best[index] as Deviation; // index < length
      for (let lower = 1; lower < Math.min(option, 5); lower++) {
        const candidate = this.#best.with(index, { position, option: lower });
        if (await this.#accept(candidate)) break;
      }
    }
  }

  /** Tries all schedules with fewer deviations than the best one, the fewest first. */
  async #searchBelow(): Promise<void> {
    const search = new BoundedSearch(this.#best.length - 1, drawer(0));
    const seen = new Set<number>();
    let script: readonly Deviation[] | undefined = [];
    while (script !== undefined && script.length < this.#best.length && !this.#isSpent) {
      const trial = await this.#run(script);
      if (this.#isSame(trial)) {
        this.#best = trial.decider.deviations;
        return;
      }
      const before = seen.size;
      seen.add(trial.decider.hash);
      if (seen.size > before) search.ran(script, trial.decider.counts);
      script = search.next();
    }
  }

  /** Makes `candidate` the best one if it fails in the same way, with no more deviations. */
  async #accept(candidate: readonly Deviation[]): Promise<boolean> {
    const trial = await this.#run(candidate);
    const { deviations } = trial.decider;
    if (!this.#isSame(trial) || deviations.length > candidate.length) return false;
    this.#best = deviations;
    return true;
  }

  async #run(script: readonly Deviation[]): Promise<Trial<S>> {
    this.#runs++;
    const bare = script.map(({ position, option }) => ({ position, option }));
    const trial = new Trial(this.#settings, new Scripted(bare), {
      mode: this.#failed.mode,
      givesTurn: this.#failed.isRejected,
    });
    await trial.run();
    return trial;
  }

  #isSame(trial: Trial<S>): boolean {
    return trial.failure !== undefined && kindOf(trial.failure) === this.#kind;
  }
}

/** A key for failures of the same bug: class, code and message, without names and numbers. */
export function kindOf({ error }: Failure): string {
  if (isA(error, AggregateError))
    return `${error.name}(${[...new Set(error.errors.map((inner) => kindOf({ error: inner })))].sort()})`;
  if (!isA(error, Error)) return typeof error;
  const code = (error as { code?: unknown }).code;
  // What differs from run to run: names in quotes, numbers, lists of what is left.
  const [firstLine = ""] = error.message.split("\n");
  const words = firstLine.replace(/"[^"]*"|'[^']*'|-?\d+(\.\d+)?/g, "_");
  return `${error.name} ${String(code)} ${isOurs(code) ? "" : words}`;
}

/** Our own errors have words that depend on the order of things. */
function isOurs(code: unknown): boolean {
  return typeof code === "string" && code.startsWith("ERR_ASYNCIO_");
}
