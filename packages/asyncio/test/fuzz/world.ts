// The actors of a program, what they do, and what must hold meanwhile.

import assert from "node:assert/strict";
import * as asyncio from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { drawer } from "../hopping-host.ts";
import { CountedBoundedSemaphore, CountedSemaphore, Guarded, type Item, Ledger } from "./known.ts";
import { Patterns } from "./patterns.ts";
import {
  type Body,
  type Draw,
  type Kind,
  type PatternKind,
  type Program,
  pick,
  type Step,
} from "./program.ts";

/** Virtual seconds after which main cancels what is left. */
const END = 10;

/** The only failure that programs cause themselves. */
class Boom extends Error {}

/** Whether a program may cause it. */
export function isExpected(error: unknown): boolean {
  if (error instanceof asyncio.ExceptionGroup) return error.flatten().every(isExpected);
  return (
    error instanceof Boom ||
    error instanceof asyncio.CancelledError ||
    error instanceof asyncio.TimeoutError ||
    error instanceof asyncio.QueueShutDown ||
    error instanceof asyncio.BrokenBarrierError
  );
}

export class World {
  readonly #program: Program;
  readonly #draw: Draw;
  #tickets = 0;
  /** Operations that have begun and not ended. */
  #underWay = 0;
  readonly #actors: asyncio.Task<void>[] = [];
  readonly #cancels: Map<asyncio.Task<unknown>, number> = new Map();
  /** The first broken promise; actors may swallow what they throw. */
  #broken: unknown = undefined;

