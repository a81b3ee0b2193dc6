/**
 * Hands bytes to a Writable of the host, no more than a few pieces at a time, so that one can tell
 * what has gone out, and drop the rest.
 */

import type { Writable } from "node:stream";
import { ChunkQueue } from "./chunk-queue.ts";
import { keepLent, LENT, lend } from "./lent-bytes.ts";
import { copyOf, isSocket, writesToHost } from "./node-quirks.ts";

/** Bytes that the host is given at a time when it cannot take everything at once. */
const PIECE: number = LENT;
const EMPTY: Uint8Array = new Uint8Array(0);

/** Whose pieces they are. */
export interface PieceOwner {
  /** A piece has gone out. */
  pieceWentOut(): void;
}

/**
 * The usual write: a socket takes all of it in the call. A callback for each would cost a tick, and
 * a PieceWriter would be there for nothing (bench: echo, idle). Otherwise gives the PieceWriter
 * that has the rest.
 */
export function firstWrite(
  writable: Writable,
  refusesEmpty: boolean,
  owner: PieceOwner,
  bytes: Uint8Array,
): PieceWriter | undefined {
  const isUsual = !refusesEmpty && bytes.length <= PIECE && writesToHost(writable);
  if (isUsual && writeAtOnce(writable, bytes)) return undefined;
  const pieces = new PieceWriter(writable, refusesEmpty, owner);
  if (isUsual) pieces.awaitHost(bytes.length);
  else pieces.send(bytes);
  return pieces;
}

/** False if the host has not passed everything on when the call returns. */
function writeAtOnce(writable: Writable, bytes: Uint8Array): boolean {
  writable.write(lend(bytes));
  if (writable.writableLength === 0) return true;
  keepLent();
  return false;
}

export class PieceWriter {
  readonly #writable: Writable;
  /** True if nothing empty may be written. */
  readonly #refusesEmpty: boolean;
  readonly #owner: PieceOwner;
  /** What the host has not been given yet; undefined is nothing. */
  #queue: ChunkQueue | undefined = undefined;
  /**
   * Bytes that the host was given last, if it has not passed everything on. The piece that they are
   * ends in a callback, which tells when it has.
   */
  #underWay = 0;
  /** Bytes that will never go out; undefined until `drop`. */
  #dropped: number | undefined = undefined;

  constructor(writable: Writable, refusesEmpty: boolean, owner: PieceOwner) {
    this.#writable = writable;
    this.#refusesEmpty = refusesEmpty || !writesToHost(writable); // code of the program would see it
    this.#owner = owner;
  }

  /** True if the host has not passed everything on. */
  get isSending(): boolean {
    return this.#underWay > 0;
  }

  /** True if the host has been given everything. */
  get isHandedOver(): boolean {
    return this.#queue === undefined;
  }

  /** Bytes that have not gone out, and still may. */
  get unsent(): number {
    return this.#dropped === undefined ? (this.#queue?.size ?? 0) + this.#underWay : 0;
  }

  /** Bytes that will never go out. */
  get dropped(): number {
    return this.#dropped ?? 0;
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
    if (this.#refusesEmpty) this.#send(copyOf(bytes));
    else if (!writeAtOnce(writable, bytes)) this.awaitHost(bytes.length);
  }

  /**
   * The host has not passed on the last `length` bytes that it was given: an empty piece behind
   * them tells when.
   */
  awaitHost(length: number): void {
    this.#send(EMPTY, length);
  }

  /** Nothing goes out any more: drops what the host has not been given. */
  drop(): void {
    this.#dropped ??= this.unsent;
    this.#queue = undefined;
  }

  /** A piece that ends in a callback; what the host has before it is then through as well. */
  #send(piece: Uint8Array, length: number = piece.length): void {
    this.#underWay = length;
    const sent = (error?: Error | null): void => {
      if (error || this.#dropped !== undefined) return; // "error" or "close" tells; or it was aborted
      this.#underWay = 0;
      if (this.#queue !== undefined) this.#sendNext(this.#queue);
      this.#owner.pieceWentOut();
    };
    try {
      this.#writable.write(piece, sent);
    } catch (error) {
      // <- a Transform of the program whose `transform` throws: Node lets that through, and the
      // stream would never answer again
      this.#writable.destroy(error as Error);
    }
  }

  #sendNext(queue: ChunkQueue): void {
    const piece = isSocket(this.#writable) ? queue.take(PIECE) : queue.shift(PIECE);
    if (queue.size === 0) this.#queue = undefined;
    this.#send(piece);
  }
}
