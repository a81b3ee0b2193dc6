/**
 * The course of a trial, from the end of its body to the end of its last task.
 *
 *     running ──body has ended──▶ settling ──nothing ready──▶ checking ──▶ ending ──no task──▶ over
 *        └──── dead, livelocked, or out of control ──────────────────────────▲
 *
 * While it settles, what is ready still runs, but time stands still: what is left after that is a
 * leak. Then the invariant runs, if there is one. While it ends, the leftovers are cancelled, and
 * nothing that happens counts any more.
 */

import type { EventLoop } from "../kernel/loop.ts";
import { type ExceptionContext, reportUnobserved } from "../kernel/reports.ts";
import { Task } from "../kernel/task.ts";
import type { Failure } from "./injector.ts";
import type { Narrator } from "./narrator.ts";

type Phase = "running" | "settling" | "checking" | "ending" | "over";

/** What it asks of its trial. */
interface Steered {
  readonly loop: EventLoop;
  /** What has to hold at the end; undefined for nothing. */
  readonly invariant: (() => unknown) | undefined;
  /** What is wrong with a body that has ended, and with what it has left behind. */
  judge(problems: readonly ExceptionContext[]): Failure | undefined;
  /** Work outside of the loop does not hold the clock any more. */
  ignoreForeign(): void;
  /** All tasks have ended. */
  over(): void;
  /** Does in the next turn of the host, or now, what is to be done when nothing is ready. */
  scheduleCheck(): void;
  goOn(): void;
}

export class Course {
  /** Why the trial has failed; undefined if it has not. */
  failure: Failure | undefined = undefined;
  readonly #trial: Steered;
  readonly #narrator: Narrator;
  #phase: Phase = "running";
  /** What was reported to the exception handler while it ran. */
  readonly #problems: ExceptionContext[] = [];

  constructor(trial: Steered, narrator: Narrator) {
    this.#trial = trial;
    this.#narrator = narrator;
  }

  get isRunning(): boolean {
    return this.#phase === "running";
  }

  get isOver(): boolean {
    return this.#phase === "over";
  }

  /** Something was reported to the exception handler. */
  reported(context: ExceptionContext): void {
    if (this.isRunning || this.#phase === "settling") this.#problems.push(context);
  }

  bodyEnded(): void {
    if (!this.isRunning) return;
    this.#phase = "settling";
    this.#trial.ignoreForeign();
    this.#checkIfIdle();
  }

  /** Nothing is ready: takes the next step. False if there is none before the clock has moved. */
  nothingReady(): boolean {
    if (this.#phase === "settling") this.#settled();
    else if (this.isRunning || this.#trial.loop.tasks.size > 0) return false;
    else this.#finish();
    return true;
  }

  /** Nothing can wake the tasks that are left. While it checks or ends, they are abandoned. */
  stuck(): void {
    if (this.#phase === "checking" || this.#phase === "ending") this.#abandonRest();
  }

  /** It takes too many steps, because of `error`. */
  livelocked(error: () => unknown): void {
    if (this.#phase === "checking" || this.#phase === "ending") this.#abandonRest();
    else this.fail(error());
  }

  fail(error: unknown): void {
    if (this.#phase === "ending" || this.isOver) return;
    this.failure ??= { error };
    this.#end();
    this.#checkIfIdle();
  }

  /** The body has ended, and everything that was ready has run. */
  #settled(): void {
    reportUnobserved(this.#trial.loop);
    const { invariant } = this.#trial;
    this.failure ??= this.#trial.judge(this.#problems);
    if (invariant !== undefined && this.failure === undefined) return void this.#check(invariant);
    this.#end();
    if (this.#trial.loop.isIdle) this.#trial.goOn(); // on to the end: no microtask is left either
  }

  #check(invariant: () => unknown): void {
    this.#phase = "checking";
    const check = new Task(this.#trial.loop, async () => void (await invariant()), {
      name: "the invariant",
    });
    check.listen({
      futureDone: () => {
        if (check.state !== "fulfilled") this.failure ??= { error: check.failure };
        check.observe();
        this.#narrator.stepEnded();
        this.#end();
        this.#checkIfIdle();
      },
    });
  }

  /** Cancels what is left. */
  #end(): void {
    this.#phase = "ending";
    this.#narrator.stop();
    this.#trial.ignoreForeign();
    const { loop } = this.#trial;
    for (const task of loop.tasks.toArray()) {
      task.observe();
      task.cancelFor("shutdown");
      if (task.waitingFor().length === 0 && loop.isIdle) task.abandon();
    }
  }

  #abandonRest(): void {
    for (const task of this.#trial.loop.tasks.toArray()) task.abandon();
    this.#trial.scheduleCheck();
  }

  #finish(): void {
    if (this.isOver) return;
    this.#phase = "over";
    this.#trial.over();
  }

  #checkIfIdle(): void {
    if (this.#trial.loop.isIdle) this.#trial.scheduleCheck();
  }
}
