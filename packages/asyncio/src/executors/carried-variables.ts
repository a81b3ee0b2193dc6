/** Context variables whose values go along with a job. They are known by name on both sides. */

import { checkText, InvalidStateError } from "../errors/errors.ts";
import { currentContext } from "../kernel/context.ts";
import type { Context } from "../structures/context-values.ts";
import { ContextVar } from "../tasks/context-var.ts";

const shared: Map<string, ContextVar<unknown>> = new Map();

/**
 * A `ContextVar` whose value goes along with jobs: what it is where an executor is called, it is in
 * the job. The module that makes it has to be loaded on both sides, so put it where the module of
 * the jobs imports it; it is known by its `name`. Values are copied, and nothing comes back.
 *
 * @throws InvalidStateError when there is one of that name.
 *
 * @example
 * import { sharedContextVar } from "asyncio-ts/worker";
 * const trace = sharedContextVar("trace", { default: "none" });
 * assert.equal(trace.get(), "none");
 */
export function sharedContextVar<T>(name: string, options?: { default: T }): ContextVar<T> {
  checkText("`sharedContextVar`", "a name", name);
  if (shared.has(name))
    throw new InvalidStateError(
      `\`sharedContextVar\` was called twice with the name ${JSON.stringify(name)}: values could not be told apart in a worker`,
    );
  const variable = new ContextVar<T>(name, options);
  shared.set(name, variable as ContextVar<unknown>);
  return variable;
}

/** Those that have a value here, with it; undefined if none has. */
export function sharedValues(): (readonly [name: string, value: unknown])[] | undefined {
  if (shared.size === 0) return undefined;
  const context = currentContext();
  const values: [string, unknown][] = [];
  for (const [name, variable] of shared)
    if (context.has(variable)) values.push([name, context.get(variable)]);
  return values.length === 0 ? undefined : values;
}

/** Sets those that are known here. */
export function setSharedValues(
  context: Context,
  values: readonly (readonly [name: string, value: unknown])[],
): void {
  for (const [name, value] of values) {
    const variable = shared.get(name);
    if (variable !== undefined) context.run(() => variable.set(value));
  }
}
