/** What a trial is made of. */

import type { Task } from "../kernel/task.ts";
import type { BubbleOptions } from "./bubble.ts";
import type { Mode } from "./schedule.ts";
import type { TestContext } from "./test-context.ts";
import type { TraceLog } from "./trace.ts";
import type { Watchdog } from "./watchdog.ts";

/** The code under test. `state` is what `setup` has made. */
export type TestBody<S> = (t: TestContext, state: S) => unknown;

/** What the trials of one test have in common. */
export interface TrialSettings<S> {
  readonly body: TestBody<S>;
  /** The function that the replay strings are for: mostly the body. */
  readonly source: (...args: never[]) => unknown;
  readonly setup: (() => S) | undefined;
  readonly invariant: ((state: S) => unknown) | undefined;
  readonly cancelGrace: number | undefined;
  readonly autojump: boolean;
  readonly bubble: BubbleOptions | undefined;
  /** What becomes of a foreign await: time holds still until it ends, or the trial fails. */
  readonly foreign: "hold" | "error";
  readonly maxSteps: number;
  /** Whose cancellation a sweep decides; undefined: the body's. */
  readonly isVictim: ((task: Task<unknown>) => boolean) | undefined;
  /** Whether a sweep lets the body return although it was cancelled. */
  readonly mayReturn: boolean;
  readonly watchdog: Watchdog;
  /** Trials of which it was known only when they were over that they have failed. */
  readonly failedLate: unknown[];
}

export interface TrialOptions {
  readonly mode: Mode;
  /** Keeps the steps for people. Slow. */
  readonly log?: TraceLog | undefined;
  /**
   * Keeps where waits and accesses are in the program, up to a number of them. @default true if
   * there is a log
   */
  readonly keepsSites?: boolean;
  /** Keeps whose steps came in which order. */
  readonly keepsTrace?: boolean;
  /**
   * Lets the host have its turn at the end: only then it reports promises that have failed and are
   * not awaited.
   */
  readonly givesTurn?: boolean;
}
