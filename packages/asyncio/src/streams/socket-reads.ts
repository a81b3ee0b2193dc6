/**
 * Reading a socket into memory that is always the same. Node allocates 64 KiB for each read of a
 * socket and copies what has come out of them; for a small message that costs as much as the
 * message (bench: echo). Its option `onread` avoids it, and is there for the sockets of clients
 * alone. This does the same to a socket that a server has accepted, with the fields that the option
 * sets. Where they are missing, as on Deno and Bun, bytes come as "data" as always.
 *
 * What fills the memory is copied like all else. To give the memory away instead saves the copy,
 * but then each busy socket needs memory of its own before it is read. With a thousand sockets that
 * is 64 MiB which the processor has not at hand and the collector has to follow, and it costs more
 * than the copies (bench: echo of 64 KiB, 1,000 at a time).
 */

import type { Readable } from "node:stream";
import { ignore } from "../kernel/settlers.ts";
import { copyOf } from "./node-quirks.ts";

/** As much as Node reads at once. */
const MOST = 65_536;

/** What Node has under symbols of its own: the memory, and who is told. */
const NAMES = ["kBuffer", "kBufferCb"] as const;

/** `count` bytes have come into `memory`. */
type Told = (this: object, count: number, memory: Uint8Array) => void;

interface Handle {
  useUserBuffer?(memory: Uint8Array): void;
}

/** One for all sockets: nothing comes between a read of the host and the call that tells of it. */
let memory: Uint8Array | undefined;
/** Undefined before the first socket was looked at; empty where this cannot be done. */
let symbols: readonly symbol[] | undefined;

function symbolsOf(socket: object): readonly symbol[] {
  if ("Deno" in globalThis || "Bun" in globalThis) return [];
  const all = Object.getOwnPropertySymbols(socket);
  const found = NAMES.map((name) => all.find(({ description }) => description === name));
  const areKnown = found.every((symbol) => symbol !== undefined);
  return areKnown ? (found as symbol[]) : []; // none is undefined
}

/**
 * From now on `told` is called with what comes, on the socket, instead of "data".
 * False if that cannot be done. It is done once; nothing undoes it.
 */
export function readIntoMemory(socket: Readable, told: Told): boolean {
  symbols ??= symbolsOf(socket);
  const [buffer, callback] = symbols;
  if (buffer === undefined || callback === undefined) return false;
  const fields = socket as unknown as Record<symbol, unknown> & { _handle?: Handle | null };
  const handle = fields._handle;
  const isFree = fields[buffer] === null;
  if (!isFree || typeof handle?.useUserBuffer !== "function") return false;
  memory ??= process.getBuiltinModule("node:buffer").Buffer.allocUnsafeSlow(MOST);
  handle.useUserBuffer(memory);
  fields[buffer] = memory;
  fields[callback] = told;
  return true;
}

/** What comes on the socket is told no more: other code reads it now, as TLS does. */
export function tellNoMore(socket: object): void {
  const callback = symbols?.[1];
  const fields = socket as Record<symbol, unknown>;
  if (callback !== undefined && typeof fields[callback] === "function") fields[callback] = ignore;
}

/** Bytes: no more are copied into memory that many share, since an array of its own costs more. */
export const FEW = 4096;
const SHARED = 8192;

let shared: ArrayBuffer | undefined;
let used = 0;
/** What was copied last: a view costs as much as a message, and most have the same length. */
let seen: Uint8Array | undefined;

/** The first `count` bytes of what `told` was called with: they are there until it returns. */
export function lookAt(count: number, from: Uint8Array): Uint8Array {
  if (seen?.length !== count || seen.buffer !== from.buffer)
    seen = new Uint8Array(from.buffer as ArrayBuffer, from.byteOffset, count);
  return seen;
}

/** A copy of them. */
export function takeOut(count: number, from: Uint8Array): Uint8Array {
  const bytes = lookAt(count, from);
  if (count > FEW) {
    const { buffer, byteOffset } = copyOf(bytes);
    return new Uint8Array(buffer, byteOffset, count);
  }
  if (shared === undefined || used + count > SHARED) shared = newShared();
  const copy = new Uint8Array(shared, used, count);
  copy.set(bytes);
  used += (count + 7) & ~7; // copying is faster from such places
  return copy;
}

let keepHere: ((buffer: ArrayBuffer) => void) | undefined;

function newShared(): ArrayBuffer {
  used = 0;
  const buffer = new ArrayBuffer(SHARED);
  // As Node does with its own: who sent one of the copies away would take the others along.
  keepHere ??= process.getBuiltinModule("node:worker_threads").markAsUntransferable;
  keepHere(buffer);
  return buffer;
}
