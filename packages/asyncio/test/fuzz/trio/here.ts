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

/** What can be cancelled, or whose deadline can be moved, from elsewhere. */
interface Open {
  cancel(): void;
  moveTo?(when: number): void;
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
  loop.setExceptionHandler(() => {}); // failures of the actors, at which nobody looks
  const actors = new Actors(program, loop);
  await asyncio.run(() => actors.main(), { loop, signals: false });
  return actors.trace;
}

/** What the actors share: one of each kind, and another one. */
class Shared {
  readonly lock = new asyncio.Lock();
  readonly semaphore: asyncio.Semaphore;
  readonly queue = new asyncio.Queue<number>(1);
  readonly event = new asyncio.Event();
  readonly condition = new asyncio.Condition();

  constructor(isOther: boolean) {
    this.semaphore = new asyncio.Semaphore(isOther ? 1 : 2);
  }

  /** @returns what there is to tell */
  async use(what: Use, n: number): Promise<unknown> {
    const { queue, event, condition } = this;
    switch (what) {
      case "put":
        return await queue.put(n);
      case "get":
        return await queue.get();
      case "event":
        return void (await event.wait());
      case "set":
        return event.set();
      case "condition":
        return void (await condition.run(() => condition.wait()));
      case "notify":
        return await condition.run(async () => condition.notify());
      case "notifyAll":
        return await condition.run(async () => condition.notifyAll());
    }
  }
}

class Actors {
  readonly trace: Record<string, string[]> = {};
  readonly #program: Program;
  readonly #loop: asyncio.EventLoop;
  readonly #shared: Shared[] = [];
  /** In the order in which they were opened. */
  readonly #open: Set<Open> = new Set();
  #isOver = false;

  constructor(program: Program, loop: asyncio.EventLoop) {
    this.#program = program;
    this.#loop = loop;
  }

  async main(): Promise<void> {
    this.#shared.push(new Shared(false), new Shared(true));
    for (const [actor, steps] of this.#program.entries())
      asyncio.createTask(() => this.#task(String(actor), steps));
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
      case "cancel":
        await asyncio.sleep(step.n * TICK);
        this.#choose(step.of)?.cancel();
        await asyncio.sleep(step.n * TICK);
        break;
      case "move": {
        await asyncio.sleep(step.n * TICK);
        this.#choose(step.of)?.moveTo?.(this.#loop.time() + 30 * step.n * TICK);
        await asyncio.sleep(step.n * TICK);
        break;
      }
      case "timeout":
        try {
          await asyncio.timeout(step.n * TICK, async (timeout) => {
            const moveTo = (when: number): void => {
              if (!timeout.expired()) timeout.reschedule(when);
            };
            await this.#while({ cancel: () => {}, moveTo }, place, step.body);
          });
        } catch (error) {
          if (!(error instanceof asyncio.TimeoutError)) throw error;
          this.#tell(place, "is cut");
        }
        break;
      case "moveOn": {
        const moved = await asyncio.moveOnAfter(step.n * TICK, () => this.#steps(place, step.body));
        if (moved.cancelled) this.#tell(place, "is cut");
        break;
      }
      case "scope": {
        const scope = new asyncio.CancelScope({ shield: step.isShield });
        if (step.isEarly) scope.cancel();
        const open = {
          cancel: () => scope.cancel(),
          moveTo: (when: number) => {
            scope.deadline = when;
          },
        };
        await scope.run(() => this.#while(open, place, step.body));
        if (scope.cancelled) this.#tell(place, "is cut");
        break;
      }
      case "group":
        await asyncio.taskGroup(async (group) => {
          step.children.forEach((steps, index) => {
            group.createTask(() => this.#task(`${place}c${index}`, steps));
          });
          await this.#while({ cancel: () => group.cancel() }, `${place}b`, step.body);
          await asyncio.sleep(0); // the end of a nursery is a checkpoint, also if it waits for none
        });
        break;
      case "catch":
        try {
          await this.#steps(place, step.body);
        } catch (error) {
          if (error instanceof asyncio.CancelledError) throw error;
          this.#tell(place, `has caught ${nameOf(error)}`);
        }
        break;
      case "finally":
        try {
          await this.#steps(place, step.body);
        } finally {
          this.#tell(place, "cleans up");
          await asyncio.cleanup(step.n * TICK, () => this.#steps(`${place}f`, step.cleanup));
        }
        break;
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
    }
    this.#tell(place, step.do);
  }

  async #while(open: Open, place: string, steps: Steps): Promise<void> {
    this.#open.add(open);
    try {
      await this.#steps(place, steps);
    } finally {
      this.#open.delete(open);
    }
  }

  #choose(of: number): Open | undefined {
    return [...this.#open][of % this.#open.size];
  }

  #tell(place: string, what: string): void {
    if (this.#isOver) return;
    this.trace[place] ??= [];
    this.trace[place].push(`${Math.round(this.#loop.time() / TICK)} ${what}`);
  }
}

function nameOf(error: unknown): string {
  return error instanceof asyncio.CancelledError ? "cancelled" : "failed";
}
