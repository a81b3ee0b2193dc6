/** Lists of work that callers give. */

import { advice, argumentError } from "../errors/errors.ts";

/** The items of `value`; throws unless it can be iterated. */
export function checkIterable<T>(api: string, expected: string, value: Iterable<T>): T[] {
  if (typeof value?.[Symbol.iterator] === "function" && typeof value !== "string")
    return [...value];
  throw argumentError(api, expected, value, advice("Put it into an array"));
}
