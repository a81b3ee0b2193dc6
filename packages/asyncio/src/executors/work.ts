/**
 * One job, here: from the call that asks for it to its outcome. It runs in a worker, and whoever
 * waits for it waits in a masked join: a cancellation goes on to the worker, and the wait ends when
 * the job has ended there.
 */

import { CancelledError, TimeoutError } from "../errors/errors.ts";
import type { Cancellation } from "../kernel/cancellation.ts";
import { currentContext, runInScope } from "../kernel/context.ts";
import { cancelIfDue } from "../kernel/delivery.ts";
import { realHost } from "../kernel/host.ts";
import { here, openScope } from "../kernel/operation.ts";
import { park, Scope } from "../kernel/scope.ts";
import type { OnCancel, Wait } from "../kernel/wait.ts";
import { contextStorage } from "../ports/context-storage.ts";
import type { Links } from "../structures/linked-list.ts";
import { formatSeconds } from "../structures/timers.ts";
import { timeLeft } from "../tasks/due.ts";
import { sharedValues } from "./carried-variables.ts";
import { addCallers, type ErrorTable, errorOf, tableOf } from "./error-table.ts";
import type { CallOutcome } from "./protocol.ts";
import type { FunctionName } from "./sendable.ts";
import {
  type Callbacks,
  hasFunction,
  isPrimitive,
  isSendable,
  type Packed,
  pack,
  refusal,
} from "./sending.ts";

/** How a job has ended. */
export type Outcome =
  | { readonly state: "value"; readonly value: unknown }
  | { readonly state: "failed"; readonly table: ErrorTable }
  | { readonly state: "error"; readonly error: unknown }
  | { readonly state: "cancelled"; readonly source: string };

/** What runs jobs: the executor, as a job sees it. */
export interface Runner {
  readonly name: string;
  /** Takes the job. */
  accept(work: Work): void;
  /** Asks it to end; one that has not been handed to a worker is over in the call. */
  withdraw(work: Work, cancellation: WorkCancellation): void;
  /** It is over. */
  left(): void;
  /** True if jobs run outside the loop of their callers. */
  readonly isOutside: boolean;
}

/** Where a job runs, in words: asked for by reports and errors only. */
export interface Place {
  describe(): string;
}

export type WorkCancellation = Pick<Cancellation, "source" | "reason" | "requestedBy">;

/** The job whose callback the running code belongs to. */
const callingJobs = new (contextStorage())<Work>();

/** What few jobs have. The others share one of these, for ten thousand of them may wait at once. */
class Rarities {
  callbacks: Callbacks | undefined = undefined;
  variables: readonly (readonly [name: string, value: unknown])[] | undefined = undefined;
  /** On the clock of the host. */
  deadline: number | undefined = undefined;
  /** Its items are wanted, so many ahead of the consumer. */
  credit: number | undefined = undefined;
  attempt = 1;
  onItem: ((value: unknown) => void) | undefined = undefined;
  onProgress: ((value: unknown) => void) | undefined = undefined;
  onOver: (() => void) | undefined = undefined;
  /** Nothing has to be done any more to end it. */
  onStopped: (() => void) | undefined = undefined;
  /** The callbacks that are under way; made when one is called. */
  calls: Map<number, Scope> | undefined = undefined;
  /** The job in whose callback this one was called for. */
  calledFor: Work | undefined = undefined;
  /** A job that was called for in a callback of this one, and has not ended. */
  blockedBy: Work | undefined = undefined;
}
const NONE: Readonly<Rarities> = new Rarities();

