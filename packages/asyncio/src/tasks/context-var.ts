/**
 * Context variables: values that a task has, and that what it starts begins with. A Context holds
 * them (structures/context-values.ts).
 */

import { advice, argumentError, checkOptions, checkText } from "../errors/errors.ts";
import { currentContext } from "../kernel/context.ts";
import type { Context } from "../structures/context-values.ts";
import { callbackVariables, noticeVariable } from "./callback-variables.ts";
import { addWatch } from "./debug-watch.ts";

/**
 * Undoes one `set`: `reset` takes it.
 *
 * @example
 * const level = new asyncio.ContextVar("level", { default: 0 });
 * const token = level.set(1);
 * assert.equal(token.variable, level);
 * level.reset(token);
 * assert.equal(level.get(), 0);
 */
export class Token<T> {
  /** The variable that was set. */
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
 * A variable whose value belongs to the running task. What a task sets, the tasks it creates
 * afterwards start with; nothing flows back. Source: Python's contextvars.ContextVar.
 */
export class ContextVar<T> {
  /** What reports and errors call it. */
  readonly name: string;
  readonly #default: { readonly value: T } | undefined;

  constructor(name: string, options?: { default: T }) {
    checkText("`new ContextVar`", "a name", name);
    checkOptions("`new ContextVar`", options, { default: 1 }, advice("Write `{ default: ... }`"));
    addWatch(callbackVariables);
    this.name = name;
    this.#default =
      options !== undefined && "default" in options ? { value: options.default } : undefined;
  }

  /**
   * The value in the current context, else `fallback`, else the default.
   * @throws ReferenceError `ERR_ASYNCIO_CONTEXT_VAR_UNSET` when there is none of the three.
   */
  get<F = T>(...fallback: [fallback: F] | []): T | F {
    const context = currentContext();
    const variable = this as ContextVar<unknown>;
    if (context.has(variable)) return context.get(this) as T; // present, so it is a T
    if (fallback.length > 0) return fallback[0] as F; // length > 0
    if (this.#default !== undefined) return this.#default.value;
    const message = `ContextVar ${JSON.stringify(this.name)} has no value here${advice("Set it, pass `get` a fallback, or give the variable a default")}`;
    throw Object.assign(new ReferenceError(message), { code: "ERR_ASYNCIO_CONTEXT_VAR_UNSET" });
  }

  /** Sets the value in the current context; `reset` with the token puts back what was there. */
  set(value: T): Token<T> {
    const context = currentContext();
    const token = new Token(this, context);
    context.write(this as ContextVar<unknown>, true, value);
    noticeVariable(token, ContextVar.prototype.set);
    return token;
  }

  /**
   * Puts back what was there before `token` was made. @throws RangeError when the token is another
   * variable's, of another context, or was used.
   */
  reset(token: Token<T>): void {
    if (!(token instanceof Token))
      throw argumentError(`\`reset\` of ContextVar ${JSON.stringify(this.name)}`, "a token", token);
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
    noticeVariable(token, ContextVar.prototype.set);
  }
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
