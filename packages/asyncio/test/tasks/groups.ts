// What the tests of task groups start, and how they look at failures.

import assert from "node:assert/strict";
import { ExceptionGroup, sleep } from "../../src/index.ts";

export const forever = (): Promise<void> => sleep(Number.POSITIVE_INFINITY);

/** A body that fails after `delay` seconds. */
export function failing(message: string, delay = 0): () => Promise<never> {
  return async () => {
    await sleep(delay);
    throw new Error(message);
  };
}

/** The messages of the errors in an ExceptionGroup, nested as they are. */
export function messages(error: unknown): unknown {
  assert.ok(error instanceof ExceptionGroup, `not a group: ${error}`);
  return error.errors.map((each) =>
    each instanceof ExceptionGroup ? messages(each) : each.message,
  );
}
