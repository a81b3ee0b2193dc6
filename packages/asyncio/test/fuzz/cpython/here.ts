// A program of program.ts, run here in virtual time.

import * as asyncio from "../../../src/index.ts";
import { VirtualLoop } from "../../../src/testing.ts";
import { drawer, HoppingHost } from "../../hopping-host.ts";
import type { Trace } from "../python.ts";
import type { Program, Step, Steps, Use } from "./program.ts";

const TICK = 2 ** -22;
const END = 20_000_000.5;

class Failure extends Error {
  override name = "Failure";
}

/**
 * Runs `program` up to five seconds, and cancels what is left then, which is not told. One step at
 * a time on a virtual loop; else as on the real one, where a drain takes all that is ready.
 */
export async function runHere(program: Program, isExact: boolean): Promise<Trace> {
  const options = { cancelGrace: Number.POSITIVE_INFINITY };
  const loop = isExact
    ? new VirtualLoop(options)
    : new asyncio.EventLoop(new HoppingHost(drawer(1)), options);
  loop.setExceptionHandler(() => {}); // failures that nobody looks at
  const actors = new Actors(program, loop);
  await asyncio.run(() => actors.main(), { loop, signals: false });
  return actors.trace;
}

/** What the actors share: one of each kind, and another one, which differs where that may tell. */
class Shared {
  readonly lock = new asyncio.Lock();
  readonly semaphore: asyncio.Semaphore;
  readonly queue: asyncio.Queue<number>;
  readonly event = new asyncio.Event();
  readonly condition = new asyncio.Condition();
  readonly barrier: asyncio.Barrier;
  readonly future = new asyncio.Future<number>();
  #count = 0;

  constructor(isOther: boolean) {
    this.semaphore = new asyncio.Semaphore(isOther ? 1 : 2);
    this.queue = isOther ? new asyncio.PriorityQueue() : new asyncio.Queue(1);
    this.barrier = new asyncio.Barrier(isOther ? 3 : 2);
  }

  /** @returns what there is to tell */
  async use(what: Use, n: number): Promise<unknown> {
    const { queue, event, condition, barrier, future } = this;
    switch (what) {
      case "put":
        return await queue.put(n);
      case "get": {
        const item = await queue.get();
        await asyncio.sleep((1 + (n % 100)) * TICK); // the queue takes in another one meanwhile
        queue.taskDone();
        return item;
      }
      case "putNowait":
        return queue.full() ? "full" : queue.putNowait(n);
      case "getNowait":
        return queue.empty() ? "empty" : queue.getNowait();
      case "join":
        return await queue.join();
      case "event":
        return void (await event.wait());
      case "set":
        return event.set();
      case "clear":
        return event.clear();
      case "condition":
        return void (await condition.run(() => condition.wait()));
      case "notify":
        return await condition.run(async () => condition.notify());
      case "notifyAll":
        return await condition.run(async () => condition.notifyAll());
      case "waitFor": {
        const goal = this.#count + 2;
        return void (await condition.run(() => condition.waitFor(() => this.#count >= goal)));
      }
      case "count":
        return await condition.run(async () => {
          this.#count++;
          condition.notifyAll();
        });
      case "barrier":
        try {
          await barrier.wait(); // its number is not unique there after a cancelled wait
          return "passed";
        } catch (error) {
          if (!(error instanceof asyncio.BrokenBarrierError)) throw error;
          return "broken";
        }
      case "reset":
        return barrier.reset();
      case "abort":
        return barrier.abort();
      case "future":
        return future.done() ? "done" : await future;
      case "resolve":
        return future.done() ? "done" : future.setResult(n);
    }
  }
}

class Actors {
  readonly trace: Record<string, string[]> = {};
  readonly #program: Program;
  readonly #loop: asyncio.EventLoop;
  readonly #shared: Shared[] = [];
  readonly #tasks: asyncio.Task<void>[] = [];
  /** The timeouts that are open in each task. */
  readonly #timeouts: Map<unknown, asyncio.Timeout[]> = new Map();
  #isOver = false;

  constructor(program: Program, loop: asyncio.EventLoop) {
    this.#program = program;
    this.#loop = loop;
  }

  async main(): Promise<void> {
    this.#shared.push(new Shared(false), new Shared(true));
    this.#program.forEach((steps, actor) => {
      this.#tasks.push(asyncio.createTask(() => this.#task(String(actor), steps)));
    });
    await asyncio.sleep(END * TICK);
    this.#isOver = true; // the end of the run cancels what is left, until it has ended
  }

  async #task(place: string, steps: Steps): Promise<void> {
    try {
      await this.#steps(place, steps);
      this.#tell(place, "has returned");
    } catch (error) {
      this.#tell(place, `has ended: ${nameOf(error)}`);
      throw error;
    }
  }

