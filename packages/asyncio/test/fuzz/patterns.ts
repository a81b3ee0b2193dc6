// What programs do with `asyncio-ts/patterns`, and what must hold of each part of it.

import assert from "node:assert/strict";
import * as asyncio from "../../src/index.ts";
import * as patterns from "../../src/patterns.ts";
import { Guarded } from "./known.ts";
import { type Body, type Draw, type PatternKind, pick, type Step } from "./program.ts";

/** What the world does for the steps in here. */
export interface Ways {
  readonly draw: Draw;
  /** Runs the steps of a body. */
  run(body: Body): Promise<void>;
  /** Lets some microtasks pass. */
  hop(): Promise<void>;
  /** Counts an operation as under way until it ends. */
  op<T>(start: () => Promise<T>, count?: (change: 1 | -1) => void): Promise<T>;
  /** Keeps the error of a promise that is broken, whoever swallows it. */
  alwaysHolds(check: () => void): void;
  nextTicket(): number;
  fail(): never;
}

/** Something that a pool or a `Shared` opens. */
class Thing {
  isOpen = true;
  users = 0;
}

/** How many have come in, and what came out, of a channel. */
class Pipe {
  readonly ends: [patterns.Sender<number>, patterns.Receiver<number>];
  readonly sent: Set<number> = new Set();
  readonly got: { readonly ticket: number; readonly id: number }[] = [];
  sending = 0;
  receiving = 0;

  constructor(capacity: number) {
    this.ends = patterns.channel<number>(capacity);
  }

  check(): void {
    const { size, capacity } = this.ends[0].statistics();
    assert.ok(size <= capacity, "a channel holds more than it may");
    if (this.receiving > 0) assert.equal(size, 0, "a task waits for an item of a channel");
    if (this.sending > 0) assert.equal(size, capacity, "a task waits for room in a channel");
    assert.ok(this.receiving === 0 || this.sending === 0, "two ends of a channel wait");
    assert.equal(size, this.sent.size - this.got.length, "what a channel holds");
  }

  settle(): void {
    const [, receiver] = this.ends;
    const left: number[] = [];
    for (let got = receiver.tryReceive(); got !== undefined; got = receiver.tryReceive())
      left.push(got.value);
    const inOrder = this.got.toSorted((a, b) => a.ticket - b.ticket).map(({ id }) => id);
    assert.deepEqual(
      [...inOrder, ...left],
      [...this.sent].sort((a, b) => a - b),
      "a channel",
    );
  }
}

/** A pool, and what is known of it from outside. */
class Lender {
  readonly pool: patterns.Pool<Thing>;
  readonly known: Guarded;
  readonly #things: Set<Thing> = new Set();

  constructor({ draw, fail }: Ways, max: number, options: Partial<patterns.PoolOptions<Thing>>) {
    this.known = new Guarded(max);
    const open = async (): Promise<Thing> => {
      await asyncio.sleep(draw(2) / 10);
      if (draw(8) === 0) fail();
      const thing = new Thing();
      this.#things.add(thing);
      return thing;
    };
    const close = async (thing: Thing): Promise<void> => {
      assert.ok(thing.isOpen && thing.users === 0, "an item is closed that is not free");
      thing.isOpen = false;
      this.#things.delete(thing);
      await asyncio.sleep(draw(2) / 10);
    };
    const made = patterns.resource(open, close);
    this.pool = new patterns.Pool(made, { max, reopen: () => 0.2, ...options });
  }

  check(): void {
    const { open, idle, lent, waiting, max } = this.pool.statistics();
    assert.ok(open <= max, "a pool has more than it may");
    assert.equal(lent, this.known.inside, "what a pool has lent");
    assert.equal(waiting, this.known.waiting, "who waits for a pool");
    assert.ok(waiting === 0 || idle === 0, "a task waits for what is idle");
  }

