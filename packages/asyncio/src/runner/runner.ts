/** Running a program: a loop, a main task, and an orderly end. How it goes is in session.ts. */

import { checkCoroutine } from "../errors/errors.ts";
import { stackAbove } from "../errors/render.ts";
import type { EventLoop } from "../kernel/loop.ts";
import type { Coroutine } from "../kernel/task.ts";
import { checkRunOptions, type RunOptions } from "./options.ts";
import { Session } from "./session.ts";

/**
 * Runs `main` as the main task and gives what it returns. When main has ended, tasks that are left
 * are cancelled and awaited. If nothing is left that could wake main, the call rejects with a
 * DeadlockError that lists the tasks and what they wait for.
 *
 * SIGINT and SIGTERM cancel main, and that of every other run in the process, even if other code
 * listens to them. When main has ended by that, the process dies by the signal, as a shell expects
 * (130, 143). If other listeners are left, it exits with 128 + n instead. A second signal ends the
 * process at once. The same signal within half a second counts as the first. Called inside a
 * running program, `run` is cancelled with its caller, and leaves signals alone. Called by code
 * whose run has ended, it is like a first run. Source: asyncio.run; the design page lists what
 * differs.
 *
 * @example
 * const answer = await asyncio.run(async () => await asyncio.sleep(0.001, 42));
 * assert.equal(answer, 42);
 */
export async function run<T>(main: Coroutine<T>, options: RunOptions = {}): Promise<T> {
  checkCoroutine("`run`", main);
  checkRunOptions("`run`", options);
  const session = new Session(options);
  try {
    return await session.run(main, { api: "`run`", site: callerOf(run), isOnly: true });
  } finally {
    await session.close();
  }
}

/**
 * Where a function of ours was called, as the line of a stack; "" where the engine does not tell.
 */
function callerOf(fn: unknown): string {
  return /^ *at .*/m.exec(stackAbove(fn))?.[0].trim() ?? "";
}

/**
 * Runs several mains, one after the other, on one loop and in one context of context variables.
 * Tasks that a main leaves behind live on, also between two runs, until the Runner is closed.
 * `close` cancels and awaits them, as the end of `run` does. A signal that ends a main ends the
 * Runner, and then the process. So does a signal between two runs, unless other code listens to it.
 * Source: asyncio.Runner, where nothing runs between two runs.
 *
 * @example
 * const ticks: number[] = [];
 * {
 *   await using runner = new asyncio.Runner();
 *   await runner.run(async () => {
 *     asyncio.createTask(async () => {
 *       for (;;) ticks.push(await asyncio.sleep(0.001, 1));
 *     });
 *   });
 *   await runner.run(() => asyncio.sleep(0.02));
 * }
 * assert.ok(ticks.length > 1);
 */
export class Runner {
  readonly #session: Session;

  constructor(options: RunOptions = {}) {
    checkRunOptions("`new Runner`", options);
    this.#session = new Session(options);
  }

  /** The loop, made when it is first asked for. @throws InvalidStateError after `close`. */
  getLoop(): EventLoop {
    return this.#session.getLoop();
  }

  /**
   * Runs `main`, and gives what it returns. One at a time. The tasks that it leaves behind go on.
   */
  async run<T>(main: Coroutine<T>): Promise<T> {
    checkCoroutine("`runner.run`", main);
    const site = callerOf(Runner.prototype.run);
    return await this.#session.run(main, { api: "`runner.run`", site, isOnly: false });
  }

  /**
   * Cancels the tasks that are left, waits for them, and closes the loop unless it was passed in.
   * Tasks that are alive after `shutdownDelay` are reported, and left behind. Does nothing the
   * second time.
   * @throws InvalidStateError while a main runs.
   */
  async close(): Promise<void> {
    await this.#session.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
