/**
 * A wire: two pipes between a pool and the thread of a worker process, past the main thread of that
 * process, which would cost every job two more turns of a loop. Jobs go over it, and the result of
 * a job that is alone. The rest goes by the main thread, which is never busy.
 *
 * A message is a frame: a mark, its length, and the value as the host writes it. The mark shows at
 * once that something else was written into the pipe; the code in a worker is code of others.
 */

import type { ChildProcess } from "node:child_process";
import type { Socket } from "node:net";
import { runInRoot } from "../ports/context-storage.ts";

/** Deno and Bun give a thread no descriptor: there, all goes by the main thread. */
export const hasWires: boolean = process.versions.bun === undefined && !("Deno" in globalThis);
/** What `fork` is told of them: they come after the channel to the main thread. */
export const wireStdio: readonly "pipe"[] = hasWires ? ["pipe", "pipe"] : [];
const JOBS_FD = 4;
const RESULTS_FD = 5;
const MARK = 0x65726977;
/** Of the mark and the length. */
const HEAD_BYTES = 8;
/** Bytes that are read at a time. */
const CHUNK_BYTES = 65_536;

/** The end of the pool. */
export class PoolWire {
  readonly #jobs: Socket;
  readonly #results: Socket;

  /** `broken` is called if what comes is no frame, `closed` when nothing comes any more. */
  constructor(
    child: ChildProcess,
    take: (message: unknown) => void,
    broken: () => void,
    closed: () => void,
  ) {
    const pipes: readonly unknown[] = child.stdio;
    [this.#jobs, this.#results] = [pipes[JOBS_FD] as Socket, pipes[RESULTS_FD] as Socket]; // see wireStdio
    const frames = new FrameReader(take, () => {
      this.#results.destroy();
      broken();
    });
    for (const pipe of [this.#jobs, this.#results]) pipe.on("error", () => {}); // told by its end
    this.#results.on("close", closed);
    this.#results.on("data", (chunk) => frames.push(chunk));
  }

  /** Throws if the host cannot copy it. */
  send(message: unknown): void {
    const frame = frameOf(message);
    if (this.#jobs.writable) this.#jobs.write(frame); // or it has gone, and that will be told
  }

  hold(isHeld: boolean): void {
    for (const pipe of [this.#jobs, this.#results]) {
      if (isHeld) pipe.ref();
      else pipe.unref();
    }
  }
}

/** The end of the thread. */
export class ThreadWire {
  /** `take` runs in a callback of the host, outside of every scope. */
  listen(take: (message: unknown) => void): void {
    const { Socket } = process.getBuiltinModule("node:net");
    const frames = new FrameReader(take, () => {
      throw new Error("code of a job has read from the pipe by which jobs come");
    });
    const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    const onread = {
      buffer,
      callback(size: number): boolean {
        frames.push(buffer.subarray(0, size));
        return true;
      },
    };
    const options = { fd: JOBS_FD, readable: true, writable: false, onread };
    const pipe = runInRoot(() => new Socket(options));
    pipe.on("error", () => {}); // the main thread hears of it, and ends this process
  }

  /** Sends in the call. False, and nothing was sent, if the host cannot copy or write it. */
  send(message: unknown): boolean {
    const { writeSync } = process.getBuiltinModule("node:fs");
    let written = 0;
    try {
      const frame = frameOf(message);
      while (written < frame.length) written += writeSync(RESULTS_FD, frame, written);
    } catch {
      return written > 0; // of a frame that was begun nobody is left to read the rest
    }
    return true;
  }
}

export function frameOf(message: unknown): Buffer {
  const { DefaultSerializer } = process.getBuiltinModule("node:v8");
  const serializer = new DefaultSerializer();
  serializer.writeRawBytes(Buffer.alloc(HEAD_BYTES));
  serializer.writeHeader();
  serializer.writeValue(message);
  const frame = serializer.releaseBuffer();
  frame.writeUInt32LE(MARK);
  frame.writeUInt32LE(frame.length - HEAD_BYTES, 4);
  return frame;
}

/** Takes frames out of what comes in pieces of any size. */
export class FrameReader {
  readonly #take: (message: unknown) => void;
  readonly #broken: () => void;
  #parts: Buffer[] = [];
  #length = 0;
  /** Bytes without which there is nothing to take. */
  #needed = HEAD_BYTES;

  constructor(take: (message: unknown) => void, broken: () => void) {
    this.#take = take;
    this.#broken = broken;
  }

  /** `chunk` may be used again then. After what is no frame nothing is taken. */
  push(chunk: Buffer): void {
    if (this.#length + chunk.length < this.#needed) {
      this.#keep(chunk);
      return;
    }
    let whole = chunk;
    if (this.#length > 0) whole = Buffer.concat([...this.#parts, chunk]);
    [this.#parts, this.#length, this.#needed] = [[], 0, HEAD_BYTES];
    let at = 0;
    while (whole.length - at >= HEAD_BYTES) {
      const end = at + HEAD_BYTES + whole.readUInt32LE(at + 4);
      const isMarked = whole.readUInt32LE(at) === MARK;
      if (isMarked && end > whole.length) {
        this.#needed = end - at;
        break;
      }
      const read = isMarked ? messageIn(whole, at + HEAD_BYTES, end) : undefined;
      if (read === undefined) {
        this.#needed = Number.POSITIVE_INFINITY;
        this.#broken();
        return;
      }
      at = end;
      this.#take(read.message);
    }
    if (at < whole.length) this.#keep(whole.subarray(at));
  }

  #keep(chunk: Buffer): void {
    if (this.#needed === Number.POSITIVE_INFINITY) return;
    this.#parts.push(Buffer.from(chunk));
    this.#length += chunk.length;
  }
}

/** Undefined if the host has not written it. */
function messageIn(bytes: Buffer, start: number, end: number): { message: unknown } | undefined {
  const { deserialize } = process.getBuiltinModule("node:v8");
  // A copy, for the arrays in a message are views of the bytes that it is read from.
  const own = Uint8Array.prototype.slice.call(bytes, start, end);
  try {
    return { message: deserialize(own) };
  } catch {
    return undefined;
  }
}
