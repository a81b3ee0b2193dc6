/**
 * Listening to Node's streams. The listeners are the same for all of them, since idle connections
 * are many: they find whom to tell under a symbol on the stream.
 */

import type { Readable, Writable } from "node:stream";
import { realHost } from "../kernel/host.ts";
import { ignore } from "../kernel/settlers.ts";
import { hostError } from "./network.ts";
import { afterDestroy, isSilent, writtenUnderTls } from "./node-quirks.ts";
import { FEW, lookAt, readIntoMemory, takeOut, tellNoMore } from "./socket-reads.ts";

const OWNER: unique symbol = Symbol("asyncio-ts stream");

/** What is told. A stream has one owner. */
export interface StreamOwner {
  /** What is lent is overwritten after the call. */
  dataArrived(bytes: Uint8Array, isLent?: boolean): void;
  /** Whether it copies now what it is lent. */
  readonly copies: boolean;
  endArrived(): void;
  hostFailed(error: Error): void;
  hostClosed(): void;
}

/** How often, in turns of the host, TLS is asked whether it has written what it has left. */
const LOOKS = 3;
/** On a stream whose end was not told yet. */
const ENDING: unique symbol = Symbol("asyncio-ts end");

interface Owned {
  [OWNER]?: StreamOwner;
  [ENDING]?: boolean;
}

function onData(this: Owned, chunk: Uint8Array): void {
  // Plain bytes: `slice` of a Buffer would not copy, and its text would look different from that of
  // other streams.
  const { buffer, byteOffset, length } = chunk;
  this[OWNER]?.dataArrived(new Uint8Array(buffer as ArrayBuffer, byteOffset, length));
}
function onEnd(this: Owned & Readable): void {
  this[ENDING] = true;
  tellEndUnlessReset(this, 0, undefined);
}
/** Tells at once, unless TLS has bytes left: these leave within a turn of the host, or never. */
function tellEndUnlessReset(stream: Owned & Readable, looks: number, before?: number): void {
  const written = writtenUnderTls(stream);
  if (written === undefined || (looks > 0 && written !== before)) tellEnd(stream);
  else if (looks < LOOKS) realHost.macrotask(() => tellEndUnlessReset(stream, looks + 1, written));
  else if (stream[ENDING] === true) {
    stream[ENDING] = false;
    stream.destroy(hostError("ECONNRESET", "read"));
  }
}
function tellEnd(stream: Owned): void {
  if (stream[ENDING] !== true) return;
  stream[ENDING] = false;
  stream[OWNER]?.endArrived();
}
function onError(this: Owned, error: Error): void {
  this[OWNER]?.hostFailed(error);
}
function onClose(this: Owned): void {
  tellEnd(this);
  this[OWNER]?.hostClosed();
}

/** Tells `owner` of errors and of the end, also of a stream that emits no "close". */
export function own(stream: Readable | Writable, owner: StreamOwner): void {
  (stream as Owned)[OWNER] = owner;
  stream.on("error", onError);
  stream.on("close", onClose);
  if (stream.closed || !isSilent(stream)) return;
  afterDestroy(stream, () => {
    stream.off("close", onClose);
    onClose.call(stream as Owned);
  });
}

/** Tells `owner` of all that comes, too. The stream is paused. */
export function ownReadable(readable: Readable, owner: StreamOwner): void {
  // Before other code makes it flow, as Node does with the output of a child that has ended.
  readable.pause();
  readable.on("data", onData);
  readable.on("end", onEnd);
  own(readable, owner);
}

function onRead(this: Owned, count: number, memory: Uint8Array): void {
  const owner = this[OWNER];
  const isLent = count > FEW && owner?.copies === true;
  owner?.dataArrived(isLent ? lookAt(count, memory) : takeOut(count, memory), isLent);
}

/**
 * What comes on a socket that no other code listens to is told without "data", where that can be
 * done: so it costs less.
 */
export function listenBelow(socket: Readable): void {
  readIntoMemory(socket, onRead as (this: object, count: number, memory: Uint8Array) => void); // it is owned
}

/** Other code may use the stream again. */
export function disown(stream: Readable | Writable): void {
  stream.off("error", onError);
  stream.off("close", onClose);
  delete (stream as Owned)[OWNER];
}

/** Tells of the end alone: other code reads the stream now, and hears its errors. */
export function listenToCloseOnly(readable: Readable): void {
  readable.pause();
  readable.off("data", onData);
  tellNoMore(readable);
  readable.off("end", onEnd);
  readable.off("error", onError);
  readable.on("error", ignore);
}

/** After that nothing is told any more. */
export function stopListeningToClose(readable: Readable): void {
  readable.off("close", onClose);
}

/** Whether it has an owner already: there can be one. */
export function isAdapted(stream: object): boolean {
  return (stream as Owned)[OWNER] !== undefined;
}
