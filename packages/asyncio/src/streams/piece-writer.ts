/**
 * Hands bytes to a Writable of the host, no more than a few pieces at a time, so that one can tell
 * what has gone out, and drop the rest.
 */

import type { Writable } from "node:stream";
import { ChunkQueue } from "./chunk-queue.ts";
import { copyOf, isSocket } from "./node-quirks.ts";

/** Bytes that the host is given at a time when it cannot take everything at once. */
const PIECE = 65_536;
const EMPTY: Uint8Array = new Uint8Array(0);

export class PieceWriter {
  readonly #writable: Writable;
  /** True if nothing empty may be written. */
  readonly #refusesEmpty: boolean;
  /** Called when a piece has gone out. */
  readonly #wentOut: () => void;
  /** What the host has not been given yet; undefined is nothing. */
  #queue: ChunkQueue | undefined = undefined;
  /**
   * True if the host has not passed everything on. The last piece that it has ends in a callback,
   * which tells when it has.
   */
  isSending = false;
  #isDropped = false;

  constructor(writable: Writable, refusesEmpty: boolean, wentOut: () => void) {
    this.#writable = writable;
    this.#refusesEmpty = refusesEmpty || !isSocket(writable); // code of the program would see it
    this.#wentOut = wentOut;
  }

  /** True if the host has been given everything. */
  get isHandedOver(): boolean {
    return this.#queue === undefined;
  }

  /** Bytes that have not gone out. */
  get unsent(): number {
    return this.isSending ? (this.#queue?.size ?? 0) + this.#writable.writableLength : 0;
  }

  /** Takes a copy of `bytes`. */
  send(bytes: Uint8Array): void {
    const writable = this.#writable;
    if (this.isSending || bytes.length > PIECE) {
      this.#queue ??= new ChunkQueue();
      // What code of the program takes keeps its chunks.
      if (!isSocket(writable) || !this.#queue.append(bytes)) this.#queue.push(copyOf(bytes));
      if (!this.isSending) this.#sendNext(this.#queue);
      return;
    }
    const copy = copyOf(bytes);
    if (this.#refusesEmpty) this.#send(copy);
    else {
      // The usual case: the host takes it in the call. A callback for each write would cost a tick
      // (bench: echo).
      writable.write(copy);
      if (writable.writableLength > 0) this.#send(EMPTY);
    }
  }

  /** Nothing goes out any more: drops what the host has not been given. */
  drop(): void {
    this.#queue = undefined;
    this.#isDropped = true;
  }

  /** A piece that ends in a callback; what the host has before it is then through as well. */
  #send(piece: Uint8Array): void {
    this.isSending = true;
    this.#writable.write(piece, (error) => {
      if (error || this.#isDropped) return; // "error" or "close" tells; or it was aborted
      this.isSending = false;
      if (this.#queue !== undefined) this.#sendNext(this.#queue);
      this.#wentOut();
    });
  }

  #sendNext(queue: ChunkQueue): void {
    const piece = isSocket(this.#writable) ? queue.take(PIECE) : queue.shift(PIECE);
    if (queue.size === 0) this.#queue = undefined;
    this.#send(piece);
  }
}
