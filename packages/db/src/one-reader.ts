/**
 * One call of `next` at a time, for iterators that stand on a connection. Of two calls each would
 * take a connection, and one of the two would be lost.
 */

import { InvalidStateError } from "asyncio-ts";

/** The calls of `next` of one iterator. */
export class OneReader {
  readonly #title: string;
  #isReading = false;

  /** @param title - what the error calls the iterator */
  constructor(title: string) {
    this.#title = title;
  }

  /** True iff a call of `next` has not ended. */
  get isReading(): boolean {
    return this.#isReading;
  }

  /** Runs the work of one call of `next`. @throws InvalidStateError while another one runs. */
  async read<T>(next: () => Promise<T>): Promise<T> {
    if (this.#isReading)
      throw new InvalidStateError(
        `\`next\` was called on ${JSON.stringify(this.#title)} while an earlier call has not ended. Read it in one loop`,
      );
    this.#isReading = true;
    try {
      return await next();
    } finally {
      this.#isReading = false;
    }
  }
}
