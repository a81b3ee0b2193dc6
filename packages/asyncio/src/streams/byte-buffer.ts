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
const NEWLINE = 10;
const CARRIAGE_RETURN = 13;
/**
 * Bytes that are decoded together for short pieces of text that follow each other, as lines do: a
 * call of the decoder costs more than a line (bench: lines). No more, for a piece keeps all of it,
 * as a small Buffer of Node's keeps as much.
 */
const TOGETHER = 8192;
/** The same for lines after many others: as much as node:readline has together (bench: lines). */
const MOST_TOGETHER = 65_536;
/** Bytes: fewer may be one line, and no text is decoded of which nothing else may come. */
const SOME = 256;
/**
 * The same for short pieces, as the fields of a protocol are: after so many that came within SOME
 * bytes (bench: Redis-like). Fields are kept for longer than lines are, so a piece keeps less.
 */
const FEW_FIELDS = 3;
const FIELDS_TOGETHER = 1024;
/** Bytes that are not decoded together when those before them had no end of a line. */
const LONG = 4 * TOGETHER;
/** Bytes: a larger array is left to the collector. */
const MOST_SPARE = 262_144;

/** An array that a buffer had: to allocate one for each chunk costs more than to copy the chunk. */
let spare: Uint8Array | undefined;

function arrayFor(size: number): Uint8Array {
  const found = spare;
  if (found === undefined || found.length < size) return new Uint8Array(2 * size);
  spare = undefined;
  return found;
}

export class ByteBuffer {
  #bytes: Uint8Array = EMPTY;
  /** The bytes are those from `#start` to `#end`. */
  #start = 0;
  #end = 0;
  /** True if `#bytes` was made here: what lies behind `#end` is free. */
  #isOwn = false;
  /** True if a part of `#bytes` was given away. */
  #isShared = false;
  /** The text of the bytes of `#bytes` from `#textFrom` on, each of which is one character. */
  #text = "";
  #textFrom = 0;
  /** No piece of text that begins before it is decoded together with others: that was tried. */
  #triedTo = 0;
  #textDecoder: PieceDecoder | undefined = undefined;
  /** Bytes of lines that are decoded together next: more, the longer lines of ASCII are read. */
  #together = TOGETHER;
  /** How many short pieces have come close to each other, and where the first of them begins. */
  #nShort = 0;
  #shortFrom = 0;

  get length(): number {
    return this.#end - this.#start;
  }