export class Work implements Links<Work> {
  previous: Work | undefined = undefined;
  next: Work | undefined = undefined;
  readonly fn: FunctionName;
  /** Of its own among the jobs of its executor. */
  readonly number: number;
  /** That in its worker; 0 while it has none. */
  seq = 0;
  /** As they are sent: without the callbacks among them, if there are any. */
  args: readonly unknown[];
  /** What it has beyond that; written to by way of `ownRare`. */
  rare: Readonly<Rarities> = NONE;
  /** The scope of its caller, in which its callbacks run. */
  readonly scope: Scope;
  readonly runner: Runner;
  state: "new" | "queued" | "sent" | "over" = "new";
  /** True once it was asked to end. */
  isAsked = false;
  /** On the clock of the host, as the next one. */
  readonly madeAt: number;
  startedAt = 0;
  /** Where it runs; undefined while it has no place. */
  place: Place | undefined = undefined;
  /** True once it had to go back to the line. */
  isAgain = false;
  outcome: Outcome | undefined = undefined;
  #wait: Wait | undefined = undefined;

  constructor(
    runner: Runner,
    fn: FunctionName,
    args: readonly unknown[],
    number: number,
    scope: Scope,
    now: number,
  ) {
    this.runner = runner;
    this.fn = fn;
    this.number = number;
    this.args = args;
    this.scope = scope;
    this.madeAt = now;
    if (hasFunction(args)) this.#setPacked(pack(args));
    const variables = sharedValues();
    if (variables !== undefined) this.ownRare().variables = variables;
    const isTimed = scope.nearest !== undefined || scope.mayBeDue;
    const left = isTimed && scope.loop.host === realHost ? timeLeft() : Infinity;
    if (left !== Infinity) this.ownRare().deadline = realHost.now() + left;
    const calledFor = callingJobs.getStore();
    if (calledFor !== undefined) this.ownRare().calledFor = calledFor;
  }

  ownRare(): Rarities {
    if (this.rare === NONE) this.rare = new Rarities();
    return this.rare;
  }

  #setPacked({ args, callbacks }: Packed): void {
    this.args = args;
    if (callbacks !== undefined) this.ownRare().callbacks = callbacks;
  }

  /** Whether no object of the caller goes along. */
  get isPlain(): boolean {
    const { args } = this;
    if (this.rare.variables !== undefined || this.fn.settings.transfer.length > 0) return false;
    for (let index = 0; index < args.length; index++) if (!isPrimitive(args[index])) return false;
    return true;
  }

  /**
   * The host has refused the arguments: takes out the callbacks that lie deep in them. False if
   * there are none, or none any more.
   */
  searchCallbacks(): boolean {
    if (this.rare.callbacks !== undefined) return false;
    this.#setPacked(pack(this.args));
    return this.rare.callbacks !== undefined;
  }

  get id(): string {
    return `${this.runner.name}-${this.number}`;
  }

  describe(): string {
    return `job ${JSON.stringify(this.id)} (${this.fn.name})`;
  }

  describeWait(): string {
    const { place, startedAt } = this;
    if (place === undefined) return `${this.describe()}, which waits for a worker`;
    return `${this.describe()}, for ${formatSeconds(realHost.now() - startedAt)} in ${place.describe()}`;
  }

  /**
   * Waits in the current scope until it is over, and gives what it has given. Cancelled, it goes on
   * until the job has ended.
   */
  join(): Promise<unknown> {
    const scope = here();
    const wait = park<unknown>(scope, this, withdrawSubject);
    if (this.runner.isOutside) wait.waitsOutside();
    this.#wait = wait;
    if (this.outcome !== undefined) this.#finish();
    else cancelIfDue(wait);
    return wait.promise;
  }

  /** The job has ended; callbacks of it that still run are cancelled and awaited. */
  settle(outcome: Outcome): void {
    if (this.outcome !== undefined) return;
    this.outcome = outcome;
    this.state = "over";
    const { onStopped, calledFor, calls } = this.rare;
    onStopped?.();
    if (calledFor?.rare.blockedBy === this) calledFor.ownRare().blockedBy = undefined;
    if (calls === undefined || calls.size === 0) this.#finish();
    else for (const scope of calls.values()) scope.cancel("the job has ended");
  }

  #finish(): void {
    const wait = this.#wait;
    const { outcome } = this;
    if (outcome === undefined) return;
    this.runner.left();
    this.rare.onOver?.();
    if (wait === undefined) return;
    if (outcome.state === "value") wait.resume(outcome.value);
    else if (outcome.state !== "cancelled") wait.resume(new Failing(this, outcome));
    else {
      // A deadline that went along may strike there first.
      if (outcome.source === "deadline" && wait.cancellation === undefined) cancelIfDue(wait);
      wait.joined(new Failing(this, outcome));
    }
  }

  // --- callbacks

  /** A callback is called: it runs here, in a scope inside that of the caller. */
  called(
    call: number,
    index: number,
    args: readonly unknown[],
    reply: (outcome: CallOutcome) => void,
  ): void {
    const callback = this.rare.callbacks?.functions[index];
    if (callback === undefined || this.outcome !== undefined) return;
    const { scope } = this;
    const inner = new Scope(scope.loop, {
      label: `a callback of ${this.describe()}`,
      task: scope.task,
      context: currentContext().copy(),
    });
    const own = this.ownRare();
    own.calls ??= new Map();
    own.calls.set(call, inner);
    const body = () => callback.fn(...(args as never[]));
    const run = (): Promise<unknown> =>
      callingJobs.run(this, () => openScope(inner, scope, async () => await body()));
    runInScope(scope, run, undefined).then(
      (value) => this.#answered(call, reply, ["value", value]),
      (error) =>
        this.#answered(
          call,
          reply,
          error instanceof CancelledError
            ? ["cancelled", isSendable(error.reason) ? error.reason : undefined]
            : ["failed", tableOf(error)],
        ),
    );
  }

  /** The job does not want the answer any more. */
  uncalled(call: number): void {
    this.rare.calls?.get(call)?.cancel("the job was cancelled");
  }

  #answered(call: number, reply: (outcome: CallOutcome) => void, outcome: CallOutcome): void {
    const { calls } = this.rare;
    calls?.delete(call);
    if (this.outcome === undefined) {
      try {
        reply(outcome);
      } catch (error) {
        reply(["failed", tableOf(refusal("result", outcome[1], error))]);
      }
    } else if (calls?.size === 0) this.#finish();
  }
}

