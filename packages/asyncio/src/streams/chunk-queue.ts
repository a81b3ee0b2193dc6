/**
 * Bytes that wait in the order in which they came, as chunks. Adding and taking cost the same
 * however many wait (an array that is shifted costs all of them, each time), and many small chunks
 * become few, for a chunk costs more than its bytes.
 */

/** Bytes: chunks below are copied to each other, into blocks. */
const SMALL = 1024;
const BLOCK = 8192;
/** Places of chunks that are gone, at which the others are moved to the front if they are fewer. */
const MANY = 64;

export class ChunkQueue {
  /** Those before `#head` are gone. */
  #chunks: (Uint8Array | undefined)[] = [];
  #head = 0;
  /** What small chunks are copied into, up to `#filled`; what lies behind is free. */
  #block: Uint8Array | undefined = undefined;
  #filled = 0;
  /** True if the last chunk is the part of the block that ends at `#filled`. */
  #endsInBlock = false;
  /** Bytes that wait. */
  size = 0;

  /** Keeps `chunk` itself, and its length. */
  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#endsInBlock = false;
    this.size += chunk.length;
  }

  /** True if it has copied `bytes` to the end of the last chunk: both are small. */
  append(bytes: Uint8Array): boolean {
    const last = this.#chunks.at(-1); // undefined if there is none
    const { length } = bytes;
    if (last === undefined || length >= SMALL) return false;
    const fits = this.#endsInBlock && this.#filled + length <= BLOCK;
    if (!fits) {
      if (last.length >= SMALL) return false;
      this.#block = new Uint8Array(BLOCK);
      this.#block.set(last);
      this.#filled = last.length;
      this.#endsInBlock = true;
    }
    const block = this.#block as Uint8Array; // the last chunk ends in it
    block.set(bytes, this.#filled);
    this.#filled += length;
    this.#chunks[this.#chunks.length - 1] = block.subarray(
      this.#filled - length - last.length,
      this.#filled,
    );
    this.size += length;
    return true;
  }

  /** Takes the oldest chunk, or its first `most` bytes. Only while there are some. */
  shift(most: number = Number.POSITIVE_INFINITY): Uint8Array {
    const first = this.#chunks[this.#head] as Uint8Array; // there are bytes
    if (first.length > most) {
      this.#chunks[this.#head] = first.subarray(most);
      this.size -= most;
      return first.subarray(0, most);
    }
    this.#chunks[this.#head++] = undefined;
    if (this.#head === this.#chunks.length) this.#chunks.length = this.#head = 0;
    else if (this.#head >= MANY && this.#head * 2 > this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#head);
      this.#head = 0;
    }
    this.size -= first.length;
    return first;
  }

  /**
   * Takes the first `length` bytes, or all if they are fewer, in one piece. Only while there are
   * some.
   */
  take(length: number): Uint8Array {
    const wanted = Math.min(length, this.size);
    const first = this.shift(wanted);
    if (first.length === wanted) return first;
    const taken = new Uint8Array(wanted);
    taken.set(first);
    for (let filled = first.length; filled < wanted; ) {
      const chunk = this.shift(wanted - filled);
      taken.set(chunk, filled);
      filled += chunk.length;
    }
    return taken;
  }
}