  async #steps(place: string, steps: Steps): Promise<void> {
    for (const [index, step] of steps.entries()) await this.#step(`${place}.${index}`, step);
  }

  async #step(place: string, step: Step): Promise<void> {
    switch (step.do) {
      case "sleep":
        await asyncio.sleep(step.n * TICK);
        break;
      case "fail":
        throw new Failure();
      case "cancel": {
        const actor = step.n % this.#tasks.length;
        if (actor === Number.parseInt(place, 10)) return; // a pending cancellation of its own: S36
        await asyncio.sleep(step.n * TICK);
        this.#tasks[actor]?.cancel();
        await asyncio.sleep(step.n * TICK);
        break;
      }
      case "reschedule": {
        const open = this.#timeouts.get(asyncio.currentTask())?.at(-1);
        if (open === undefined || open.expired()) return;
        open.reschedule(this.#loop.time() + step.n * TICK);
        break;
      }
      case "timeout":
        await this.#timeout(place, step.n, step.body);
        break;
      case "group":
        await asyncio.taskGroup(async (group) => {
          for (const start of this.#starts(place, step.children)) group.createTask(start);
          await this.#steps(`${place}b`, step.body);
        });
        break;
      case "gather":
        if (step.collect)
          await asyncio.gather(this.#starts(place, step.children), { returnExceptions: true });
        else await asyncio.gather(this.#starts(place, step.children));
        break;
      case "wait": {
        const tasks = this.#starts(place, step.children).map((start) => asyncio.createTask(start));
        try {
          const options = { delay: step.n * TICK, returnWhen: step.until };
          const { done } = await asyncio.wait(tasks, options);
          this.#tell(place, `${[...done].length} are done`);
        } finally {
          for (const task of tasks) task.cancel();
        }
        break;
      }
      case "use": {
        await asyncio.sleep(step.n * TICK);
        this.#tell(place, "begins");
        const told = await this.#shared[step.of]?.use(step.what, step.n);
        this.#tell(place, `${step.what} ${told ?? ""}`);
        await asyncio.sleep((1 + (step.n % 1000)) * TICK);
        break;
      }
      case "hold":
        await asyncio.sleep(step.n * TICK);
        this.#tell(place, "begins");
        await this.#shared[step.of]?.[step.what].run(async () => {
          this.#tell(place, `${step.what} is held`);
          await this.#steps(`${place}h`, step.body);
        });
        await asyncio.sleep((1 + (step.n % 1000)) * TICK);
        break;
      case "shield":
        await asyncio.shield(() => this.#task(`${place}s`, step.body));
        break;
      case "swallow":
        await this.#except(asyncio.CancelledError, place, step.body);
        break;
      case "catch":
        await this.#except(Failure, place, step.body);
        break;
      case "finally":
        try {
          await this.#steps(place, step.body);
        } finally {
          this.#tell(place, "cleans up");
          await this.#steps(`${place}f`, step.cleanup);
        }
    }
    this.#tell(place, step.do);
  }

  async #timeout(place: string, ticks: number, body: Steps): Promise<void> {
    const task = asyncio.currentTask();
    const open = this.#timeouts.get(task) ?? [];
    this.#timeouts.set(task, open);
    try {
      await asyncio.timeout(ticks * TICK, async (timeout) => {
        open.push(timeout);
        try {
          await this.#steps(place, body);
        } finally {
          open.pop();
        }
      });
    } catch (error) {
      if (!(error instanceof asyncio.TimeoutError)) throw error;
      this.#tell(place, "has timed out");
    }
  }

  async #except(
    kind: abstract new (...args: never[]) => Error,
    place: string,
    body: Steps,
  ): Promise<void> {
    try {
      await this.#steps(place, body);
    } catch (error) {
      if (!(error instanceof kind)) throw error;
      this.#tell(place, `has caught ${nameOf(error)}`);
    }
  }

  #starts(place: string, children: readonly Steps[]): (() => Promise<void>)[] {
    return children.map((steps, index) => () => this.#task(`${place}c${index}`, steps));
  }

  #tell(place: string, what: string): void {
    if (this.#isOver) return;
    this.trace[place] ??= [];
    this.trace[place].push(`${Math.round(this.#loop.time() / TICK)} ${what}`);
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : String(error);
}
