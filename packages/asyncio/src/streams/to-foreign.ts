/**
 * Readers and writers as streams of the web platform and of Node, for `fetch`, `Response`,
 * `pipeline` and the like. The way back is in from-foreign.ts.
 *
 * Such a stream is used by foreign code, in a context of its own. So what the stream does runs in a
 * scope that belongs to no task: the stream may outlive the task that made it, as the body of a
 * response does, and lives until it has ended, has failed or is cancelled.
 */

// biome-ignore lint/suspicious/noTsIgnore: the declarations keep it, and must compile also without the types of Node
/** @ts-ignore */
import type { Duplex, Readable, Writable } from "node:stream";
import { argumentError } from "../errors/errors.ts";
import { runInScope } from "../kernel/context.ts";
import { here } from "../kernel/operation.ts";
import { Scope } from "../kernel/scope.ts";
import { StreamReader } from "./reader.ts";
import { StreamWriter } from "./writer.ts";

/** A connection, or a reader and a writer that make one. */
export interface TwoWay {
  /** What is read from. */
  readonly reader: StreamReader;
  /** What is written to. */
  readonly writer: StreamWriter;
}

/** The two web streams of a connection. */
export interface WebPair {
  /** What comes from the peer. */
  readonly readable: ReadableStream<Uint8Array>;
  /** What goes to the peer. */
  readonly writable: WritableStream<Uint8Array | string>;
}

/** Bytes that are read at a time, at most. */
const CHUNK = 65_536;

/**
 * A `reader` as a ReadableStream of bytes, a `writer` as a WritableStream of bytes and text, a
 * `connection` as a pair of them. Reads when the stream is read, and not ahead of it. Cancelling
 * the ReadableStream closes the reader, and so the whole connection. Closing the WritableStream
 * ends the writing side: close the connection yourself; aborting it aborts the connection at once,
 * also while a write or the end waits.
 *
 * @example
 * const [client, server] = asyncio.connectionPair();
 * server.writer.write("an answer");
 * server.writer.close();
 * assert.equal(await new Response(asyncio.toWebStream(client.reader)).text(), "an answer");
 * client.writer.close();
 */
export function toWebStream(reader: StreamReader): ReadableStream<Uint8Array>;
export function toWebStream(writer: StreamWriter): WritableStream<Uint8Array | string>;
export function toWebStream(connection: TwoWay): WebPair;
export function toWebStream(
  of: StreamReader | StreamWriter | TwoWay,
): ReadableStream<Uint8Array> | WritableStream<Uint8Array | string> | WebPair {
  const inside = scopeOf("`toWebStream`", of);
  if (of instanceof StreamReader) return webReadable(of, inside);
  if (of instanceof StreamWriter) return webWritable(of, inside);
  return { readable: webReadable(of.reader, inside), writable: webWritable(of.writer, inside) };
}

/**
 * A `reader` as a Readable of Node, a `writer` as a Writable, a `connection` as a Duplex.
 * Destroying a Readable closes the reader, and so the whole connection, unless it has been read to
 * its end. Ending a Writable ends the writing side: close the connection yourself; destroying it
 * aborts the connection. A Duplex closes it when both sides have ended; destroying it does as well
 * once the writing side has ended, and aborts before.
 *
 * @example
 * const { pipeline } = await import("node:stream/promises");
 * const { createGzip, createGunzip } = await import("node:zlib");
 * const [client, server] = asyncio.connectionPair();
 * client.writer.write("hello");
 * client.writer.writeEof();
 * const from = asyncio.toNodeStream(server.reader);
 * await pipeline(from, createGzip(), createGunzip(), asyncio.toNodeStream(server.writer));
 * assert.equal(new TextDecoder().decode(await client.reader.read()), "hello");
 * client.writer.close();
 * server.writer.close();
 */
