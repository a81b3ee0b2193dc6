/**
 * How many bytes of bodies the process holds: one budget for pages that come, for requests that have
 * a body, and for answers whose client still reads. Bytes are counted as they arrive.
 *
 * If the next bytes do not fit, they are refused. Nobody waits for room: whoever waits holds bytes
 * itself, so several could wait for each other without end.
 *
 * An owner, such as a key, may hold eight times what is free (a dynamic threshold, as switches have
 * for the queues that share their memory). One owner alone has eight ninths of the budget, two have
 * eight seventeenths each, and there is always room for one more.
 */

import { PageError } from "./errors.ts";

/** What an owner may hold, in multiples of what is free. */
const SHARE = 8;

/**
 * Half a megabyte for each of 500 requests; for one key alone 256 MiB, in which the largest page fits
 * with its JSON. What is made of a page on the way comes on top, so the process takes some three
 * times as much at worst.
 */
export const defaultHeldBytes: number = 288 * 2 ** 20;

/** Seconds after which what was refused may fit. */
const SOON = 1;

/** The budget. */
export class HeldBytes {
  /** Bytes in all. */
  readonly most: number;
  #total = 0;
  readonly #shares: Map<string, number> = new Map();

  /** @param most - bytes in all; without a limit by default */
  constructor(most: number = Number.POSITIVE_INFINITY) {
    this.most = most;
  }

  /** Bytes that are held now. */
  get total(): number {
    return this.#total;
  }

  /**
   * For what a request holds, or a page that comes. Whoever opens it ends it.
   * @param owner - on whose account; without one the whole budget bounds it, and no share
   */
  open(owner?: string): Hold {
    return new Hold(this, owner);
  }

  /** @internal Whether so many bytes more fit. */
  fits(bytes: number, owner: string | undefined): boolean {
    const free = this.most - this.#total - bytes;
    if (free < 0 || owner === undefined) return free >= 0;
    return (this.#shares.get(owner) ?? 0) + bytes <= SHARE * free;
  }

  /** @internal Counts bytes, or fewer of them, without asking whether they fit. */
  count(bytes: number, owner: string | undefined): void {
    this.#total += bytes;
    if (owner === undefined) return;
    const share = (this.#shares.get(owner) ?? 0) + bytes;
    if (share === 0) this.#shares.delete(owner);
    else this.#shares.set(owner, share);
  }
}

/** What is held together: by a request, by a page that comes, by a copy for the cache. */
export class Hold {
  readonly #all: HeldBytes;
  #owner: string | undefined;
  #bytes = 0;
  #isEnded = false;

  /** Made by `HeldBytes.open`. */
  constructor(all: HeldBytes, owner: string | undefined) {
    this.#all = all;
    this.#owner = owner;
  }

  /** Bytes that it holds. */
  get bytes(): number {
    return this.#bytes;
  }

  /** From now on it is on this account, with what it holds. */
  belongTo(owner: string): void {
    this.#all.count(-this.#bytes, this.#owner);
    this.#all.count(this.#bytes, owner);
    this.#owner = owner;
  }

  /** Counts bytes that have arrived. @throws PageError `overloaded` if they do not fit. */
  add(bytes: number): void {
    if (this.tryAdd(bytes)) return;
    const text = "the service has no room for more bytes of this caller at the moment";
    const limit = { name: "maxHeldBytes", value: this.#all.most };
    throw new PageError("overloaded", text, { retryAfter: SOON, limit });
  }

  /** The same; false if they do not fit. */
  tryAdd(bytes: number): boolean {
    // Whoever has opened it has left, and what still arrives goes in a moment.
    if (this.#isEnded) return true;
    if (!this.#all.fits(bytes, this.#owner)) return false;
    this.#bytes += bytes;
    this.#all.count(bytes, this.#owner);
    return true;
  }

  /** Gives back some of them. */
  give(bytes: number): void {
    if (this.#isEnded) return;
    this.#bytes -= bytes;
    this.#all.count(-bytes, this.#owner);
  }

  /** Gives back all of them. A second time does nothing. */
  end(): void {
    this.give(this.#bytes);
    this.#isEnded = true;
  }
}
