/** A page while it comes, and one that has come. */

import { PageError } from "../contract/errors.ts";
import type { Hold } from "../contract/held.ts";
import type { Charset, FetchResult, PageHead } from "../contract/result.ts";
import { charsetOf, textOf } from "./charset.ts";
import type { Body } from "./decode.ts";

/** A page whose body is still on its way. It is gone when the function that got it has ended. */
export interface LivePage {
  readonly head: PageHead;
  /** Waits for the next piece of the body, decompressed; undefined at the end. */
  read(): Promise<Uint8Array | undefined>;
  /** The same, piece by piece. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array>;
}

/** A body of which the beginning was read ahead. */
export class PeekedBody implements Body {
  readonly #from: Body;
  readonly #pieces: Uint8Array[] = [];
  #isOver = false;

  constructor(from: Body) {
    this.#from = from;
  }

  /** Waits for `bytes`, or for all there are if that is less. They stay in the body. */
  async peek(bytes: number): Promise<Uint8Array> {
    let size = 0;
    while (size < bytes && !this.#isOver) {
      const piece = await this.#from.read();
      if (piece === undefined) this.#isOver = true;
      else {
        this.#pieces.push(piece);
        size += piece.length;
      }
    }
    return joined(this.#pieces).subarray(0, bytes);
  }

  async read(): Promise<Uint8Array | undefined> {
    const piece = this.#pieces.shift();
    if (piece !== undefined) return piece;
    return this.#isOver ? undefined : await this.#from.read();
  }

  close(): void {
    this.#from.close();
  }
}

export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces;
  if (pieces.length === 1 && only !== undefined) return only;
  return Buffer.concat(pieces);
}

/**
 * Reads a body, to its end or until there are `most` bytes. They are counted in `hold`, which has
 * none of them if the body fails.
 */
export async function collect(
  page: Pick<LivePage, "read">,
  hold: Hold,
  most: number = Number.POSITIVE_INFINITY,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  try {
    for (let piece = await page.read(); piece !== undefined; piece = await page.read()) {
      hold.add(piece.length);
      size += piece.length;
      pieces.push(piece);
      if (size >= most) break;
    }
    return joined(pieces);
  } catch (error) {
    hold.give(size);
    throw error;
  }
}

export function livePage(head: PageHead, body: Body): LivePage {
  const read = (): Promise<Uint8Array | undefined> => body.read();
  return {
    head,
    read,
    async *[Symbol.asyncIterator]() {
      for (let piece = await read(); piece !== undefined; piece = await read()) yield piece;
    },
  };
}

export interface Sums {
  readonly attempts: FetchResult["attempts"];
  readonly seconds: number;
  readonly politeWait: number;
  readonly sent: number;
  readonly received: number;
}

export function wholePage(head: PageHead, bytes: Uint8Array, sums: Sums): FetchResult {
  const charset: Charset = charsetOf(head.headers, bytes.subarray(0, 1024));
  return { ...head, ...sums, bytes, charset, text: () => textOf(bytes, charset) };
}

/** What was said is larger than what is wanted: no need to read it. */
export function tooLarge(limit: number): PageError {
  return new PageError("too_large", `the page is larger than ${limit} bytes`, {
    limit: { name: "maxBytes", value: limit },
  });
}