  checkEnd(): void {
    const { open, opened, closed, lent, closing } = this.pool.statistics();
    assert.deepEqual({ open, lent, closing }, { open: 0, lent: 0, closing: 0 }, "a closed pool");
    assert.equal(opened, closed, "what a pool has opened");
    assert.equal(this.#things.size, 0);
  }
}

const RATE = 5; // a second
const BURST = 2;

export class Patterns {
  readonly #ways: Ways;
  readonly #queues: readonly { readonly queue: patterns.TaskQueue; readonly known: Guarded }[];
  readonly #limiter = new patterns.CapacityLimiter(2);
  readonly #limited = new Guarded(2);
  readonly #rate = new patterns.RateLimiter({ rate: RATE, burst: BURST });
  readonly #taken: number[] = [];
  /** When somebody asked first. */
  #takenFrom = -1;
  readonly #pipes = [new Pipe(0), new Pipe(2)];
  readonly #lenders: readonly Lender[];
  readonly #shared: patterns.Shared<Thing>;
  #sharedThings = 0;
  readonly #fly: (key: number) => Promise<number>;
  readonly #flying: Map<asyncio.Task<unknown>, number> = new Map();
  readonly #watch = new patterns.Watch(0);
  readonly #awaited: Set<{ readonly value: number }> = new Set();
  readonly #broadcast = new patterns.Broadcast<number>({ capacity: 2 });
  readonly #sent: Set<number> = new Set();
  readonly #seen: number[][] = [];
  #isEnding = false;

