/**
 * The bytes that a reader has and nobody has read. A chunk that comes while it is empty is taken as it is; only what has to
 * stand together, because an operation needs more than one chunk, is copied, into an array that doubles as it grows.
 */

const EMPTY: Uint8Array = new Uint8Array(0);
/** A piece that would keep this many times its size alive is copied. */
const MOST_KEPT = 4;

export class ByteBuffer {
  #bytes: Uint8Array = EMPTY;
  /** The bytes are those from `#start` to `#end`. */
  #start = 0;
  #end = 0;
  /** True iff `#bytes` was made here: what lies behind `#end` is free. */
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
    const from = this.#start;
    this.drop(length);
    const piece = this.#bytes.subarray(from, from + length);
    const taken = length * MOST_KEPT < this.#bytes.buffer.byteLength ? piece.slice() : piece;
    if (this.length === 0) this.clear();
    return taken;
  }

  drop(length: number): void {
    this.#start += length;
  }

  clear(): void {
    this.#bytes = EMPTY;
    this.#start = this.#end = 0;
    this.#isOwn = false;
  }

  /** Where `separator` is found first, not before `from`; -1 if nowhere. */
  indexOf(separator: Uint8Array, from: number): number {
    const bytes = this.#bytes;
    const last = this.#end - separator.length;
    let at = this.#start + from;
    while (at <= last) {
      at = bytes.indexOf(separator[0] as number, at); // it is not empty
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