  readonly #locks = [0, 1].map((index) => ({
    lock: new asyncio.Lock({ name: `lock ${index}` }),
    known: new Guarded(1),
  }));
  readonly #semaphores = [
    { semaphore: new CountedSemaphore(1), known: new Guarded(1) },
    { semaphore: new CountedSemaphore(2), known: new Guarded(2) },
    { semaphore: new CountedBoundedSemaphore(3), known: new Guarded(3) },
  ];
  readonly #queues = [
    new Ledger(new asyncio.Queue<Item>(2)),
    new Ledger(new asyncio.Queue<Item>()),
    new Ledger(new asyncio.PriorityQueue<Item>(3, { compare: (a, b) => a.order - b.order })),
    new Ledger(new asyncio.LifoQueue<Item>(1)),
  ];
  readonly #condition = new asyncio.Condition();
  readonly #holders = new Guarded(1);
  /** What the condition is about. */
  #tokens = 0;
  #consuming = 0;
  readonly #event = new asyncio.Event();
  #awaitingEvent = 0;
  readonly #barrier = new asyncio.Barrier(2);
  #atBarrier = 0;
  readonly #patterns: Patterns;
  readonly #steps: Record<Kind, (step: Step) => Promise<void>>;

  constructor(program: Program) {
    this.#program = program;
    this.#draw = drawer(program.seed + 0.5);
    this.#patterns = new Patterns({
      draw: this.#draw,
      run: (body) => this.#run(body),
      hop: () => this.#hop(),
      op: (start, count) => this.#op(start, count),
      alwaysHolds: (check) => this.#alwaysHolds(check),
      nextTicket: () => this.#tickets++,
      fail: () => {
        throw new Boom();
      },
    });
    this.#steps = { ...this.#ownSteps, ...this.#patterns.steps };
  }

  async main(): Promise<void> {
    const main = asyncio.currentTask();
    const isExact = asyncio.getRunningLoop() instanceof VirtualLoop;
    const scopes = new Set<asyncio.Task<unknown>["scope"]>();
    for (const body of this.#program.actors) {
      const actor = asyncio.createTask(() => {
        scopes.add(actor.scope); // one that has ended well does not keep it
        return this.#act(body);
      });
      this.#actors.push(actor);
    }
    for (let look = 0; look < END && !this.#actors.every((actor) => actor.done()); look++) {
      await asyncio.sleep(look === 0 ? 0.05 : 1);
      if (isExact) this.#checkAll();
    }
    this.#patterns.beginToEnd();
    await this.#cancelAll();
    // A shielded branch may have swallowed its deadline: then its grace period ends it.
    const rest = Math.ceil(this.#program.cancelGrace) + 5;
    for (let turn = 0; turn < rest; turn++) await asyncio.sleep(1);
    await this.#patterns.close();

    for (const scope of scopes) assert.deepEqual(scope.parkedWaits(), [], "waits are left");
    for (const actor of this.#actors) {
      if (!actor.cancelled() && actor.exception() !== undefined && !isExpected(actor.exception()))
        throw new Error("an actor has failed", { cause: actor.exception() });
    }
    this.#checkAll();
    this.#checkEnd();
    assert.equal(main?.cancelling(), 0);
    assert.deepEqual(main?.waitingFor(), []);
    if (this.#broken !== undefined) throw this.#broken;
  }

  /**
   * Some swallow their cancellation: they get another one every second. A branch that nobody awaits
   * may still make a task when its own has ended, without a wait: the sleep is for that one.
   */
  async #cancelAll(): Promise<void> {
    for (let round = 0; ; round++) {
      const left = [...asyncio.allTasks()].filter((task) => task !== asyncio.currentTask());
      if (left.length === 0) return;
      assert.ok(round < 100, `tasks are left: ${left.map((task) => task.waitingFor())}`);
      for (const task of left) this.#cancel(task);
      await asyncio.wait(left, { delay: 1 });
      await asyncio.sleep(0.1);
    }
  }

  #cancel(task: asyncio.Task<unknown>): void {
    if (task.cancel()) this.#cancels.set(task, (this.#cancels.get(task) ?? 0) + 1);
  }

  // --- what must hold when nothing is ready

  #checkAll(): void {
    this.#alwaysHolds(() => {
      for (const { lock, known } of this.#locks) {
        assert.equal(lock.locked(), known.inside === 1, "a lock has no holder");
        assert.ok(known.waiting === 0 || known.inside === 1, "a task waits for a free lock");
      }
      for (const { semaphore, known } of this.#semaphores) {
        assert.equal(semaphore.free, known.capacity - known.inside, "permits");
        assert.ok(known.waiting === 0 || semaphore.free === 0, "a task waits for a free permit");
      }
      for (const ledger of this.#queues) ledger.check();
      assert.equal(this.#condition.locked(), this.#holders.inside === 1);
      if (this.#consuming > 0) assert.equal(this.#tokens, 0, "a notification was lost");
      if (this.#awaitingEvent > 0) assert.ok(!this.#event.isSet(), "an event was missed");
      assert.equal(this.#barrier.nWaiting, this.#atBarrier);
      this.#patterns.check();
    });
  }

  #checkEnd(): void {
    assert.equal(this.#underWay, 0, "operations are left");
    for (const { lock, known } of this.#locks) {
      assert.ok(!lock.locked());
      known.checkOrder("a lock");
    }
    for (const { semaphore, known } of this.#semaphores) {
      assert.equal(semaphore.free, known.capacity);
      known.checkOrder("a semaphore");
    }
    for (const ledger of this.#queues) ledger.settle(({ id }) => id);
    assert.equal(this.#barrier.nWaiting, 0);
    this.#patterns.checkEnd();
  }

  /**
   * Keeps the error of a promise that is broken: it may be thrown in an actor that swallows errors.
   */
  #alwaysHolds(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.#broken ??= error;
      throw error;
    }
  }

  // --- the steps

  async #act(body: Body): Promise<void> {
    const self = asyncio.currentTask() as asyncio.Task<void>;
    try {
      await this.#run(body);
    } finally {
      const known = this.#cancels.get(self) ?? 0;
      this.#alwaysHolds(() => assert.equal(self.cancelling(), known, "cancelling()"));
    }
  }

  async #run(body: Body): Promise<void> {
    for (const step of body) {
      await this.#hop();
      await this.#steps[step.do](step);
    }
    await this.#hop();
  }

  async #hop(): Promise<void> {
    for (let hops = this.#draw(4); hops > 0; hops--) await null;
  }

  #thunks({ bodies }: Step): (() => Promise<void>)[] {
    return bodies.map((body) => () => this.#run(body));
  }

  #body({ bodies: [body = []] }: Step): Promise<void> {
    return this.#run(body);
  }

  /** Counts an operation as under way until it ends. */
  async #op<T>(start: () => Promise<T>, count: (change: 1 | -1) => void = () => {}): Promise<T> {
    this.#underWay++;
    count(1);
    try {
      return await start();
    } finally {
      count(-1);
      this.#underWay--;
    }
  }

  /** Holds a lock or permit, in one of the three ways to write it. */
  async #hold(
    resource: asyncio.Lock | asyncio.Semaphore,
    known: Guarded,
    step: Step,
  ): Promise<void> {
    const ticket = this.#tickets++;
    const section = async (): Promise<void> => {
      this.#alwaysHolds(() => known.enter(ticket));
      try {
        await this.#body(step);
      } finally {
        known.leave();
      }
    };
    const count = (change: 1 | -1): void => {
      known.waiting += change;
    };
    const form = step.which % 3;
    if (form === 0) {
      let waits = true;
      count(1);
      const entered = (): void => {
        if (waits) count(-1);
        waits = false;
      };
      try {
        await resource.run(() => {
          entered();
          return section();
        });
      } finally {
        entered();
      }
    } else if (form === 1) {
      using _guard = await this.#op(() => resource.acquire(), count);
      await section();
    } else {
      await this.#op(() => resource.acquire(), count);
      try {
        await section();
      } finally {
        resource.release();
      }
    }
  }

  #ledger({ which }: Step): Ledger<Item> {
    return pick(this.#queues, which);
  }

  #item({ delay }: Step): Item {
    const id = this.#tickets++;
    return { id, order: delay * 100_000 + id };
  }

  #took(ledger: Ledger<Item>, ticket: number, { id }: Item): void {
    ledger.got.push({ ticket, id });
    if (ledger.isImmediate) return;
    ledger.reported++;
    ledger.queue.taskDone();
  }

  #actor({ which }: Step): asyncio.Task<void> {
    return pick(this.#actors, which);
  }

  readonly #ownSteps: Record<Exclude<Kind, PatternKind>, (step: Step) => Promise<void>> = {
    sleep: ({ delay }) => this.#op(() => asyncio.sleep(delay)),

    lock: (step) => {
      const { lock, known } = pick(this.#locks, step.which);
      return this.#hold(lock, known, step);
    },

    semaphore: (step) => {
      const chosen = pick(this.#semaphores, step.which);
      return this.#hold(chosen.semaphore, chosen.known, { ...step, which: step.which >> 1 });
    },

    put: async (step) => {
      const ledger = this.#ledger(step);
      const item = this.#item(step);
      await this.#op(
        () => ledger.queue.put(item),
        (change) => {
          ledger.putting += change;
        },
      );
      ledger.put.add(item.id);
    },

    get: async (step) => {
      const ledger = this.#ledger(step);
      const ticket = this.#tickets++;
      const item = await this.#op(
        () => ledger.queue.get(),
        (change) => {
          ledger.getting += change;
        },
      );
      this.#took(ledger, ticket, item);
    },

    putNowait: async (step) => {
      const ledger = this.#ledger(step);
      if (ledger.queue.full()) return;
      const item = this.#item(step);
      ledger.queue.putNowait(item);
      ledger.put.add(item.id);
    },

    getNowait: async (step) => {
      const ledger = this.#ledger(step);
      const ticket = this.#tickets++;
      if (!ledger.queue.empty()) this.#took(ledger, ticket, ledger.queue.getNowait());
    },

    join: (step) => {
      const ledger = this.#ledger(step);
      return this.#op(
        () => ledger.queue.join(),
        (change) => {
          ledger.joining += change;
        },
      );
    },

    shutdown: async (step) => {
      const ledger = this.#ledger(step);
      const immediate = step.delay < 0.2;
      ledger.isImmediate ||= immediate;
      ledger.queue.shutdown({ immediate });
    },

    produce: () =>
      this.#op(() =>
        this.#condition.run(async () => {
          this.#alwaysHolds(() => this.#holders.resume());
          this.#tokens++;
          await this.#hop();
          this.#condition.notify();
          this.#holders.leave();
        }),
      ),

    consume: () =>
      this.#op(() =>
        this.#condition.run(async () => {
          this.#alwaysHolds(() => this.#holders.resume());
          try {
            while (this.#tokens === 0) await this.#awaitToken();
            this.#tokens--;
          } finally {
            this.#holders.leave();
          }
        }),
      ),

    waitForEvent: () =>
      this.#op(
        async () => void (await this.#event.wait()),
        (change) => {
          this.#awaitingEvent += change;
        },
      ),

    setEvent: async () => this.#event.set(),
    clearEvent: async () => this.#event.clear(),

    barrier: () =>
      this.#op(
        async () => void (await this.#barrier.wait()),
        (change) => {
          this.#atBarrier += change;
        },
      ),

    resetBarrier: async () => this.#barrier.reset(),

    cancel: async (step) => this.#cancel(this.#actor(step)),

    fail: async () => {
      throw new Boom();
    },

    waitForActors: async ({ which, delay }) => {
      const returnWhen = pick(
        ["FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED"] as const,
        which,
      );
      const { done } = await this.#op(() =>
        asyncio.wait(this.#actors, { delay: delay < 0.3 ? 1000 : delay, returnWhen }),
      );
      for (const actor of done) this.#alwaysHolds(() => assert.ok(actor.done()));
    },

    shieldActor: (step) =>
      this.#op(() => timeLimit(step.delay, () => asyncio.shield(this.#actor(step)))),

    timeout: (step) => timeLimit(step.delay || 1000, () => this.#body(step)),

    moveOn: async (step) => void (await asyncio.moveOnAfter(step.delay, () => this.#body(step))),

    waitFor: async (step) => {
      const work = () => this.#body(step);
      try {
        await asyncio.waitFor(step.which % 2 === 0 ? work : asyncio.createTask(work), step.delay);
      } catch (error) {
        if (!(error instanceof asyncio.TimeoutError)) throw error;
      }
    },

    scope: async (step) => {
      const scope = new asyncio.CancelScope({ deadline: asyncio.getRunningLoop().time() + 2 });
      if (step.which % 2 === 0)
        asyncio.getRunningLoop().callLater(step.delay, () => scope.cancel());
      await scope.run(() => this.#body(step));
    },

    cleanUp: async ({ bodies: [body = [], cleaning = []], delay }) => {
      try {
        await this.#run(body);
      } finally {
        await asyncio.cleanup(delay, () => this.#run(cleaning));
      }
    },

    shield: (step) => timeLimit(step.delay, () => asyncio.shield(() => this.#body(step))),

    careless: async (step) => {
      try {
        await this.#body(step);
      } catch {
        await this.#hop();
      }
    },

    recover: async (step) => {
      const self = asyncio.currentTask() as asyncio.Task<unknown>;
      try {
        await this.#body(step);
      } catch (error) {
        const isOurs = error instanceof asyncio.CancelledError && error.scope === self.scope;
        if (!isOurs) throw error;
        if (self.cancelling() === 0) return;
        self.uncancel();
        this.#cancels.set(self, (this.#cancels.get(self) ?? 0) - 1);
      }
    },

    floating: async (step) => void this.#body(step).catch(() => {}),

    group: async (step) => {
      const [body = async () => {}, ...children] = this.#thunks(step);
      await asyncio.taskGroup(async (group) => {
        for (const child of children) group.createTask(child, { eagerStart: step.which % 4 === 0 });
        await body();
        if (step.which % 5 === 0) group.cancel();
      });
    },

    gather: async (step) => {
      const returnExceptions = step.which % 2 === 0;
      if (returnExceptions) await asyncio.gather(this.#thunks(step), { returnExceptions });
      else await asyncio.gather(this.#thunks(step));
    },

    race: (step) => asyncio.race(...this.#thunks(step)),

    staggeredRace: async (step) => {
      const delay = step.which % 3 === 0 ? null : step.delay;
      await asyncio.staggeredRace(this.#thunks(step), delay);
    },

    asCompleted: async (step) => {
      const options = step.which % 2 === 0 ? {} : { delay: step.delay };
      for await (const each of asyncio.asCompleted(this.#thunks(step), options)) {
        const task = each as unknown as asyncio.Future<void>; // for await has the type of its value
        this.#alwaysHolds(() => assert.ok(task.done()));
        if (!task.cancelled()) task.exception();
        await this.#hop();
        if (step.which === 0) break;
      }
    },

    promiseAll: async (step) =>
      void (await Promise.all(this.#thunks(step).map((thunk) => thunk()))),
    promiseRace: (step) => Promise.race(this.#thunks(step).map((thunk) => thunk())),

    select: (step) => this.#select(step),

    cancelAndWait: async (step) => {
      const actor = this.#actor(step);
      const before = actor.cancelling();
      const ended = this.#op(() => actor.cancelAndWait());
      const more = actor.cancelling() - before;
      this.#cancels.set(actor, (this.#cancels.get(actor) ?? 0) + more);
      try {
        await ended;
      } catch (error) {
        if (!(error instanceof asyncio.InvalidStateError)) throw error; // they wait for each other
      }
    },
  };

  /** One of several operations: the others must have taken nothing. */
  async #select(step: Step): Promise<void> {
    const { which, delay } = step;
    const [from, into] = [pick(this.#queues, which), pick(this.#queues, which + 1)];
    const { lock, known } = pick(this.#locks, which);
    const ticket = this.#tickets++;
    const item = this.#item(step);
    const uses = [1, 2, 4, 8].filter(() => this.#draw(2) === 0);
    const has = (bit: number): boolean => uses.includes(bit);
    const cases = {
      got: has(1) ? from.queue : undefined,
      put: has(2) ? asyncio.putting(into.queue, item) : undefined,
      lock: has(4) ? lock : undefined,
      event: has(8) ? this.#event : undefined,
      actor: this.#draw(4) === 0 ? this.#actor(step) : undefined,
      late: this.#draw(2) === 0 || uses.length === 0 ? delay : undefined,
    };
    const count = (change: 1 | -1): void => {
      if (has(1)) from.getting += change;
      if (has(2)) into.putting += change;
      if (has(4)) known.waiting += change;
      if (has(8)) this.#awaitingEvent += change;
    };
    const [won, value] = await this.#op(() => asyncio.select(cases), count);
    if (won === "got") this.#took(from, ticket, value);
    else if (won === "put") into.put.add(item.id);
    else if (won === "lock") {
      using _guard = value;
      this.#alwaysHolds(() => known.enter(ticket));
      try {
        await this.#body(step);
      } finally {
        known.leave();
      }
    }
  }

  async #awaitToken(): Promise<void> {
    this.#consuming++;
    this.#holders.leave();
    try {
      await this.#condition.wait();
    } finally {
      this.#alwaysHolds(() => this.#holders.resume());
      this.#consuming--;
    }
  }
}

async function timeLimit(seconds: number, body: () => Promise<void>): Promise<void> {
  try {
    await asyncio.timeout(seconds, body);
  } catch (error) {
    if (!(error instanceof asyncio.TimeoutError)) throw error;
  }
}
