/**
 * Contexts: the values of context variables (tasks/context-var.ts). A task starts with a copy of
 * its creator's; all branches of a task share one (S184 to S186). A map of values never changes, so
 * copies share it, and creating a task copies nothing: a write makes another map.
 */

export type ContextValues = ReadonlyMap<Variable<unknown>, unknown>;

/** A ContextVar, as its context sees it: a key, and the type of its values. */
export interface Variable<T> {
  readonly name: string;
  get<F = T>(...fallback: [fallback: F] | []): T | F;
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
  /** @internal The one that `run` has entered, during its call. */
  static entered: Context | undefined;
  #values: ContextValues;
  /** @internal */
  constructor(values: ContextValues = new Map()) {
    this.#values = values;
  }
  /** @internal What a copy starts with, if one is ever needed (bench: memory). */
  get values(): ContextValues {
    return this.#values;
  }
  /** A context of its own with the values of this one. Cheap: they share what does not change. */
  copy(): Context {
    return new Context(this.#values);
  }
  /**
   * Calls `fn` with this context as the current one and gives what it returns. Synchronous: after
   * an `await` of its own `fn` sees the context of its task, as a coroutine does in Python.
   */
  run<R>(fn: () => R): R {
    const previous = Context.entered;
    Context.entered = this;
    try {
      return fn();
    } finally {
      Context.entered = previous;
    }
  }
  /** Whether `variable` has a value of its own here. */
  has(variable: Variable<unknown>): boolean {
    return this.#values.has(variable);
  }
  /** The value of `variable` here; undefined if it has none of its own. */
  get<T>(variable: Variable<T>): T | undefined {
    return this.#values.get(variable as Variable<unknown>) as T | undefined; // its own type
  }
  /** How many variables are set. */
  get size(): number {
    return this.#values.size;
  }
  /** @internal A value that is `undefined` is not an absent one, hence `present`. */
  write(variable: Variable<unknown>, present: boolean, value: unknown): void {
    const values = new Map(this.#values);
    if (present) values.set(variable, value);
    else values.delete(variable);
    this.#values = values;
  }
}
