/** What a task group takes, and what becomes of what fails in it. */

import { argumentError, CancelledError, checkCount, checkOptions } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { runInScope } from "../kernel/context.ts";
import { recognised } from "../kernel/operation.ts";
import { Scope } from "../kernel/scope.ts";
import type { Task, TaskOptions } from "../kernel/task.ts";
import { checkSignal } from "./abort.ts";
import { TASK_OPTIONS, type TaskNames } from "./create-task.ts";
import { ExceptionGroup } from "./exception-group.ts";
import type { SignalOption } from "./timeouts.ts";

/**
 * What becomes of the failure of a child. "cancel": the others are cancelled, and all failures come
 * out as an ExceptionGroup. "bare": the others are cancelled, the failure that came first comes out
 * as it is, and later ones are reported. "isolate": nobody is cancelled; whoever awaits the child
 * is told, else it is reported. A function: as "isolate", and it is told, at once. In the last
 * three a failure of the body cancels the children and comes out as it is.
 */
export type OnError =
  | "cancel"
  | "bare"
  | "isolate"
  | ((error: unknown, task: Task<unknown>) => unknown);

/** What `taskGroup` takes. */
export interface TaskGroupOptions extends SignalOption {
  /**
   * How many children run at the same time; the others start in order as places become free.
   * @default Infinity
   */
  readonly limit?: number | undefined;
  /** What reports call it. */
  readonly name?: string | undefined;
  /** What becomes of the failure of a child. @default "cancel" */
  readonly onError?: OnError | undefined;
}

/** What `group.start` takes. */
export interface StartOptions extends TaskOptions {
  /** Gives the child as well: `{ value, task }`. @default false */
  readonly handle?: boolean | undefined;
}

export const GROUP_OPTIONS: Names<TaskGroupOptions> = {
  limit: 1,
  name: "string",
  onError: 1,
  signal: "AbortSignal",
};
export const START_OPTIONS: TaskNames<StartOptions> = {
  ...TASK_OPTIONS,
  handle: "boolean",
};
const MODES: readonly unknown[] = ["cancel", "bare", "isolate"];

/** @throws TypeError, RangeError, or the reason of a signal that has aborted already. */
export function checkGroupOptions(options: TaskGroupOptions | undefined): void {
  const api = "`taskGroup`";
  checkOptions(api, options, GROUP_OPTIONS);
  checkSignal(options?.signal);
  const { limit = Number.POSITIVE_INFINITY, onError = "cancel" } = options ?? {};
  checkCount(api, "`limit`", limit);
  if (typeof onError === "function" || MODES.includes(onError)) return;
  const expected = '`onError` to be "cancel", "bare", "isolate" or a function';
  throw argumentError(api, expected, onError);
}

/** A failure that ended a group, or came after that. */
interface Failure {
  /** That of the child in the order of creation; the body comes first. */
  readonly place: number;
  readonly error: unknown;
}

/** What the failures of a group ask it. */
interface FailingGroup {
  readonly scopeAround: Scope;
  describeWait(): string;
  abort(): void;
  endJoin(): void;
}

const settled: Promise<void> = Promise.resolve();

/** What has failed in a group, as it came. Of several, one comes out where they come out bare. */
export class Failures {
  readonly #group: FailingGroup;
  readonly #onError: OnError;
  readonly #all: Failure[] = [];
  /** How many children have failed. */
  count = 0;
  /** Calls of `onError` that are under way. */
  telling = 0;

  constructor(group: FailingGroup, onError: OnError) {
    this.#group = group;
    this.#onError = onError;
  }

  /** A child has failed. */
  childFailed(place: number, task: Task<unknown>): void {
    this.count++;
    if (this.#onError === "isolate") void settled.then(() => task.reportIfUnobserved());
    else {
      task.observe();
      if (typeof this.#onError === "function") void this.#tell(this.#onError, task);
      else this.add(place, task.failure, task);
    }
  }

  /** Calls `onError` where the group was opened. Its failure is one of the body. */
  async #tell(
    onError: (error: unknown, task: Task<unknown>) => unknown,
    task: Task<unknown>,
  ): Promise<void> {
    this.telling++;
    try {
      await settled; // no code of the program runs inside the loop
      await runInScope(this.#group.scopeAround, () => onError(task.failure, task), undefined);
    } catch (error) {
      if (!this.#isFromOutside(error)) this.add(-1, error);
    } finally {
      this.telling--;
      this.#group.endJoin();
    }
  }

  /** Whether a cancellation has cut `onError` off that the group hears of itself. */
  #isFromOutside(error: unknown): boolean {
    const { scopeAround } = this.#group;
    const found = recognised(error, scopeAround);
    if (!(found instanceof CancelledError) || !(found.scope instanceof Scope)) return false;
    return found.scope === scopeAround || scopeAround.isInside(found.scope);
  }

  get any(): boolean {
    return this.#all.length > 0;
  }

  /** A failure that ends the group. Of several, one comes out where they come out bare. */
  add(place: number, error: unknown, task?: Task<unknown>): void {
    const [first] = this.#all;
    if (first === undefined || this.#onError === "cancel") this.#all.push({ place, error });
    else if (first.error !== error) {
      const what = `${task?.describe() ?? "the body"} of ${this.#group.describeWait()}`;
      const message = `${what} has failed after another one`;
      this.#group.scopeAround.loop.callExceptionHandler({ message, exception: error, task });
    }
    this.#group.abort();
  }

  /** What the `taskGroup` call throws. */
  outcome(): unknown {
    if (this.#onError !== "cancel") return this.#all[0]?.error;
    this.#all.sort((a, b) => a.place - b.place);
    // What the body saw by awaiting a child, and the child's own failure, are one (F7).
    const errors = new Set(this.#all.map(({ error }) => error));
    return new ExceptionGroup(`${this.#group.describeWait()} has failed`, [...errors]);
  }
}

/** How the body has ended. */
export interface BodyOutcome<R> {
  value?: R;
  /** A cancellation from outside. */
  cancelledError?: CancelledError;
}
