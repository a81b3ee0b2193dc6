/**
 * The bytes that a reader has and that were not read yet. A chunk that comes while it is empty is
 * taken as it is; only what has to stand together, because an operation needs more than one chunk,
 * is copied, into an array that doubles as it grows.
 */

import type { PieceDecoder } from "./text.ts";

const EMPTY: Uint8Array = new Uint8Array(0);
/** A piece that would keep this many times its size alive is copied. */
const MOST_KEPT = 4;
/** So many bytes are looked at one by one: a call of the engine costs more. */
const SHORT = 24;
const LAST_ASCII = 0x7f;

export class ByteBuffer {
  #bytes: Uint8Array = EMPTY;
  /** The bytes are those from `#start` to `#end`. */
  #start = 0;
  #end = 0;
  /** True if `#bytes` was made here: what lies behind `#end` is free. */
  #isOwn = false;

  get length(): number {
    return this.#end - this.#start;
  }

  append(chunk: Uint8Array): void {
    const { length } = this;
    if (length === 0) {
      this.#bytes = chunk;
      this.#start = 0;
      this.#end = chunk.length;
      this.#isOwn = false;
      return;
    }
    if (!this.#isOwn || this.#end + chunk.length > this.#bytes.length) {
      // A new array, never the old one again: pieces of it may have been given away.
      const grown = new Uint8Array(2 * (length + chunk.length));
      grown.set(this.#bytes.subarray(this.#start, this.#end));
      this.#bytes = grown;
      this.#start = 0;
      this.#end = length;
      this.#isOwn = true;
    }
    this.#bytes.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /** Removes the first `length` bytes, of at least as many. */
  take(length: number): Uint8Array {
    const taken = this.piece(0, length);
    this.drop(length);
    return taken;
  }

  /** The bytes from `from` to `to`, which stay. They are never written to again. */
  piece(from: number, to: number): Uint8Array {
    const [start, end] = [this.#start + from, this.#start + to];
    const isSmall = (to - from) * MOST_KEPT < this.#bytes.buffer.byteLength;
    return isSmall ? this.#bytes.slice(start, end) : this.#bytes.subarray(start, end);
  }

  /** The text of the bytes from `from` to `to`, which stay. */
  text(from: number, to: number, { decoder, isAscii }: PieceDecoder): string {
    const bytes = this.#bytes;
    const [start, end] = [this.#start + from, this.#start + to];
    if (isAscii && end - start <= SHORT) {
      // A tenth of what a call of the decoder costs, and most fields of protocols are short.
      let text = "";
      let at = start;
      for (; at < end; at++) {
        const byte = bytes[at] as number; // it is there
        if (byte > LAST_ASCII) break;
        text += String.fromCharCode(byte);
      }
      if (at === end) return text;
    }
    return decoder.decode(bytes.subarray(start, end));
  }

  /** The byte at `index`, of those that there are. */
  at(index: number): number {
    return this.#bytes[this.#start + index] as number;
  }

  drop(length: number): void {
    this.#start += length;
    if (this.length === 0) this.clear();
  }

  clear(): void {
    this.#bytes = EMPTY;
    this.#start = this.#end = 0;
    this.#isOwn = false;
  }

  /** Where `separator` is found first, not before `from`, and whole before `to`; -1 if nowhere. */
  indexOf(separator: Uint8Array, from: number, to: number = this.length): number {
    let bytes = this.#bytes;
    const end = this.#start + to;
    const last = end - separator.length;
    const first = separator[0] as number; // it is not empty
    let at = this.#start + from;
    for (const near = Math.min(at + SHORT, last + 1); at < near && bytes[at] !== first; ) at++;
    // What lies behind, free or not, would be looked at each time when a little more has come.
    if (at <= last && end < bytes.length) bytes = bytes.subarray(0, end);
    while (at <= last) {
      at = bytes.indexOf(first, at);
      if (at === -1 || at > last) return -1;
      if (separator.length === 1 || this.#hasAt(separator, at)) return at - this.#start;
      at++;
    }
    return -1;
  }

  #hasAt(separator: Uint8Array, at: number): boolean {
    for (let index = 1; index < separator.length; index++)
      if (this.#bytes[at + index] !== separator[index]) return false;
    return true;
  }
}
