// What the random programs have in common that run here and in Python (cpython/, trio/). A program
// is data: actors, each a list of steps that nest. Its trace tells for each place in it what
// happened there, and when.

import * as asyncio from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { drawer, HoppingHost } from "../hopping-host.ts";
import type { Trace } from "./python.ts";

/** Times add up exactly here and there. */
export const TICK = 2 ** -22;
const END = 20_000_000.5;

export class Failure extends Error {
  override name = "Failure";
}

/** After `n` ticks, something is done to the one of its kind that `of` stands for. */
export interface UseStep<Use> {
  readonly do: "use";
  readonly what: Use;
  readonly n: number;
  readonly of: number;
}

/** After `n` ticks, the one of its kind that `of` stands for is held while the body runs. */
export interface HoldStep<Step> {
  readonly do: "hold";
  readonly what: "lock" | "semaphore";
  readonly n: number;
  readonly of: number;
  readonly body: readonly Step[];
}

export type CommonUse = "put" | "get" | "event" | "set" | "condition" | "notify" | "notifyAll";

/** What actors share: one of each kind. There are two of these, and they differ here and there. */
export class Shared {
  readonly lock = new asyncio.Lock();
  readonly semaphore: asyncio.Semaphore;
  readonly queue: asyncio.Queue<number>;
  readonly event = new asyncio.Event();
  readonly condition = new asyncio.Condition();

  constructor(isOther: boolean, queue: asyncio.Queue<number> = new asyncio.Queue(1)) {
    this.semaphore = new asyncio.Semaphore(isOther ? 1 : 2);
    this.queue = queue;
  }

  /** @returns what there is to tell */
  async use(what: CommonUse, n: number): Promise<unknown> {
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

/** Runs the actors of a program. `Things` is what they share. */
export abstract class Actors<
  Step extends { readonly do: string },
  Use,
  Things extends Shared & { use(what: Use, n: number): Promise<unknown> },
> {
  readonly trace: Record<string, string[]> = {};
  protected readonly loop: asyncio.EventLoop;
  protected readonly tasks: asyncio.Task<void>[] = [];
  readonly #program: readonly (readonly Step[])[];
  readonly #things: Things[] = [];
  #isOver = false;

  constructor(program: readonly (readonly Step[])[], loop: asyncio.EventLoop) {
    this.#program = program;
    this.loop = loop;
  }

  async main(): Promise<void> {
    this.#things.push(this.share(false), this.share(true));
    for (const [actor, steps] of this.#program.entries())
      this.tasks.push(asyncio.createTask(() => this.task(String(actor), steps)));
    await asyncio.sleep(END * TICK);
    this.#isOver = true; // the end of the run cancels what is left, until it has ended
  }

  protected abstract share(isOther: boolean): Things;
  protected abstract step(place: string, step: Step): Promise<void>;
  protected abstract nameOf(error: unknown): string;

  protected async task(place: string, steps: readonly Step[]): Promise<void> {
    try {
      await this.steps(place, steps);
      this.tell(place, "has returned");
    } catch (error) {
      this.tell(place, `has ended: ${this.nameOf(error)}`);
      throw error;
    }
  }

  protected async steps(place: string, steps: readonly Step[]): Promise<void> {
    for (const [index, step] of steps.entries()) await this.step(`${place}.${index}`, step);
  }

  protected async use(place: string, { what, n, of }: UseStep<Use>): Promise<void> {
    await asyncio.sleep(n * TICK);
    this.tell(place, "begins");
    const told = await this.#things[of]?.use(what, n);
    this.tell(place, `${what} ${told ?? ""}`);
    await asyncio.sleep((1 + (n % 1000)) * TICK);
  }

  protected async hold(place: string, { what, n, of, body }: HoldStep<Step>): Promise<void> {
    await asyncio.sleep(n * TICK);
    this.tell(place, "begins");
    await this.#things[of]?.[what].run(async () => {
      this.tell(place, `${what} is held`);
      await this.steps(`${place}h`, body);
    });
    await asyncio.sleep((1 + (n % 1000)) * TICK);
  }

  protected tell(place: string, what: string): void {
    if (this.#isOver) return;
    this.trace[place] ??= [];
    this.trace[place].push(`${Math.round(this.loop.time() / TICK)} ${what}`);
  }
}

/**
 * Runs actors up to five seconds, and cancels what is left then, which is not told. One step at a
 * time on a virtual loop; else as on the real one, where a drain takes all that is ready.
 */
export async function runActors(
  make: (loop: asyncio.EventLoop) => { readonly trace: Trace; main(): Promise<void> },
  isExact: boolean,
): Promise<Trace> {
  const options = { cancelGrace: Number.POSITIVE_INFINITY };
  const loop = isExact
    ? new VirtualLoop(options)
    : new asyncio.EventLoop(new HoppingHost(drawer(1)), options);
  loop.setExceptionHandler(() => {}); // failures that nobody looks at
  const actors = make(loop);
  await asyncio.run(() => actors.main(), { loop, signals: false });
  return actors.trace;
}
