/**
 * Keepers: what has jobs, or things open, has a task as long as it has them, which waits until they
 * have ended: a child of its owner if it has one, else of the run. So no owner ends before them, a
 * cancellation of the owner reaches them, and owners know nothing of queues and pools.
 */

import type { Cancellation } from "../kernel/cancellation.ts";
import { cancelIfDue } from "../kernel/delivery.ts";
import { here } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import { Task } from "../kernel/task.ts";
import type { Wait, WaitSubject } from "../kernel/wait.ts";
import { TaskGroup } from "../tasks/task-group.ts";
import { instanceOf, type Rule } from "./settings.ts";

/** The option `owner`, wherever something has a keeper. */
export const OWNER: Rule = instanceOf(() => TaskGroup, "a task group");

/** What a keeper waits for. */
export interface Kept extends Exclude<WaitSubject, string> {
  readonly name: string;
  /** A cancellation has come: called inside the loop. The keeper waits on until it may end. */
  cancelled(cancellation: Cancellation): void;
}

export class Keeper {
  readonly task: Task<void>;
  readonly #kept: Kept;
  #wait: Wait<void> | undefined = undefined;
  #mayEnd = false;

  /** @throws InvalidStateError in the name of `api` where the owner or the run has ended. */
  constructor(api: string, kept: Kept, owner: Pick<TaskGroup, "createTask"> | undefined) {
    const { loop } = here();
    const keep = (): Promise<void> => this.#keep();
    const options = { name: kept.name };
    loop.checkOpen(api);
    this.#kept = kept;
    const group = owner as TaskGroup | undefined; // OWNER has checked it
    this.task = group?.createTaskFor(api, keep, options) ?? new Task(loop, keep, options);
  }

  /** What it was for has ended. */
  end(): void {
    this.#mayEnd = true;
    this.#wait?.joined();
  }

  async #keep(): Promise<void> {
    if (this.#mayEnd) return; // it was not needed for long
    this.#wait = park<void>(here(), this.#kept, (_wait, cancellation) => {
      this.#kept.cancelled(cancellation);
      return false;
    });
    cancelIfDue(this.#wait as Wait);
    await this.#wait.promise.catch(() => {}); // it has done what it was told to
  }
}