  constructor(ways: Ways) {
    this.#ways = ways;
    const { draw, hop, fail } = ways;
    this.#queues = [
      { queue: new patterns.TaskQueue({ limit: 1 }), known: new Guarded(1) },
      { queue: new patterns.TaskQueue({ limit: 2, timeout: 1 }), known: new Guarded(2) },
      {
        queue: new patterns.TaskQueue({
          limit: 3,
          rate: new patterns.RateLimiter({ rate: RATE, burst: BURST }),
        }),
        known: new Guarded(3),
      },
    ];
    const check = async (): Promise<boolean> => {
      await asyncio.sleep(draw(2) / 10);
      return draw(4) > 0;
    };
    const reset = (): Promise<void> => asyncio.sleep(draw(2) / 10);
    this.#lenders = [
      new Lender(ways, 1, {}),
      new Lender(ways, 2, { idle: 0.3, lifetime: 2, check, reset }),
      new Lender(ways, 2, { min: 1, idle: 0 }),
    ];
    const open = async (): Promise<Thing> => {
      await asyncio.sleep(draw(3) / 10);
      if (draw(8) === 0) fail();
      this.#sharedThings++;
      return new Thing();
    };
    const close = (thing: Thing): void => {
      assert.ok(thing.isOpen && thing.users === 0, "what is shared is closed while it is used");
      thing.isOpen = false;
      this.#sharedThings--;
    };
    this.#shared = new patterns.Shared(patterns.resource(open, close), { idle: 0.2 });
    this.#fly = patterns.singleFlight(async (key: number) => {
      const self = asyncio.currentTask() as asyncio.Task<unknown>;
      this.#flying.set(self, key);
      // One that all have left may still be ending, or has not even begun.
      const known = [...this.#flying].filter(([task, of]) => of === key && !task.cancelling());
      ways.alwaysHolds(() => assert.ok(known.length <= 1, "two flights for one key"));
      try {
        await asyncio.sleep(draw(4) / 10);
        await hop();
        if (draw(8) === 0) fail();
        return key;
      } finally {
        this.#flying.delete(self);
      }
    });
  }

  // --- what must hold when nothing is ready

  check(): void {
    for (const { queue, known } of this.#queues) {
      const { running, waiting, limit } = queue.statistics();
      assert.ok(known.inside <= running && running <= limit, "more jobs run than may");
      const isPaced = queue === this.#queues[2]?.queue;
      if (isPaced) continue;
      assert.equal(running, known.inside, "a job has no body");
      assert.ok(waiting === 0 || queue.paused || running === limit, "a job waits for nothing");
    }
    const { borrowed, waiting, limit } = this.#limiter.statistics();
    assert.equal(borrowed, this.#limited.inside, "what a limiter has lent");
    assert.equal(waiting, this.#limited.waiting, "who waits for a limiter");
    assert.ok(waiting === 0 || borrowed >= limit, "a task waits for room that is there");
    for (const pipe of this.#pipes) pipe.check();
    for (const lender of this.#lenders) lender.check();
    assert.ok(this.#sharedThings <= 1);
    for (const { value } of this.#awaited)
      assert.ok(this.#watch.value < value, "a change was missed");
    const { sending, furthestBehind } = this.#broadcast.statistics();
    assert.ok(sending === 0 || furthestBehind === 2, "a task waits for room for all");
  }

  /** From here on keepers may be cancelled, so that pools and queues refuse. */
  beginToEnd(): void {
    this.#isEnding = true;
  }

  async close(): Promise<void> {
    for (const { queue } of this.#queues) await queue.close();
    for (const { pool } of this.#lenders) await pool.close();
    await this.#shared.close();
  }

  checkEnd(): void {
    for (const { queue } of this.#queues) assert.ok(queue.idle, "a queue has jobs");
    this.#queues[0]?.known.checkOrder("a task queue");
    assert.ok(this.#limiter.idle);
    this.#limited.checkOrder("a limiter");
    // What was granted may be seen later, as a schedule may let time pass before the taker's turn.
    // So two that are seen together say nothing, but none is seen before it could be granted.
    this.#taken.forEach((when, index) => {
      const earliest = this.#takenFrom + (index + 1 - BURST) / RATE;
      assert.ok(when > earliest - 1e-9, `a rate was broken: ${this.#taken}`);
    });
    for (const pipe of this.#pipes) pipe.settle();
    for (const lender of this.#lenders) lender.checkEnd();
    const { users, open } = this.#shared.statistics();
    assert.deepEqual(
      { users, open, things: this.#sharedThings },
      { users: 0, open: false, things: 0 },
    );
    assert.equal(this.#flying.size, 0);
    assert.equal(this.#broadcast.statistics().subscribers, 0);
    for (const seen of this.#seen) {
      const [first = 0, last = -1] = [seen[0], seen.at(-1)];
      const all = [...this.#sent].filter((id) => first <= id && id <= last).sort((a, b) => a - b);
      assert.deepEqual(seen, all, "a subscriber has missed something");
    }
  }

  // --- the steps

  /** Runs `body` as the holder of something that lets so many in. */
  async #hold(known: Guarded, ticket: number, body: () => Promise<void>): Promise<void> {
    this.#ways.alwaysHolds(() => known.enter(ticket));
    try {
      await body();
    } finally {
      known.leave();
    }
  }

  /** What is closed at the end refuses then. */
  async #unlessClosed(body: () => Promise<void>): Promise<void> {
    try {
      await body();
    } catch (error) {
      if (!(this.#isEnding && error instanceof asyncio.InvalidStateError)) throw error;
    }
  }

  #use(thing: Thing, most: number, body: () => Promise<void>): Promise<void> {
    return (async () => {
      this.#ways.alwaysHolds(() => {
        assert.ok(thing.isOpen, "what is used was closed");
        assert.ok(++thing.users <= most, "two use one item");
      });
      try {
        await body();
      } finally {
        thing.users--;
        this.#ways.alwaysHolds(() => assert.ok(thing.isOpen, "what is used was closed meanwhile"));
      }
    })();
  }

  #body({ bodies: [body = []] }: Step): Promise<void> {
    return this.#ways.run(body);
  }

  readonly steps: Record<PatternKind, (step: Step) => Promise<void>> = {
    job: (step) =>
      this.#unlessClosed(async () => {
        const { queue, known } = pick(this.#queues, step.which);
        const ticket = this.#ways.nextTicket();
        const job = queue.add(() => this.#hold(known, ticket, () => this.#body(step)));
        // One that nobody awaits belongs to the queue, which reports its failure.
        if (step.delay < 0.5) await this.#ways.op(async () => await job);
      }),

    queueControl: async ({ which, delay }) => {
      const { queue } = pick(this.#queues, which);
      const { op } = this.#ways;
      if (delay < 0.2) queue.clear("cleared");
      else if (delay < 0.4) await op(() => queue.join());
      else if (delay < 0.5) await op(() => queue.whenBelow(2));
      else {
        using _pause = queue.pause();
        await op(() => asyncio.sleep(delay));
      }
    },

    limiter: async (step) => {
      const ticket = this.#ways.nextTicket();
      const count = (change: 1 | -1): void => {
        this.#limited.waiting += change;
      };
      const borrower = {};
      using _loan = await this.#ways.op(() => this.#limiter.acquire({ borrower }), count);
      await this.#hold(this.#limited, ticket, () => this.#body(step));
    },

    limit: async ({ which }) => {
      this.#limiter.limit = which % 3;
    },

    take: async () => {
      if (this.#takenFrom < 0) this.#takenFrom = asyncio.getRunningLoop().time();
      await this.#ways.op(() => this.#rate.take());
      this.#taken.push(asyncio.getRunningLoop().time());
    },

    send: async ({ which }) => {
      const pipe = pick(this.#pipes, which);
      const id = this.#ways.nextTicket();
      const count = (change: 1 | -1): void => {
        pipe.sending += change;
      };
      await this.#ways.op(() => pipe.ends[0].send(id), count);
      pipe.sent.add(id);
    },

    receive: async ({ which }) => {
      const pipe = pick(this.#pipes, which);
      const ticket = this.#ways.nextTicket();
      const count = (change: 1 | -1): void => {
        pipe.receiving += change;
      };
      const id = await this.#ways.op(() => pipe.ends[1].receive(), count);
      pipe.got.push({ ticket, id });
    },

    borrow: (step) =>
      this.#unlessClosed(async () => {
        const { pool, known } = pick(this.#lenders, step.which);
        const count = (change: 1 | -1): void => {
          known.waiting += change;
        };
        const ticket = this.#ways.nextTicket();
        try {
          const loan = await this.#ways.op(
            () => pool.acquire(step.delay < 0.3 ? undefined : { timeout: step.delay }),
            count,
          );
          using _loan = loan;
          const use = () => this.#use(loan.item, 1, () => this.#body(step));
          await this.#hold(known, ticket, use);
        } catch (error) {
          if (!(error instanceof asyncio.DeadlockError)) throw error;
        }
      }),

    share: (step) =>
      this.#unlessClosed(() =>
        this.#shared.run((thing) =>
          this.#use(thing, Number.POSITIVE_INFINITY, () => this.#body(step)),
        ),
      ),

    fly: async ({ which }) => {
      const key = which % 2;
      const got = await this.#ways.op(() => this.#fly(key));
      this.#ways.alwaysHolds(() => assert.equal(got, key));
    },

    change: async () => this.#watch.update((value) => value + 1),

    untilChanged: async ({ which }) => {
      const awaited = { value: this.#watch.value + 1 + (which % 2) };
      const count = (change: 1 | -1): void => {
        if (change === 1) this.#awaited.add(awaited);
        else this.#awaited.delete(awaited);
      };
      const isThere = (value: number): boolean => value >= awaited.value;
      await this.#ways.op(async () => void (await this.#watch.until(isThere)), count);
    },

    publish: async () => {
      const id = this.#ways.nextTicket();
      await this.#ways.op(() => this.#broadcast.send(id));
      this.#sent.add(id);
    },

    subscribe: async (step) => {
      using receiver = this.#broadcast.subscribe();
      const seen: number[] = [];
      this.#seen.push(seen);
      for (let count = 1 + (step.which % 3); count > 0; count--)
        seen.push(await this.#ways.op(() => receiver.receive()));
      await this.#body(step);
    },

    retry: (step) =>
      patterns.retry([step.delay, 0.1], async (attempt) => {
        await this.#body(step);
        if (attempt <= step.which % 3) this.#ways.fail();
      }),

    hedge: (step) => patterns.hedge(step.delay, () => this.#body(step), { max: 2 }),

    mapAll: async ({ which, bodies }) => {
      const limit = 1 + (which % 2);
      const run = (body: Body): Promise<void> => this.#ways.run(body);
      await asyncio.mapAll(
        bodies,
        run,
        which % 3 === 0 ? { limit, onError: "collect" } : { limit },
      );
    },

    mapConcurrent: async ({ which, bodies }) => {
      const run = (body: Body): Promise<void> => this.#ways.run(body);
      const isOrdered = which % 2 === 0;
      const results = asyncio.mapConcurrent(bodies, run, { limit: 2, ordered: isOrdered });
      for await (const _each of results) if (which % 5 === 4) break;
    },
  };
}