export function toNodeStream(reader: StreamReader): Readable;
export function toNodeStream(writer: StreamWriter): Writable;
export function toNodeStream(connection: TwoWay): Duplex;
export function toNodeStream(
  of: StreamReader | StreamWriter | TwoWay,
): Readable | Writable | Duplex {
  const inside = scopeOf("`toNodeStream`", of);
  const { Readable, Writable, Duplex } = process.getBuiltinModule("node:stream");
  if (of instanceof StreamReader)
    return new Readable({ ...readableMethods(of, inside), highWaterMark: 0 });
  if (of instanceof StreamWriter) return new Writable(writableMethods(of, inside));
  const { reader, writer } = of;
  return new Duplex({
    ...readableMethods(reader, inside),
    ...writableMethods(writer, inside),
    readableHighWaterMark: 0,
    destroy(this: Duplex, error, callback) {
      // What was written but not finished would end as if it were the whole.
      if (error === null && this.writableFinished) writer.close();
      else writer.abort();
      callback(error);
    },
  });
}

/** Calls `body` in a scope that belongs to no task. */
type Inside = <T>(body: () => Promise<T>) => Promise<T>;

function scopeOf(api: string, of: unknown): Inside {
  const { reader, writer } = (of ?? {}) as Partial<TwoWay>;
  const isOne = of instanceof StreamReader || of instanceof StreamWriter;
  if (!isOne && !(reader instanceof StreamReader && writer instanceof StreamWriter))
    throw argumentError(api, "a StreamReader, a StreamWriter or a connection", of);
  const { loop, context } = here();
  const scope = new Scope(loop, { label: "a stream of the host", context });
  return (body) => runInScope(scope, body, undefined);
}

/** Ends the writing side, if that can be ended alone. */
async function end(writer: StreamWriter): Promise<void> {
  if (writer.canWriteEof()) writer.writeEof();
  else writer.close();
  await writer.drain();
}

/** jsdom, as Jest has it, hides the classes of the host. */
const webStreams = (): Pick<typeof globalThis, "ReadableStream" | "WritableStream"> =>
  globalThis.ReadableStream === undefined
    ? (process.getBuiltinModule("node:stream/web") as unknown as typeof globalThis)
    : globalThis;

function webReadable(reader: StreamReader, inside: Inside): ReadableStream<Uint8Array> {
  const { ReadableStream } = webStreams();
  let isCancelled = false;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const chunk = await inside(() => reader.read(CHUNK));
        if (isCancelled) return;
        if (chunk.length === 0) controller.close();
        else controller.enqueue(chunk);
      },
      cancel() {
        isCancelled = true;
        reader.close();
      },
    },
    { highWaterMark: 0 },
  );
}

function webWritable(writer: StreamWriter, inside: Inside): WritableStream<Uint8Array | string> {
  const { WritableStream } = webStreams();
  return new WritableStream<Uint8Array | string>({
    start(controller) {
      // `abort` below is called when the write that is under way has come back, and that may wait
      // for a peer who never reads.
      const { signal } = controller as { readonly signal?: AbortSignal };
      signal?.addEventListener("abort", () => writer.abort());
    },
    async write(chunk) {
      try {
        await inside(async () => await writer.write(chunk));
      } catch (error) {
        writer.abort(); // there will be no more writes: the peer must not take that for the end
        throw error;
      }
    },
    close: () => inside(() => end(writer)),
    abort: () => writer.abort(),
  });
}

function readableMethods(reader: StreamReader, inside: Inside) {
  return {
    read(this: Readable): void {
      inside(() => reader.read(CHUNK)).then(
        (chunk) => void this.push(chunk.length === 0 ? null : chunk),
        (error) => void this.destroy(error),
      );
    },
    destroy(this: Readable, error: Error | null, callback: (error: Error | null) => void): void {
      if (!this.readableEnded) reader.close();
      callback(error);
    },
  };
}

function writableMethods(writer: StreamWriter, inside: Inside) {
  type Callback = (error?: Error | null) => void;
  return {
    write(chunk: Uint8Array, _encoding: string, callback: Callback): void {
      inside(async () => await writer.write(chunk)).then(() => callback(), callback);
    },
    final(callback: Callback): void {
      inside(() => end(writer)).then(() => callback(), callback);
    },
    destroy(this: Writable, error: Error | null, callback: Callback): void {
      if (!this.writableFinished) writer.abort();
      callback(error);
    },
  };
}