  /** What is lent is copied in any case. */
  append(chunk: Uint8Array, isLent = false): void {
    const { length } = this;
    if (length === 0 && !isLent) {
      this.#forgetText();
      this.#bytes = chunk;
      this.#start = 0;
      this.#end = chunk.length;
      this.#isOwn = false;
      return;
    }
    if (!this.#isOwn || this.#end + chunk.length > this.#bytes.length)
      this.#makeRoom(length + chunk.length);
    this.#bytes.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /** Moves the bytes to the front of an array of ours that has room for `size`. */
  #makeRoom(size: number): void {
    const { length } = this;
    // Its own array again if that is large enough, and no part of it was given away: lines as text
    // are copies (bench: lines).
    const isReused = this.#isOwn && !this.#isShared && size <= this.#bytes.length;
    if (isReused) this.#bytes.copyWithin(0, this.#start, this.#end);
    else {
      const grown = arrayFor(size);
      grown.set(this.#bytes.subarray(this.#start, this.#end));
      this.#recycle();
      this.#bytes = grown;
      this.#isOwn = true;
      this.#isShared = false;
    }
    this.#forgetText();
    this.#start = 0;
    this.#end = length;
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
    const isSmall = (to - from) * MOST_KEPT < this.#bytes.length;
    if (isSmall) return this.#bytes.slice(start, end);
    this.#isShared = true;
    return this.#bytes.subarray(start, end);
  }

  /** The text of the bytes from `from` to `to`, which stay. */
  text(from: number, to: number, pieceDecoder: PieceDecoder): string {
    const start = this.#start + from;
    const end = this.#start + to;
    const isSame = pieceDecoder === this.#textDecoder;
    const isThere = isSame && start >= this.#textFrom && end <= this.#textFrom + this.#text.length;
    if (isThere || this.#isDecodedWithMore(start, end, pieceDecoder))
      return this.#text.slice(start - this.#textFrom, end - this.#textFrom);
    const isShort = pieceDecoder.isAscii && end - start <= SHORT;
    return (
      (isShort ? this.#asciiText(start, end) : undefined) ??
      pieceDecoder.decoder.decode(this.#bytes.subarray(start, end))
    );
  }

  /** A tenth of what a call of the decoder costs. Undefined if there is more than ASCII. */
  #asciiText(start: number, end: number): string | undefined {
    let text = "";
    for (let at = start; at < end; at++) {
      const byte = this.#bytes[at] as number; // it is there
      if (byte > LAST_ASCII) return undefined;
      text += String.fromCharCode(byte);
    }
    return text;
  }

  /**
   * Tries to make `#text` that of the bytes from `start` on, once for each; false if it does not
   * have them to `end`. Short pieces have to come close to each other: what is between them is
   * decoded, too.
   */
  #isDecodedWithMore(start: number, end: number, pieceDecoder: PieceDecoder): boolean {
    const isTried = pieceDecoder === this.#textDecoder && start < this.#triedTo;
    if (isTried || !pieceDecoder.isAscii) return false;
    const length = end - start;
    if (length > SHORT) {
      const until = Math.min(start + TOGETHER, this.#end);
      if (until - start < 2 * length) return false;
      this.#decodeFrom(start, until, pieceDecoder);
    } else {
      const until = Math.min(start + FIELDS_TOGETHER, this.#end);
      if (until - start < SOME || !this.#areDense(start, end)) return false;
      this.#decodeFrom(start, until, pieceDecoder);
    }
    return this.#text.length >= length;
  }

  /** Whether the last short pieces have come close to each other. */
  #areDense(start: number, end: number): boolean {
    const isNear = this.#nShort > 0 && end - this.#shortFrom <= SOME;
    if (!isNear) {
      this.#nShort = 0;
      this.#shortFrom = start;
    }
    return ++this.#nShort > FEW_FIELDS;
  }

  /**
   * Where the next "\n" is at or after `from`, if it is near, or in text that is decoded already.
   * -1 says nothing.
   */
  nearNewline(from: number, pieceDecoder: PieceDecoder): number {
    const bytes = this.#bytes;
    let at = this.#start + from;
    for (const near = Math.min(at + SHORT, this.#end); at < near; at++)
      if (bytes[at] === NEWLINE) return at - this.#start;
    if (pieceDecoder !== this.#textDecoder || at < this.#textFrom) return -1;
    const found = this.#text.indexOf("\n", at - this.#textFrom);
    return found === -1 ? -1 : found + this.#textFrom - this.#start;
  }

  /**
   * Takes a line, of at most `limit` bytes before its "\n", as text without "\n" or "\r\n". It
   * looks into text that is decoded already, or decodes some: to look for the "\n" there costs less
   * than among bytes (bench: lines). Undefined, and nothing is taken, where that finds no line.
   */
  takeLine(limit: number, pieceDecoder: PieceDecoder): string | undefined {
    const from = this.#start - this.#textFrom;
    // Below 0 if a parser has read text further on, and has taken nothing.
    const isThere = pieceDecoder === this.#textDecoder && from >= 0;
    let end = isThere ? this.#text.indexOf("\n", from) : -1;
    if (end === -1) end = this.#newlineInMore(pieceDecoder);
    const start = this.#start - this.#textFrom;
    if (end === -1 || end - start > limit) return undefined;
    const text = this.#text;
    const isLonger = end > start && text.charCodeAt(end - 1) === CARRIAGE_RETURN;
    const line = text.slice(start, isLonger ? end - 1 : end);
    this.drop(end + 1 - start);
    return line;
  }

  /** Where the next "\n" is in the text that is decoded here; -1 without one. */
  #newlineInMore(pieceDecoder: PieceDecoder): number {
    if (this.length < SOME || !this.#decodeTogether(pieceDecoder)) return -1;
    const end = this.#text.indexOf("\n");
    if (end === -1 && this.#text.length === this.#together) {
      this.#text = ""; // such lines do not get faster by it
      this.#together = TOGETHER;
      this.#triedTo = this.#start + LONG;
    }
    return end;
  }

  /** Makes `#text` that of the next bytes; false if each of them is not one character. */
  #decodeTogether(pieceDecoder: PieceDecoder): boolean {
    const start = this.#start;
    const isSame = pieceDecoder === this.#textDecoder;
    const isNext = this.#text !== "" && start > this.#textFrom; // there were lines
    const isTried = isSame && start < this.#triedTo && !isNext;
    if (isTried || !pieceDecoder.isAscii) return false;
    // Two that take turns decode the same bytes with each line, so they decode little.
    if (this.#textDecoder !== undefined && !isSame) this.#together = TOGETHER;
    else if (isNext && this.#together < MOST_TOGETHER) this.#together *= 2;
    this.#decodeFrom(start, Math.min(start + this.#together, this.#end), pieceDecoder);
    if (this.#text === "" && this.#together > TOGETHER) {
      // One character of several bytes spoils all of it, and may be the only one for a long time.
      this.#together = TOGETHER;
      this.#decodeFrom(start, Math.min(start + TOGETHER, this.#end), pieceDecoder);
    }
    return this.#text !== "";
  }

  #decodeFrom(start: number, until: number, pieceDecoder: PieceDecoder): void {
    const text = pieceDecoder.decoder.decode(this.#bytes.subarray(start, until));
    this.#textDecoder = pieceDecoder;
    this.#triedTo = until;
    this.#textFrom = start;
    // As many characters as bytes: then each byte is one, and both can be cut at the same places.
    this.#text = text.length === until - start ? text : "";
  }

  /** Leaves `#bytes` to the next buffer that needs as much, if nobody else has a part of it. */
  #recycle(): void {
    const { length } = this.#bytes;
    if (this.#isOwn && !this.#isShared && length <= MOST_SPARE) spare = this.#bytes;
  }

  #forgetText(): void {
    this.#text = "";
    this.#triedTo = 0;
    this.#textDecoder = undefined;
    this.#nShort = 0;
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
    this.#forgetText();
    this.#recycle();
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
