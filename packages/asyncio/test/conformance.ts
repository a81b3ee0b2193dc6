// What every operation that can wait has in common, as one suite: it completes, it can be cancelled
// at any moment, and nothing is lost or doubled by that. To cover another operation, call
// `conforms` (or `conformsJoin`, if it waits for work that it owns) with a case of it.
//
// Each check runs in virtual time, with 20 seeds (other ones for each operation), with extra
// microtasks thrown in, and, where no time has to pass, in real time.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as asyncio from "../src/index.ts";
import { complete, interruption, park, WaitList } from "../src/lowlevel.ts";
import { VirtualLoop } from "../src/testing.ts";
import { drawer, HoppingHost } from "./hopping-host.ts";

/** One operation in a situation where it has to wait. Made anew for each run of each check. */
export interface Case {
  /** Begins the operation in the current scope. */
  begin(): PromiseLike<unknown>;
  /**
   * Lets it complete, from outside; gives the value that it is to give. Has no effect on what is
   * cancelled.
   */
  complete(): unknown;
  /**
   * Asserts the state after `complete` was called `offered` times, and `completed` operations gave
   * a value.
   */
  check?(counts: { offered: number; completed: number }): void;
  /** Asserts that no operation has begun. */
  untouched?(): void;
}

/** An operation that completes by itself when time has passed. */
export interface TimedCase extends Omit<Case, "complete"> {
  /** Seconds it takes. */
  readonly delay: number;
  readonly value: unknown;
}

export interface Traits {
  /**
   * Whom `complete` completes: the operation that waits longest ("one"), all that wait ("all"), or
   * the one operation that a case is good for ("own").
   */
  readonly wakes: "one" | "all" | "own";
  /** True if the operation completes in the call when `complete` was called before. */
  readonly hasFastPath?: boolean;
  /**
   * True if a cancellation that meets it is delivered although what it waits for answers with a
   * value.
   */
  readonly cancellationWins?: boolean;
  /** True if a join lets go of its work when its scope ends: the work is not the join's own. */
  readonly detaches?: boolean;
  /**
   * True if the end of the scope that it is called in is nothing to a join: it is called on behalf
   * of somebody else.
   */
  readonly outlives?: boolean;
  /**
   * True if the work of a join runs in the scope of the caller: whoever swallows its cancellation
   * has swallowed it.
   */
  readonly runsInCaller?: boolean;
  /** True if virtual time stands still while the operation waits. */
  readonly holdsTime?: boolean;
  /** Wraps each check: opens what the operation needs around it. */
  readonly within?: (check: () => Promise<void>) => PromiseLike<unknown>;
}

/** Declares the tests of an operation. */
export function conforms(name: string, traits: Traits, makeCase: () => Case | TimedCase): void {
  describe(name, () => declareAll(checks, traits, nextSeeds(), makeCase));
}

/**
 * Declares the tests of a join: an operation that starts `work` and waits for it. A cancellation
 * goes through it to the work, and it ends when the work has.
 */
export function conformsJoin(
  name: string,
  join: (work: Work) => PromiseLike<unknown>,
  options: Omit<Traits, "wakes"> = {},
): void {
  const traits: Traits = { ...options, wakes: "own" };
  const { detaches = false } = traits;
  const makeCase = (around: (work: Work) => Promise<unknown> = (work) => work()): Case => {
    const gate = new Gate<object>();
    let started = 0;
    const work = (): Promise<unknown> => {
      started++;
      return around(() => gate.pass());
    };
    return {
      begin: () => join(work),
      complete: () => gate.open({}),
      check({ offered, completed }) {
        assert.equal(gate.kept, offered - completed);
        if (!detaches) assert.equal(gate.waiting, 0);
      },
      untouched() {
        if (!detaches) assert.equal(started, 0, "the work has started");
      },
    };
  };
  describe(name, () => {
    const seeds = nextSeeds();
    declareAll(checks, traits, seeds, makeCase);
    for (const { around, ...check } of joinChecks) {
      declareAll([check], traits, seeds, () => makeCase(around));
    }
  });
}

