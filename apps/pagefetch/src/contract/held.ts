/**
 * How many bytes of bodies the process holds: one budget for pages that come, for requests that have
 * a body, and for answers whose client still reads. Bytes are counted as they arrive.
 *
 * If the next bytes of an owner do not fit, it is refused. It does not wait for room. An owner that
 * waits holds bytes itself, so several could wait for each other without end.
 */

import { PageError } from "./errors.ts";

/**
 * Half a megabyte for each of 500 requests, and two pages of the largest size as JSON. What is made
 * of a page on the way comes on top, so the process takes some three times as much at worst.
 */
export const defaultHeldBytes: number = 256 * 2 ** 20;

/** Seconds after which what was refused may fit. */
const SOON = 1;

/** The budget. */
export class HeldBytes {
  /** Bytes in all. */
  readonly most: number;
  #total = 0;

  /** @param most - bytes in all; without a limit by default */
  constructor(most: number = Number.POSITIVE_INFINITY) {
    this.most = most;
  }

  /** Bytes that are held now. */
  get total(): number {
    return this.#total;
  }

  /** For what one owner holds. Whoever opens it ends it. */
  open(): Hold {
    return new Hold(this, (bytes) => {
      this.#total += bytes;
    });
  }
}

/** What one owner holds: a request, a page that comes, a copy for the cache. */
export class Hold {
  readonly #all: HeldBytes;
  readonly #count: (bytes: number) => void;
  #bytes = 0;
  #isEnded = false;

  /** Made by `HeldBytes.open`. */
  constructor(all: HeldBytes, count: (bytes: number) => void) {
    this.#all = all;
    this.#count = count;
  }

  /** Bytes that it holds. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Counts bytes that have arrived. @throws PageError `overloaded` if they do not fit. */
  add(bytes: number): void {
    if (this.tryAdd(bytes)) return;
    const text = "the service holds as many bytes of pages as it may";
    const limit = { name: "maxHeldBytes", value: this.#all.most };
    throw new PageError("overloaded", text, { retryAfter: SOON, limit });
  }

  /** The same; false if they do not fit. */
  tryAdd(bytes: number): boolean {
    // Its owner has left, and what still arrives goes in a moment.
    if (this.#isEnded) return true;
    if (this.#all.total + bytes > this.#all.most) return false;
    this.#bytes += bytes;
    this.#count(bytes);
    return true;
  }

  /** Gives back some of them. */
  give(bytes: number): void {
    if (this.#isEnded) return;
    this.#bytes -= bytes;
    this.#count(-bytes);
  }

  /** Gives back all of them. A second time does nothing. */
  end(): void {
    this.give(this.#bytes);
    this.#isEnded = true;
  }
}
