/**
 * Context variables: values that belong to a task and to what it starts. A task gets a copy of its creator's
 * context when it is created; all branches inside one task share one context (S184 to S186).
 *
 * A copy shares the map of its original until one of the two writes, so creating a task costs no copying.
 */

import { currentScope } from "./context.ts";
import { checkOptions } from "./errors.ts";

/** Values that a context starts with, and that nobody changes: a context that is about to copies them first. */
export type ContextValues = Map<ContextVar<unknown>, unknown>;

/** The values of all context variables for one task. Source: Python's contextvars.Context. */
export class Context {
  #values: ContextValues;
  // True iff another context may hold the same map: then a write copies it first.
  #shared: boolean;

  /** @internal */
  constructor(values?: ContextValues) {
    this.#values = values ?? new Map();
    this.#shared = values !== undefined;
  }

  /** A context of its own with the values of this one. Cheap: nothing is copied until one of the two changes. */
  copy(): Context {
    return new Context(this.share());
  }

  /** @internal The values as they are now: what a copy starts with, if one is ever needed (bench: memory). */
  share(): ContextValues {
    this.#shared = true;
    return this.#values;
  }

  /**
   * Calls `fn` with this context as the current one and gives what it returns. Synchronous: what `fn` does
   * after an `await` of its own sees the context of the task it runs in, as a coroutine does in Python.
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

  has(variable: ContextVar<unknown>): boolean {
    return this.#values.has(variable);
  }

  get<T>(variable: ContextVar<T>): T | undefined {
    return this.#values.get(variable as ContextVar<unknown>) as T | undefined; // set() stores only T under it
  }

  /** How many variables are set. */
  get size(): number {
    return this.#values.size;
  }

  /** @internal `undefined` as a present value and an absent one differ, hence the flag. */
  write(variable: ContextVar<unknown>, present: boolean, value: unknown): void {
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

/** In debug mode: told of each `set`, and of its undoing, when its token is used. */
let watcher: ((token: Token<unknown>) => void) | undefined;
/** Tells `tell` from now on, and nobody else. */
export function watchVariables(tell: typeof watcher): void {
  watcher = tell;
}

/** The context of the running code. */
export function currentContext(): Context {
  return entered ?? currentScope()?.context ?? outside;
}

/** A copy of the current context: `createTask(work, { context })` runs in it. */
export function copyContext(): Context {
  return currentContext().copy();
}

/** Undoes one `set`. */
export class Token<T> {
  readonly variable: ContextVar<T>;
  /** @internal */ readonly context: Context;
  /** @internal */ readonly present: boolean;
  /** @internal */ readonly value: T | undefined;
  /** @internal True once it was used: a token undoes its `set` once. */
  used = false;

  /** @internal */
  constructor(variable: ContextVar<T>, context: Context) {
    this.variable = variable;
    this.context = context;
    this.present = context.has(variable as ContextVar<unknown>);
    this.value = context.get(variable);
  }
}

/**
 * A variable whose value belongs to the running task. What a task sets, the tasks it creates afterwards start
 * with; nothing flows back. Source: Python's contextvars.ContextVar.
 */
export class ContextVar<T> {
  readonly name: string;
  readonly #default: { readonly value: T } | undefined;

  constructor(name: string, options?: { default: T }) {
    checkOptions("`new ContextVar`", options, { default: 1 }, "Write `{ default: ... }`");
    this.name = name;
    this.#default =
      options !== undefined && "default" in options ? { value: options.default } : undefined;
  }

  /**
   * The value in the current context, else `fallback`, else the default.
   * @throws ReferenceError `ERR_ASYNCIO_CONTEXT_VAR_UNSET` when there is none of the three.
   */
  get(...fallback: [fallback: T] | []): T {
    const context = currentContext();
    const variable = this as ContextVar<unknown>;
    if (context.has(variable)) return context.get(this) as T; // present, so it is a T
    if (fallback.length > 0) return fallback[0] as T; // length > 0
    if (this.#default !== undefined) return this.#default.value;
    const message = `ContextVar ${JSON.stringify(this.name)} has no value here. Set it, pass \`get\` a fallback, or give the variable a default`;
    throw Object.assign(new ReferenceError(message), { code: "ERR_ASYNCIO_CONTEXT_VAR_UNSET" });
  }

  /** Sets the value in the current context; `reset` with the token puts back what was there. */
  set(value: T): Token<T> {
    const context = currentContext();
    const token = new Token(this, context);
    context.write(this as ContextVar<unknown>, true, value);
    watcher?.(token as Token<unknown>);
    return token;
  }

  /** @throws RangeError when the token is another variable's, of another context, or was used. */
  reset(token: Token<T>): void {
    const wrong =
      token.variable !== this
        ? `was made by ContextVar ${JSON.stringify(token.variable.name)}`
        : token.used
          ? "was used already"
          : token.context !== currentContext()
            ? "was made in another context"
            : undefined;
    if (wrong !== undefined) {
      const message = `\`reset\` of ContextVar ${JSON.stringify(this.name)} expects a token of its own \`set\` in this context, got one that ${wrong}`;
      throw Object.assign(new RangeError(message), { code: "ERR_ASYNCIO_INVALID_ARGUMENT" });
    }
    token.used = true;
    token.context.write(this as ContextVar<unknown>, token.present, token.value);
    watcher?.(token as Token<unknown>);
  }
}