type Work = () => Promise<unknown>;

/**
 * The smallest operation: hands each value to whoever has waited longest, and keeps it if nobody
 * waits.
 */
export class Gate<T> {
  readonly #waits = new WaitList();
  readonly #values: T[] = [];

  get waiting(): number {
    return this.#waits.length;
  }

  get kept(): number {
    return this.#values.length;
  }

  pass(): Promise<T> {
    const stop = interruption("Gate.pass");
    if (stop !== undefined) return stop;
    if (this.#values.length > 0) return complete("Gate.pass", this.#values.shift() as T);
    const wait = park<T>("Gate.pass");
    this.#waits.add(wait);
    return wait.promise;
  }

  open(value: T): T {
    if (this.#waits.resumeFirst(value) === undefined) this.#values.push(value);
    return value;
  }
}

// --- where the checks run

interface Environment {
  /** Its seed, for whoever wants to see a failure again. */
  readonly label: string;
  readonly loop: asyncio.EventLoop;
  /** Waits until everything else waits. */
  quiet(): Promise<unknown>;
  /** Waits some microtasks, where the environment wants that. */
  hop(): Promise<void>;
}

interface Environments {
  readonly name: string;
  readonly isTimed: boolean;
  make(seeds: readonly number[]): Iterable<Environment>;
}

const SEEDS_EACH = Number(process.env.CONFORMANCE_SEEDS ?? 20);
let seedsUsed = Number(process.env.CONFORMANCE_SEED ?? 1) - 1;

/** Seeds that no operation has had yet. */
function nextSeeds(): readonly number[] {
  return Array.from({ length: SEEDS_EACH }, () => ++seedsUsed);
}

/** Real seconds: what hangs shall fail soon. */
const watchdog = 3;
const noHop = async (): Promise<void> => {};
// A virtual clock moves when nothing is ready.
const untilTimePasses = (): Promise<void> => asyncio.sleep(0.001);

const environments: readonly Environments[] = [
  {
    name: "in virtual time",
    isTimed: true,
    make: () => [
      { label: "", loop: new VirtualLoop({ watchdog }), quiet: untilTimePasses, hop: noHop },
    ],
  },
  {
    name: "with seeds",
    isTimed: true,
    make: (seeds) =>
      seeds.map((seed) => ({
        label: `seed ${seed}`,
        loop: new VirtualLoop({ seed, watchdog }),
        quiet: untilTimePasses,
        hop: noHop,
      })),
  },
  {
    name: "with extra microtasks",
    isTimed: true,
    make: (seeds) =>
      seeds.map((seed) => {
        const host = new HoppingHost(drawer(seed));
        return {
          label: `seed ${seed}`,
          loop: new asyncio.EventLoop(host),
          quiet: untilTimePasses,
          hop: () => host.hop(),
        };
      }),
  },
  {
    name: "in real time",
    isTimed: false,
    make: () => [{ label: "", loop: new asyncio.HostLoop(), quiet: hostHops, hop: noHop }],
  },
];

/** Nothing is ready in real time when the host comes round. */
async function hostHops(): Promise<void> {
  for (let hops = 0; hops < 3; hops++) await new Promise((resolve) => setImmediate(resolve));
}

// --- one run of one check

type Order = "cancel, complete" | "complete, cancel";

class Trial {
  readonly case: Case | TimedCase;
  readonly traits: Traits;
  readonly loop: asyncio.EventLoop;
  readonly #environment: Environment;
  readonly #tasks: asyncio.Task<unknown>[] = [];
  #offered = 0;

  constructor(environment: Environment, traits: Traits, kase: Case | TimedCase) {
    this.#environment = environment;
    this.traits = traits;
    this.case = kase;
    this.loop = environment.loop;
  }

  /** Waits until everything else waits. */
  quiet(): Promise<unknown> {
    return this.traits.holdsTime === true ? hostHops() : this.#environment.quiet();
  }

  hop(): Promise<void> {
    return this.#environment.hop();
  }

  /** A task that begins the operation, among other things. */
  task<T>(body: () => Promise<T>, options?: asyncio.TaskOptions): asyncio.Task<T> {
    const task = asyncio.createTask(async () => {
      await this.hop();
      return await body();
    }, options);
    this.#tasks.push(task);
    return task;
  }

  /** A task that performs the operation. */
  performer(): asyncio.Task<unknown> {
    return this.task(async () => {
      try {
        return await this.case.begin();
      } finally {
        await this.hop();
      }
    });
  }

  /** Lets the operation complete; gives the value that is due. */
  complete(): unknown {
    this.#offered++;
    return isTimed(this.case) ? this.case.value : this.case.complete();
  }

  /**
   * Starts a task and cancels it in the very step in which its operation completes; gives the value
   * that was due.
   */
  async race(order: Order, task: () => asyncio.Task<unknown>, reason?: unknown): Promise<unknown> {
    const isFirst = order === "cancel, complete";
    let victim: asyncio.Task<unknown> | undefined;
    const cancel = (): boolean | undefined => victim?.cancel(reason);
    if (isTimed(this.case)) {
      // Timers of one instant fire in the order in which they were set.
      const due = this.loop.time() + this.case.delay;
      if (isFirst) this.loop.addTimer(due, { timerDue: cancel });
      victim = task();
      await this.quiet();
      if (!isFirst) this.loop.addTimer(due, { timerDue: cancel });
      await outcomeOf(victim);
      return this.complete();
    }
    victim = task();
    await this.quiet();
    if (isFirst) cancel();
    const value = this.complete();
    if (!isFirst) cancel();
    return value;
  }

  /** Asserts that `completed` operations have taken effect, and the others have not. */
  async check(completed: number): Promise<void> {
    await this.quiet();
    this.case.check?.({ offered: this.#offered, completed });
  }

  /** Asserts that no operation has begun. */
  async untouched(): Promise<void> {
    await this.check(0);
    this.case.untouched?.();
  }

  /** Asserts that `error` is the cancellation of `task`. */
  assertCancelled(outcome: Outcome, task: asyncio.Task<unknown>, reason?: unknown): void {
    const error = "error" in outcome ? outcome.error : undefined;
    assert.ok(error instanceof asyncio.CancelledError, `not cancelled: ${show(outcome)}`);
    assert.equal(error.scope, task.scope);
    assert.equal(error.reason, reason);
  }

  /** Ends what a cut-off branch did not own, and asserts that nothing is left. */
  async end(): Promise<void> {
    if (asyncio.allTasks().size > 1) this.complete();
    await this.quiet();
    for (const task of this.#tasks) {
      assert.ok(task.done(), "a task is left");
      assert.deepEqual(task.scope.parkedWaits(), []);
    }
  }
}

type Outcome = { readonly value: unknown } | { readonly error: unknown };

/** Looks at a promise without waiting for it in a scope. */
function outcomeOf(promise: PromiseLike<unknown>): Promise<Outcome> {
  return Promise.resolve(
    promise.then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    ),
  );
}

function show(outcome: Outcome): string {
  return "value" in outcome ? `the value ${String(outcome.value)}` : String(outcome.error);
}

function isTimed(kase: Case | TimedCase): kase is TimedCase {
  return "delay" in kase;
}

// --- the checks

interface Check {
  readonly name: string;
  readonly applies?: (traits: Traits) => boolean;
  readonly run: (trial: Trial) => Promise<void>;
}

const checks: readonly Check[] = [
  {
    name: "gives its value when it completes",
    async run(trial) {
      const task = trial.performer();
      await trial.quiet();

      const value = trial.complete();

      assert.deepEqual(await outcomeOf(task), { value });
      await trial.check(1);
    },
  },
  {
    name: "rejects when it is cancelled while it waits, and leaves no trace",
    async run(trial) {
      const task = trial.performer();
      await trial.quiet();

      task.cancel("enough");

      trial.assertCancelled(await outcomeOf(task), task, "enough");
      await trial.check(0);
      if (trial.traits.wakes === "own") return;
      const other = trial.performer();
      await trial.quiet();
      const value = trial.complete();
      assert.deepEqual(await outcomeOf(other), { value });
      await trial.check(1);
    },
  },
  {
    name: "is cancelled once by two cancellations in a row",
    async run(trial) {
      const task = trial.task(async () => {
        const first = await outcomeOf(trial.case.begin());
        await asyncio.sleep(0);
        return first;
      });
      await trial.quiet();

      task.cancel("first");
      task.cancel("second");

      trial.assertCancelled(await task, task, "first");
      assert.equal(task.cancelling(), 2);
      await trial.check(0);
    },
  },
  {
    name: "keeps its value when it is cancelled in the step that completes it",
    applies: ({ cancellationWins = false }) => !cancellationWins,
    async run(trial) {
      const start = () =>
        trial.task(async () => {
          const value = await trial.case.begin();
          await trial.hop();
          return [value, await outcomeOf(asyncio.sleep(0))] as const;
        });
      let task: ReturnType<typeof start> | undefined;

      const value = await trial.race(
        "complete, cancel",
        () => {
          task = start();
          return task;
        },
        "late",
      );

      assert.ok(task);
      const [given, next] = await task;
      assert.equal(given, value);
      trial.assertCancelled(next, task, "late");
      await trial.check(1);
    },
  },
  {
    name: "takes nothing when it is cancelled before it completes, in the same step",
    applies: ({ wakes }) => wakes !== "all",
    async run(trial) {
      let task: asyncio.Task<unknown> | undefined;

      const value = await trial.race("cancel, complete", () => {
        task = trial.performer();
        return task;
      });

      assert.ok(task);
      trial.assertCancelled(await outcomeOf(task), task);
      await trial.check(0);
      if (trial.traits.wakes !== "one") return;
      assert.equal(await trial.case.begin(), value);
      await trial.check(1);
    },
  },
  {
    name: "lets the next in line have what a cancelled one does not take",
    applies: ({ wakes }) => wakes !== "own",
    async run(trial) {
      const first = trial.performer();
      await trial.quiet();
      const second = trial.performer();
      await trial.quiet();

      first.cancel();
      const value = trial.complete();

      trial.assertCancelled(await outcomeOf(first), first);
      assert.deepEqual(await outcomeOf(second), { value });
      await trial.check(1);
    },
  },
  {
    name: "rejects after the deadline before anything has changed",
    async run(trial) {
      const late = [
        () => asyncio.timeout(0, () => trial.case.begin()),
        () => asyncio.timeoutAt(trial.loop.time() - 1, () => trial.case.begin()),
      ];

      for (const begin of late) {
        const outcome = await outcomeOf(trial.task(begin));
        assert.ok("error" in outcome && outcome.error instanceof asyncio.TimeoutError);
        await trial.untouched();
      }
    },
  },
  {
    name: "rejects under a pending cancellation before anything has changed",
    async run(trial) {
      const task = trial.task(async () => {
        asyncio.currentTask()?.cancel("before");
        return await trial.case.begin();
      });

      trial.assertCancelled(await outcomeOf(task), task, "before");
      await trial.untouched();
    },
  },
  {
    name: "rejects under a pending cancellation although it could complete at once",
    applies: ({ hasFastPath = false }) => hasFastPath,
    async run(trial) {
      trial.complete();
      const task = trial.task(async () => {
        asyncio.currentTask()?.cancel("before");
        return await trial.case.begin();
      });

      trial.assertCancelled(await outcomeOf(task), task, "before");
      await trial.check(0);
    },
  },
  {
    name: "is cut off when its scope ends, and its finally block runs",
    applies: ({ outlives = false }) => !outlives,
    async run(trial) {
      const log: string[] = [];
      let branch: Promise<Outcome> | undefined;
      const floating = async (): Promise<unknown> => {
        try {
          return await trial.case.begin();
        } finally {
          log.push("finally");
        }
      };
      const task = trial.task(async () => {
        branch = outcomeOf(floating());
        await trial.quiet();
      });

      await outcomeOf(task);

      assert.ok(branch);
      const outcome = await branch;
      trial.assertCancelled(outcome, task);
      assert.ok(
        "error" in outcome && (outcome.error as asyncio.CancelledError).source === "closed",
      );
      assert.deepEqual(log, ["finally"]);
      await trial.check(0);
    },
  },
  {
    name: "rejects when it is begun in a scope that has ended",
    applies: ({ outlives = false }) => !outlives,
    async run(trial) {
      const gone = Promise.withResolvers<void>();
      let branch: Promise<Outcome> | undefined;
      const floating = async (): Promise<unknown> => {
        await gone.promise;
        return await trial.case.begin();
      };
      const task = trial.task(async () => {
        branch = outcomeOf(floating());
      });
      await outcomeOf(task);

      gone.resolve();

      assert.ok(branch);
      trial.assertCancelled(await branch, task);
      await trial.untouched();
    },
  },
  {
    name: "rejects again and again in a scope past its grace",
    async run(trial) {
      const insist = async (): Promise<Outcome[]> => {
        const first = await outcomeOf(trial.case.begin());
        return [first, await outcomeOf(trial.case.begin()), await outcomeOf(trial.case.begin())];
      };
      const task = trial.task(insist, { cancelGrace: 0 });
      await trial.quiet();

      task.cancel("for good");

      for (const outcome of await task) trial.assertCancelled(outcome, task, "for good");
      await trial.check(0);
    },
  },
  {
    name: "is ended by a scope around it, and the task goes on",
    async run(trial) {
      const scope = new asyncio.CancelScope();
      const task = trial.task(async () => {
        const result = await scope.run(async () => await trial.case.begin());
        await asyncio.sleep(0);
        return [result, scope.cancelled];
      });
      await trial.quiet();

      scope.cancel();

      assert.deepEqual(await task, [undefined, true]);
      assert.equal(task.cancelling(), 0);
      await trial.check(0);
    },
  },
  {
    name: "serves those who wait in the order in which they came",
    applies: ({ wakes }) => wakes === "one",
    async run(trial) {
      const scopes = [0, 1, 2, 3].map(() => new asyncio.CancelScope());
      const task = trial.task(() =>
        Promise.all(scopes.map((scope) => scope.run(async () => await trial.case.begin()))),
      );
      await trial.quiet();

      scopes[1]?.cancel();
      const values = [trial.complete(), trial.complete(), trial.complete()];

      assert.deepEqual(await task, [values[0], undefined, values[1], values[2]]);
      await trial.check(3);
    },
  },
  {
    name: "lets the host have its turn, however often it completes at once",
    applies: ({ hasFastPath = false }) => hasFastPath,
    async run(trial) {
      let hasHopped = false;
      setImmediate(() => {
        hasHopped = true;
      });

      for (let round = 1; round <= 1024; round++) {
        trial.complete();
        await trial.case.begin();
      }

      assert.ok(hasHopped);
      await trial.check(1024);
    },
  },
];

/** `around` is what the work does around its own wait. */
const joinChecks: readonly (Check & { around(work: Work): Promise<unknown> })[] = [
  {
    name: "is not rejected before the work has cleaned up",
    async around(work) {
      try {
        return await work();
      } finally {
        for (let turns = 0; turns < 3; turns++) await asyncio.sleep(0);
        cleaned.push("cleaned");
      }
    },
    async run(trial) {
      cleaned.length = 0;
      const task = trial.task(async () => {
        const outcome = await outcomeOf(trial.case.begin());
        cleaned.push("ended");
        return outcome;
      });
      await trial.quiet();

      task.cancel();

      trial.assertCancelled(await task, task);
      assert.deepEqual(cleaned, ["cleaned", "ended"]);
    },
  },
  {
    name: "hands over the value of work that swallows the cancellation, which comes back at the next wait",
    applies: ({ cancellationWins = false, runsInCaller = false }) =>
      !cancellationWins && !runsInCaller,
    around: (work) => work().catch(() => "all the same"),
    async run(trial) {
      const task = trial.task(async () => {
        const value = await trial.case.begin();
        return [value, await outcomeOf(asyncio.sleep(0))] as const;
      });
      await trial.quiet();

      task.cancel("in vain");

      const [value, next] = await task;
      assert.equal(value, "all the same");
      trial.assertCancelled(next, task, "in vain");
    },
  },
  {
    name: "rejects with the failure of work that fails to clean up, and the cancellation comes back",
    applies: ({ runsInCaller = false }) => !runsInCaller,
    async around(work) {
      try {
        return await work();
      } catch {
        throw new Error("stuck");
      }
    },
    async run(trial) {
      const task = trial.task(async () => {
        const first = await outcomeOf(trial.case.begin());
        return [first, await outcomeOf(asyncio.sleep(0))] as const;
      });
      await trial.quiet();

      task.cancel("soon");

      const [first, next] = await task;
      assert.deepEqual(messagesOf(first), ["stuck"]);
      trial.assertCancelled(next, task, "soon");
    },
  },
  {
    name: "leaves work that is not its own alone when its scope ends",
    applies: ({ detaches = false }) => detaches,
    around: (work) => work(),
    async run(trial) {
      let branch: Promise<Outcome> | undefined;
      const task = trial.task(async () => {
        branch = outcomeOf(trial.case.begin());
        await trial.quiet();
      });
      await outcomeOf(task);
      assert.ok(branch);
      trial.assertCancelled(await branch, task);

      trial.complete();

      await trial.check(1);
    },
  },
  {
    name: "passes the failure of the work on",
    async around(work) {
      await work();
      throw new Error("broken");
    },
    async run(trial) {
      const task = trial.performer();
      await trial.quiet();

      trial.complete();

      assert.deepEqual(messagesOf(await outcomeOf(task)), ["broken"]);
    },
  },
];

const cleaned: string[] = [];

/** The messages of the failure, or of the failures in the group. */
function messagesOf(outcome: Outcome): string[] {
  const error = "error" in outcome ? outcome.error : undefined;
  const errors = error instanceof asyncio.ExceptionGroup ? error.flatten() : [error];
  return errors.map((each) => (each as Error | undefined)?.message ?? "no failure");
}

function declareAll(
  list: readonly Check[],
  traits: Traits,
  seeds: readonly number[],
  makeCase: () => Case | TimedCase,
): void {
  for (const check of list) {
    if (check.applies?.(traits) === false) continue;
    for (const { name, isTimed: hasTime, make } of environments) {
      if (!hasTime && isTimed(makeCase())) continue;
      test(`${check.name}, ${name}`, async () => {
        for (const environment of make(seeds))
          await runCheck(check, environment, traits, makeCase());
      });
    }
  }
}

async function runCheck(
  check: Check,
  environment: Environment,
  traits: Traits,
  kase: Case | TimedCase,
): Promise<void> {
  const { loop, label } = environment;
  const reports: string[] = [];
  loop.setExceptionHandler((_loop, { message }) => reports.push(message));
  const { within = (body: () => Promise<void>) => body() } = traits;
  const main = async (): Promise<void> => {
    await within(async () => {
      const trial = new Trial(environment, traits, kase);
      await check.run(trial);
      await trial.end();
    });
    assert.equal(asyncio.allTasks().size, 1, "tasks are left");
    assert.deepEqual(asyncio.currentTask()?.waitingFor(), []);
  };
  try {
    await asyncio.run(main, { loop, signals: false });
    const { ready, timers, tasks } = loop.statistics();
    assert.deepEqual({ ready, timers, tasks }, { ready: 0, timers: 0, tasks: 0 });
    assert.deepEqual(reports, []);
  } catch (error) {
    throw label === "" ? error : new Error(`with ${label}`, { cause: error });
  } finally {
    loop.close();
  }
}