const withdrawSubject: OnCancel = ({ subject }, cancellation) => {
  const work = subject as Work; // `join` has parked it
  work.runner.withdraw(work, cancellation);
  return false;
};

const settled: Promise<void> = Promise.resolve();

/**
 * What a wait is resumed with that is to reject. The error is made in a reaction whose promise
 * passes it on to that of the wait, so its stack has those who await it; values need no promise
 * beside that of the wait.
 */
class Failing implements PromiseLike<never> {
  readonly #work: Work;
  readonly #outcome: Outcome;

  constructor(work: Work, outcome: Outcome) {
    this.#work = work;
    this.#outcome = outcome;
  }

  // biome-ignore lint/suspicious/noThenProperty: what a promise is resolved with
  then(resolve: never, reject: never): Promise<never> {
    const fail = (): never => unwrap(this.#work, this.#outcome) as never;
    return settled.then(fail).then(resolve, reject);
  }
}

/**
 * What the caller gets. Call it where the caller waits: the stack of an error gets the callers that
 * are there.
 */
export function unwrap(work: Work, outcome: Outcome): unknown {
  switch (outcome.state) {
    case "value":
      return outcome.value;
    case "error":
      throw outcome.error;
    case "failed": {
      const error = errorOf(outcome.table);
      addCallers(
        error,
        `${work.fn.name} (in ${work.place?.describe() ?? "a worker"})`,
        new Error().stack,
      );
      throw error;
    }
    case "cancelled":
      if (outcome.source === "deadline")
        throw new TimeoutError(
          `the deadline under which ${work.describe()} was started has passed`,
        );
      throw new CancelledError({ source: outcome.source as "cancel" });
  }
}
