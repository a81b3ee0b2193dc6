// A program of program.ts, run here in virtual time.

import * as asyncio from "../../../src/index.ts";
import { Actors, Failure, runActors, Shared, TICK } from "../actors.ts";
import type { Trace } from "../python.ts";
import type { Program, Step, Steps, Use } from "./program.ts";

export function runHere(program: Program, isExact: boolean): Promise<Trace> {
  return runActors((loop) => new PythonActors(program, loop), isExact);
}

class PythonShared extends Shared {
  readonly barrier: asyncio.Barrier;
  readonly future = new asyncio.Future<number>();
  #count = 0;

  constructor(isOther: boolean) {
    super(isOther, isOther ? new asyncio.PriorityQueue() : new asyncio.Queue(1));
    this.barrier = new asyncio.Barrier(isOther ? 3 : 2);
  }

  override async use(what: Use, n: number): Promise<unknown> {
    const { queue, event, condition, barrier, future } = this;
    switch (what) {
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
      case "clear":
        return event.clear();
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
      default:
        return await super.use(what, n);
    }
  }
}

class PythonActors extends Actors<Step, Use, PythonShared> {
  /** The timeouts that are open in each task. */
  readonly #timeouts: Map<unknown, asyncio.Timeout[]> = new Map();

  protected override share(isOther: boolean): PythonShared {
    return new PythonShared(isOther);
  }

  protected override async step(place: string, step: Step): Promise<void> {
    switch (step.do) {
      case "sleep":
        await asyncio.sleep(step.n * TICK);
        break;
      case "fail":
        throw new Failure();
      case "cancel": {
        const actor = step.n % this.tasks.length;
        if (actor === Number.parseInt(place, 10)) return; // a pending cancellation of its own: S36
        await asyncio.sleep(step.n * TICK);
        this.tasks[actor]?.cancel();
        await asyncio.sleep(step.n * TICK);
        break;
      }
      case "reschedule": {
        const open = this.#timeouts.get(asyncio.currentTask())?.at(-1);
        if (open === undefined || open.expired()) return;
        open.reschedule(this.loop.time() + step.n * TICK);
        break;
      }
      case "timeout":
        await this.#timeout(place, step.n, step.body);
        break;
      case "group":
        await asyncio.taskGroup(async (group) => {
          for (const start of this.#starts(place, step.children)) group.createTask(start);
          await this.steps(`${place}b`, step.body);
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
          this.tell(place, `${[...done].length} are done`);
        } finally {
          for (const task of tasks) task.cancel();
        }
        break;
      }
      case "use":
        await this.use(place, step);
        break;
      case "hold":
        await this.hold(place, step);
        break;
      case "shield":
        await asyncio.shield(() => this.task(`${place}s`, step.body));
        break;
      case "swallow":
        await this.#except(asyncio.CancelledError, place, step.body);
        break;
      case "catch":
        await this.#except(Failure, place, step.body);
        break;
      case "finally":
        try {
          await this.steps(place, step.body);
        } finally {
          this.tell(place, "cleans up");
          await this.steps(`${place}f`, step.cleanup);
        }
    }
    this.tell(place, step.do);
  }

  async #timeout(place: string, ticks: number, body: Steps): Promise<void> {
    const task = asyncio.currentTask();
    const open = this.#timeouts.get(task) ?? [];
    this.#timeouts.set(task, open);
    try {
      await asyncio.timeout(ticks * TICK, async (timeout) => {
        open.push(timeout);
        try {
          await this.steps(place, body);
        } finally {
          open.pop();
        }
      });
    } catch (error) {
      if (!(error instanceof asyncio.TimeoutError)) throw error;
      this.tell(place, "has timed out");
    }
  }

  async #except(
    kind: abstract new (...args: never[]) => Error,
    place: string,
    body: Steps,
  ): Promise<void> {
    try {
      await this.steps(place, body);
    } catch (error) {
      if (!(error instanceof kind)) throw error;
      this.tell(place, `has caught ${this.nameOf(error)}`);
    }
  }

  #starts(place: string, children: readonly Steps[]): (() => Promise<void>)[] {
    return children.map((steps, index) => () => this.task(`${place}c${index}`, steps));
  }

  protected override nameOf(error: unknown): string {
    return error instanceof Error ? error.name : String(error);
  }
}
