/** Several failures in one error: what task groups and races throw. */

import { advice, argumentError, checkText, register } from "../errors/errors.ts";
import { headline, isA, isThenable } from "../errors/render.ts";
import { ignore } from "../kernel/settlers.ts";

/** What tells apart the errors of an ExceptionGroup: an error class or a predicate. */
export type ErrorMatcher =
  | (abstract new (
      ...args: never[]
    ) => Error)
  | ((error: unknown) => boolean);

interface Leaves {
  count: number;
  first: unknown;
}

/**
 * Several failures that happened side by side, in the order in which their tasks were started; none
 * is dropped. The message names the first one and counts the others, those of groups inside
 * included. Groups nest and are never flattened on their own. Source: Python's ExceptionGroup (PEP
 * 654).
 */
export class ExceptionGroup extends AggregateError {
  readonly code = "ERR_ASYNCIO_EXCEPTION_GROUP";
  /** Kept for `split`, which makes groups with the same words round other errors. */
  readonly #title: string;
  /** The errors that are no groups: how many there are, and the first. */
  readonly #leaves: Leaves;

  constructor(message: string, errors: readonly unknown[], options?: ErrorOptions) {
    const api = "`new ExceptionGroup`";
    checkText(api, "a message, and then the errors", message);
    if (!Array.isArray(errors)) throw argumentError(api, "an array of errors", errors);
    const leaves: Leaves = { count: 0, first: undefined };
    for (const error of errors) {
      const isOurs = typeof error === "object" && error !== null && #leaves in error;
      const { count, first } = isOurs ? error.#leaves : { count: 1, first: error };
      if (leaves.count === 0) leaves.first = first;
      leaves.count += count;
    }
    const others = leaves.count > 1 ? ` (and ${leaves.count - 1} more)` : "";
    const text = leaves.count === 0 ? "" : `: ${headline(leaves.first)}${others}`;
    super(errors, message + text, options);
    this.#title = message;
    this.#leaves = leaves;
  }

  /**
   * The matching errors and the rest, each as a group of the same shape, or undefined where there
   * are none.
   */
  split(
    matcher: ErrorMatcher,
  ): [matching: ExceptionGroup | undefined, rest: ExceptionGroup | undefined] {
    const matches = predicateOf("`ExceptionGroup.split`", matcher);
    if (matches(this)) return [this, undefined];
    const matching: unknown[] = [];
    const rest: unknown[] = [];
    for (const error of this.errors) {
      if (error instanceof ExceptionGroup) {
        const [inside, outside] = error.split(matches);
        if (inside !== undefined) matching.push(inside);
        if (outside !== undefined) rest.push(outside);
      } else (matches(error) ? matching : rest).push(error);
    }
    return [this.#derive(matching), this.#derive(rest)];
  }

  /** The matching errors as a group of the same shape, or undefined where there are none. */
  subgroup(matcher: ErrorMatcher): ExceptionGroup | undefined {
    return this.split(predicateOf("`ExceptionGroup.subgroup`", matcher))[0];
  }

  /** The errors of this group and of the groups inside it, left to right. */
  flatten(): unknown[] {
    const leaves: unknown[] = [];
    const rest: unknown[] = [this];
    while (rest.length > 0) {
      const error = rest.pop();
      if (!(error instanceof ExceptionGroup)) leaves.push(error);
      else
        for (let index = error.errors.length - 1; index >= 0; index--)
          rest.push(error.errors[index]);
    }
    return leaves;
  }

  #derive(errors: unknown[]): ExceptionGroup | undefined {
    if (errors.length === 0) return undefined;
    const options = this.cause === undefined ? undefined : { cause: this.cause };
    const group = new ExceptionGroup(this.#title, errors, options);
    if (this.stack !== undefined) {
      const value = this.stack.replace(this.message, () => group.message);
      Object.defineProperty(group, "stack", { value, configurable: true });
    }
    return group;
  }
}
register(ExceptionGroup, "ExceptionGroup");

/** Whether an error matches. @throws TypeError in the name of the call. */
export function predicateOf(api: string, matcher: ErrorMatcher): (error: unknown) => boolean {
  if (typeof matcher !== "function") {
    throw argumentError(api, "an error class or a predicate", matcher);
  }
  const isClass = matcher.name === "Error" || isA(matcher.prototype, Error);
  if (isClass) return (error) => isA(error, matcher as typeof Error);
  const predicate = matcher as (error: unknown) => unknown; // no class
  return (error) => {
    const verdict = predicate(error);
    if (!isThenable(verdict)) return Boolean(verdict);
    verdict.then(undefined, ignore); // our TypeError is enough
    const cure = advice("A promise counts as true: take away `async`, and wait elsewhere");
    throw argumentError(api, "a predicate that answers at once", verdict, cure);
  };
}
