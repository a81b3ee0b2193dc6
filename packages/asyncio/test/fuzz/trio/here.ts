// A program of program.ts, run here in virtual time.

import * as asyncio from "../../../src/index.ts";
import { Actors, type CommonUse, Failure, runActors, Shared, TICK } from "../actors.ts";
import type { Trace } from "../python.ts";
import type { Program, Step, Steps } from "./program.ts";

export function runHere(program: Program, isExact: boolean): Promise<Trace> {
  return runActors((loop) => new TrioActors(program, loop), isExact);
}

/** What can be cancelled, or whose deadline can be moved, from elsewhere. */
interface Open {
  cancel(): void;
  moveTo?(when: number): void;
}

class TrioActors extends Actors<Step, CommonUse, Shared> {
  /** In the order in which they were opened. */
  readonly #open: Set<Open> = new Set();

  protected override share(isOther: boolean): Shared {
    return new Shared(isOther);
  }

  protected override async step(place: string, step: Step): Promise<void> {
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
        this.#choose(step.of)?.moveTo?.(this.loop.time() + 30 * step.n * TICK);
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
          this.tell(place, "is cut");
        }
        break;
      case "moveOn": {
        const moved = await asyncio.moveOnAfter(step.n * TICK, () => this.steps(place, step.body));
        if (moved.cancelled) this.tell(place, "is cut");
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
        if (scope.cancelled) this.tell(place, "is cut");
        break;
      }
      case "group":
        await asyncio.taskGroup(async (group) => {
          step.children.forEach((steps, index) => {
            group.createTask(() => this.task(`${place}c${index}`, steps));
          });
          await this.#while({ cancel: () => group.cancel() }, `${place}b`, step.body);
          await asyncio.sleep(0); // the end of a nursery is a checkpoint, also if it waits for none
        });
        break;
      case "catch":
        try {
          await this.steps(place, step.body);
        } catch (error) {
          if (error instanceof asyncio.CancelledError) throw error;
          this.tell(place, `has caught ${this.nameOf(error)}`);
        }
        break;
      case "finally":
        try {
          await this.steps(place, step.body);
        } finally {
          this.tell(place, "cleans up");
          await asyncio.cleanup(step.n * TICK, () => this.steps(`${place}f`, step.cleanup));
        }
        break;
      case "use":
        await this.use(place, step);
        break;
      case "hold":
        await this.hold(place, step);
    }
    this.tell(place, step.do);
  }

  async #while(open: Open, place: string, steps: Steps): Promise<void> {
    this.#open.add(open);
    try {
      await this.steps(place, steps);
    } finally {
      this.#open.delete(open);
    }
  }

  #choose(of: number): Open | undefined {
    return [...this.#open][of % this.#open.size];
  }

  protected override nameOf(error: unknown): string {
    return error instanceof asyncio.CancelledError ? "cancelled" : "failed";
  }
}
