/** Chunks of bytes and text from elsewhere, as the bytes that a ForeignStream takes. */

import { argumentError } from "../errors/errors.ts";
import { concatenate, encodeText, isBytes } from "./encode.ts";
import type { Source } from "./foreign-stream.ts";

/** Bytes that are no Buffer: whose `slice` copies, and whose text looks like that of others. */
function plain(bytes: Uint8Array): Uint8Array {
  if (bytes.constructor === Uint8Array) return bytes;
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** How chunks of any kind are got from somewhere. */
interface Feed {
  next(): Promise<{ readonly done?: boolean | undefined; readonly value?: unknown }>;
  /** Ends it before its time. */
  cancel(): Promise<unknown>;
  /** Called when it is over, in whatever way. */
  release?(): void;
}

/** Turns chunks of bytes and text into chunks of bytes. */
export class ChunkSource implements Source {
  readonly #api: string;
  readonly #feed: Feed;
  /** The first half of a character, whose second half begins the next text; or nothing. */
  #half = "";
  #isOver = false;

  constructor(api: string, feed: Feed) {
    this.#api = api;
    this.#feed = feed;
  }

  async pull(): Promise<Uint8Array | undefined> {
    if (this.#isOver) return this.#rest();
    const { done, value } = await this.#next();
    if (done === true) {
      this.#end();
      return this.#rest();
    }
    if (typeof value === "string") return this.#encode(value);
    if (isBytes(value)) {
      const rest = this.#rest();
      return rest === undefined ? plain(value) : concatenate([rest, value]);
    }
    await this.cancel();
    throw argumentError(this.#api, "a source of Uint8Arrays and strings", value);
  }

  async cancel(): Promise<void> {
    if (this.#isOver) return;
    try {
      await this.#feed.cancel();
    } finally {
      this.#end();
    }
  }

  async #next(): ReturnType<Feed["next"]> {
    try {
      return await this.#feed.next();
    } catch (error) {
      this.#end();
      throw error;
    }
  }

  #end(): void {
    this.#isOver = true;
    this.#feed.release?.();
  }

  #encode(text: string): Uint8Array {
    const whole = this.#half + text;
    this.#half = /[\ud800-\udbff]$/.test(whole) ? whole.slice(-1) : "";
    return encodeText(this.#half === "" ? whole : whole.slice(0, -1));
  }

  /** Half a character that nothing follows: U+FFFD. */
  #rest(): Uint8Array | undefined {
    const half = this.#half;
    this.#half = "";
    return half === "" ? undefined : encodeText(half);
  }
}
