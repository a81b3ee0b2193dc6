import { complete, interruption, park, refuse, WaitList } from "../../src/lowlevel.ts";

/**
 * Two tasks meet here, and each goes on with what the other has brought. First come, first served.
 */
export class Rendezvous<T> {
  readonly #waiters = new WaitList();
  /** What those who wait have brought, in the same order. */
  readonly #brought: T[] = [];
  #isClosed = false;

  /** Whether a task waits for a partner. */
  get isAwaited(): boolean {
    return this.#brought.length > 0;
  }

  /** No more partners: the tasks that wait, and all that come, are refused. */
  close(): void {
    this.#isClosed = true;
    this.#brought.length = 0;
    this.#waiters.failAll(() => new Error("the rendezvous is closed"));
  }

  /**
   * Waits for a partner. If it is cancelled while it waits, it has brought nothing: the next one
   * waits for another.
   */
  meet(mine: T): Promise<T> {
    const stop = interruption("Rendezvous.meet");
    if (stop !== undefined) return stop;
    if (this.#isClosed) return refuse("Rendezvous.meet", new Error("the rendezvous is closed"));
    if (this.#brought.length > 0) {
      const theirs = this.#brought.shift() as T; // there is one
      this.#waiters.resumeFirst(mine);
      return complete("Rendezvous.meet", theirs);
    }
    const wait = park<T>("Rendezvous.meet", () => {
      this.#brought.length = 0; // no other task waits: the second one to come does not wait
      return true;
    });
    this.#brought.push(mine);
    this.#waiters.add(wait);
    return wait.promise;
  }
}
