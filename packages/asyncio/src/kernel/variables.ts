/**
 * Contexts: the values of context variables (tasks/context-var.ts), which belong to a task and to
 * what it starts. A task gets a copy of its creator's context when it is created; all branches
 * inside one task share one context (S184 to S186).
 *
 * A copy shares the map of its original until one of the two writes, so creating a task costs no
 * copying.
 */

import { currentScope } from "./context.ts";

/**
 * Values that a context starts with, and that nobody changes: a context that is about to copies
 * them first.
 */
export type ContextValues = Map<Variable<unknown>, unknown>;

/** A ContextVar, as its context sees it: a key, and the type of its values. */
export interface Variable<T> {
  readonly name: string;
  get(...fallback: [fallback: T] | []): T;
}

/**
 * The values of all context variables for one task. Source: Python's contextvars.Context.
 *
 * @example
 * const user = new asyncio.ContextVar("user", { default: "nobody" });
 * const context = asyncio.copyContext();
 * context.run(() => user.set("ann"));
 * assert.deepEqual([context.get(user), user.get()], ["ann", "nobody"]);
 */
export class Context {
  #values: ContextValues;
  // True iff another context may hold the same map: then a write copies it first.
  #shared: boolean;

  /** @internal */
  constructor(values?: ContextValues) {
    this.#values = values ?? new Map();
    this.#shared = values !== undefined;
  }

  /**
   * A context of its own with the values of this one. Cheap: nothing is copied until one of the two
   * changes.
   */
  copy(): Context {
    return new Context(this.share());
  }

  /**
   * @internal The values as they are now: what a copy starts with, if one is ever needed (bench:
   * memory).
   */
  share(): ContextValues {
    this.#shared = true;
    return this.#values;
  }

  /**
   * Calls `fn` with this context as the current one and gives what it returns. Synchronous: what
   * `fn` does after an `await` of its own sees the context of the task it runs in, as a coroutine
   * does in Python.
   */
  run<R>(fn: () => R): R {
    const previous = entered;
    entered = this;
    try {
      return fn();
    } finally {
      entered = previous;
    }
  }

  /** Whether `variable` has a value of its own here. */
  has(variable: Variable<unknown>): boolean {
    return this.#values.has(variable);
  }

  /** The value of `variable` here; undefined if it has none of its own. */
  get<T>(variable: Variable<T>): T | undefined {
    return this.#values.get(variable as Variable<unknown>) as T | undefined; // set() stores only T under it
  }

  /** How many variables are set. */
  get size(): number {
    return this.#values.size;
  }

  /** @internal `undefined` as a present value and an absent one differ, hence the flag. */
  write(variable: Variable<unknown>, present: boolean, value: unknown): void {
    if (this.#shared) {
      this.#values = new Map(this.#values);
      this.#shared = false;
    }
    if (present) this.#values.set(variable, value);
    else this.#values.delete(variable);
  }
}

/** The context entered by `Context.run`, for the duration of that synchronous call. */
let entered: Context | undefined;
/** The context of code outside every task. */
const outside: Context = new Context();

/** The context of the running code. */
export function currentContext(): Context {
  return entered ?? currentScope()?.context ?? outside;
}

/**
 * A copy of the current context: `createTask(work, { context })` runs in it.
 *
 * @example
 * const user = new asyncio.ContextVar("user", { default: "nobody" });
 * const context = asyncio.copyContext();
 * user.set("ann");
 * const task = asyncio.createTask(async () => user.get(), { context });
 * assert.equal(await task, "nobody");
 */
export function copyContext(): Context {
  return currentContext().copy();
}
