/**
 * Readers and writers over streams that are not ours: streams of the web platform, Node's streams,
 * iterables. The way back is in to-foreign.ts. Nothing is read ahead of the reader, except by
 * Node's streams, which do that themselves.
 */

// biome-ignore lint/suspicious/noTsIgnore: the declarations keep it, and must compile also without the types of Node
/** @ts-ignore */
import type { Duplex, Readable, Writable } from "node:stream";
import { advice, argumentError, checkOptions } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { ChunkSource } from "./chunk-source.ts";
import { type Connection, connectionOf } from "./connection.ts";
import { isBytes } from "./encode.ts";
import { ForeignStream, type ForeignStreamOptions, type Sink } from "./foreign-stream.ts";
import { isAdapted } from "./node-listeners.ts";
import { destroyed } from "./node-quirks.ts";
import type { NodeStreamSource } from "./node-source.ts";
import { NodeStream } from "./node-stream.ts";
import { READER, type ReaderOptions, StreamReader } from "./reader.ts";
import { StreamWriter, WRITER, type WriterOptions } from "./writer.ts";

/** What is read of a ReadableStream. */
interface WebReader {
  read(): Promise<{ readonly done: boolean; readonly value?: unknown }>;
  cancel(reason?: unknown): Promise<void>;
  releaseLock(): void;
}

/** A ReadableStream, by what is used of it: there are several types of that name. */
export interface WebReadable {
  /** True while somebody has a reader of it. */
  readonly locked: boolean;
  /** Locks the stream, and gives what reads it. */
  getReader(): WebReader;
}

interface WebWriter {
  readonly ready: Promise<unknown>;
  readonly closed: Promise<unknown>;
  write(chunk: Uint8Array): Promise<void>;
  close(): Promise<void>;
  abort(reason?: unknown): Promise<void>;
  releaseLock(): void;
}

/** A WritableStream, by what is used of it. */
export interface WebWritable {
  /** True while somebody has a writer of it. */
  readonly locked: boolean;
  /** Locks the stream, and gives what writes to it. */
  getWriter(): WebWriter;
}

/** Bytes, or text, which is UTF-8. */
export type Chunk = Uint8Array | string;

/** What `readerFrom` reads. */
export type ReadSource = Chunk | WebReadable | Readable | AsyncIterable<Chunk> | Iterable<Chunk>;

/** What `writerFrom` writes to. */
export type WriteTarget = WebWritable | Writable;

/** What `connectionFrom` takes: something for each direction, or Node's Duplex for both. */
export type ConnectionSource =
  | Duplex
  | { readonly readable: WebReadable; readonly writable: WebWritable };

const READ_SOURCES =
  "a ReadableStream, a Readable of Node, an iterable of bytes and text, or bytes or text";

/**
 * A reader of bytes that come from elsewhere: a ReadableStream (the body of a fetch), a Readable of
 * Node, anything that can be iterated, or bytes and text as they are. It locks the stream. An error
 * of the source comes when everything before it has been read. Close the reader when you do not
 * read to the end: that cancels, ends or destroys the source. Who waits for the end of the source
 * waits 5 s at most for its answer; one that does not answer is left behind, and reported.
 *
 * @example
 * const response = new Response("first\r\nsecond\n");
 * await using reader = asyncio.readerFrom(response.body ?? "");
 * const lines: string[] = [];
 * for await (const line of reader.lines()) lines.push(line);
 * assert.deepEqual(lines, ["first", "second"]);
 */
export function readerFrom(source: ReadSource, options: ReaderOptions = {}): StreamReader {
  const api = "`readerFrom`";
  checkOptions(api, options, READER);
  if (typeof source === "string" || isBytes(source))
    return readerOf(new ForeignStream(fromIterable(api, [source])), options);
  if (typeof source !== "object" || source === null) throw argumentError(api, READ_SOURCES, source);
  if (isWebReadable(source)) {
    checkUnlocked(api, source);
    return readerOf(new ForeignStream(fromWeb(api, source)), options);
  }
  if (isNodeReadable(source)) {
    if (!isOfBytes(source)) return readerOf(new ForeignStream(fromReadable(api, source)), options);
    checkNode(api, source);
    checkReadable(api, source);
    return readerOf(new NodeStream(nodeSource("a Readable", source, undefined)), options);
  }
  if (!isIterable(source)) throw argumentError(api, READ_SOURCES, source);
  return readerOf(new ForeignStream(fromIterable(api, source)), options);
}

/**
 * A writer to a WritableStream, or a Writable of Node. It locks the stream. Closing the writer ends
 * it, after all that was written; `abort` aborts or destroys it. When the stream fails, the writer
 * has lost its connection. The standard output of the process, and that for errors, are not ended:
 * closing waits until all has left.
 *
 * @example
 * const { readable, writable } = new CompressionStream("gzip");
 * const writer = asyncio.writerFrom(writable);
 * writer.write("hello");
 * writer.close();
 * const reader = asyncio.readerFrom(readable.pipeThrough(new DecompressionStream("gzip")));
 * assert.equal(new TextDecoder().decode(await reader.read()), "hello");
 */
export function writerFrom(target: WriteTarget, options: WriterOptions = {}): StreamWriter {
  const api = "`writerFrom`";
  checkOptions(api, options, WRITER);
  if (isWebWritable(target)) {
    checkUnlocked(api, target);
    return writerOf(new ForeignStream(toWeb(target)), options);
  }
  if (!isNodeWritable(target))
    throw argumentError(api, "a WritableStream or a Writable of Node", target);
  checkNode(api, target);
  checkWritable(api, target);
  return writerOf(new NodeStream(nodeSource("a Writable", undefined, target)), options);
}

const BOTH_WAYS = "a Duplex of Node, or `{ readable, writable }` of web streams";
const BOTH: Names<ReaderOptions & WriterOptions> = { ...READER, ...WRITER };

/**
 * A reader and a writer of something that goes both ways: a Duplex of Node, or a `{ readable,
 * writable }` of the web platform. Otherwise as `readerFrom` and `writerFrom`; closing the writer
 * closes both ways.
 *
 * @example
 * const { PassThrough } = await import("node:stream");
 * const [reader, writer] = asyncio.connectionFrom(new PassThrough());
 * writer.write("there and back\n");
 * assert.equal(new TextDecoder().decode(await reader.readLine()), "there and back\n");
 * writer.close();
 */
export function connectionFrom(
  source: ConnectionSource,
  options: ReaderOptions & WriterOptions = {},
): Connection {
  const api = "`connectionFrom`";
  checkOptions(api, options, BOTH);
  if (isNodeReadable(source) && isNodeWritable(source)) {
    if (!isOfBytes(source)) throw argumentError(api, "a Duplex of bytes", source);
    checkNode(api, source);
    checkReadable(api, source);
    checkWritable(api, source);
    return connectionOf(new NodeStream(nodeSource("a Duplex", source, source)), options);
  }
  const { readable, writable } = (source ?? {}) as { readable?: unknown; writable?: unknown };
  if (!isWebReadable(readable) || !isWebWritable(writable)) {
    const cure = [source, readable, writable].some(goesOneWay)
      ? advice("What goes one way, as `process.stdin`, wants `readerFrom` or `writerFrom`")
      : "";
    throw argumentError(api, BOTH_WAYS, source, cure);
  }
  checkUnlocked(api, readable);
  checkUnlocked(api, writable);
  const name = "a pair of web streams";
  const stream = new ForeignStream({ ...fromWeb(api, readable), ...toWeb(writable), name });
  return connectionOf(stream, options);
}

function readerOf(stream: NodeStream | ForeignStream, options: ReaderOptions): StreamReader {
  try {
    return new StreamReader(stream, options);
  } catch (error) {
    stream.abort(); // wrong options
    throw error;
  }
}

function writerOf(stream: NodeStream | ForeignStream, options: WriterOptions): StreamWriter {
  try {
    return new StreamWriter(stream, options);
  } catch (error) {
    stream.abort(); // wrong options
    throw error;
  }
}

// --- the web platform

function checkUnlocked(api: string, stream: WebReadable | WebWritable): void {
  const kind = isWebReadable(stream) ? "ReadableStream" : "WritableStream";
  if (stream.locked)
    throw argumentError(
      api,
      `a ${kind} that is not locked`,
      stream,
      advice("Release its lock first"),
    );
}

/** The platform cancels the source of both halves when both are, and answers the first then. */
const HALF = ". A half of `tee()` answers when the other half has ended, or is closed as well";

function fromWeb(api: string, stream: WebReadable): ForeignStreamOptions {
  const reader = stream.getReader();
  const source = new ChunkSource(api, {
    next: () => reader.read(),
    cancel: () => reader.cancel(),
    release: () => reader.releaseLock(),
  });
  return { name: "a ReadableStream", whySilent: HALF, source };
}

function toWeb(stream: WebWritable): ForeignStreamOptions {
  const writer = stream.getWriter();
  const release = (): void => writer.releaseLock();
  const sink: Sink = {
    async push(chunk) {
      await writer.ready;
      await writer.write(chunk);
    },
    async end() {
      await writer.close();
      release();
    },
    async abort(reason) {
      await writer.abort(reason);
      release();
    },
    failed: writer.closed.catch((error) => {
      release();
      throw error;
    }),
  };
  return { name: "a WritableStream", sink };
}

function fromIterable(
  api: string,
  iterable: AsyncIterable<unknown> | Iterable<unknown>,
): ForeignStreamOptions {
  const iterator =
    Symbol.asyncIterator in iterable
      ? iterable[Symbol.asyncIterator]()
      : iterable[Symbol.iterator]();
  const source = new ChunkSource(api, {
    next: async () => iterator.next(),
    cancel: async () => iterator.return?.(),
  });
  return { name: "an iterable", source };
}

/** Text, or objects: what is read of it is what its iterator gives. */
function fromReadable(api: string, stream: Readable): ForeignStreamOptions {
  const iterator = stream[Symbol.asyncIterator]();
  let isCancelled = false;
  const source = new ChunkSource(api, {
    async next() {
      try {
        return await iterator.next();
      } catch (error) {
        if (isCancelled) return { done: true }; // that it was destroyed is no failure
        throw error;
      }
    },
    cancel() {
      isCancelled = true;
      return destroyed(stream); // the iterator's own `return` would wait for a chunk that may never come
    },
  });
  return { name: "a Readable of Node", source };
}

// --- which is which

function isObject(value: unknown): value is Record<PropertyKey, unknown> {
  return typeof value === "object" && value !== null;
}

function hasMethods(value: unknown, ...names: readonly PropertyKey[]): boolean {
  return isObject(value) && names.every((name) => typeof value[name] === "function");
}

function isWebReadable(value: unknown): value is WebReadable {
  return hasMethods(value, "getReader");
}

function isWebWritable(value: unknown): value is WebWritable {
  return hasMethods(value, "getWriter");
}

function isNodeReadable(value: unknown): value is Readable {
  return hasMethods(value, "on", "read", "pipe");
}

function isNodeWritable(value: unknown): value is Writable {
  return hasMethods(value, "on", "write", "end");
}

function goesOneWay(stream: unknown): boolean {
  const isOfNode = isNodeReadable(stream) || isNodeWritable(stream);
  return isOfNode || isWebReadable(stream) || isWebWritable(stream);
}

/** Streams of text and of objects are read by iterating. */
function isOfBytes(stream: Readable): boolean {
  return !stream.readableObjectMode && (stream.readableEncoding ?? null) === null;
}

function isIterable(value: unknown): value is AsyncIterable<unknown> | Iterable<unknown> {
  return hasMethods(value, Symbol.asyncIterator) || hasMethods(value, Symbol.iterator);
}

function nodeSource(
  kind: string,
  readable: Readable | undefined,
  writable: Writable | undefined,
): NodeStreamSource {
  const isKept = writable !== undefined && isOutput(writable);
  return { readable, writable, isForeign: true, isKept, describe: () => `${kind} of Node` };
}

/**
 * The process has one of each, and others write to it too: ended, it would drop what they write.
 */
function isOutput(stream: Writable & { readonly fd?: unknown }): boolean {
  const { fd } = stream;
  return (fd === 1 && stream === process.stdout) || (fd === 2 && stream === process.stderr);
}

function checkNode(api: string, stream: Readable | Writable): void {
  if (isAdapted(stream)) {
    const cure = advice("Use one reader and one writer, by `connectionFrom`");
    throw argumentError(api, "a stream without a reader or writer of this library", stream, cure);
  }
  const hasEnded = "readableEnded" in stream && stream.readableEnded;
  if (stream.destroyed && !hasEnded)
    throw argumentError(api, "a stream that is not destroyed", stream);
}

/** Node gives bytes in one way only: to listeners for "readable". */
function checkReadable(api: string, stream: Readable): void {
  if (stream.listenerCount("readable") === 0) return;
  const cure = advice("Remove it first");
  throw argumentError(api, 'a stream without a listener for "readable"', stream, cure);
}

/** Node silently drops what is written to one of the others. */
function checkWritable(api: string, stream: Writable): void {
  if (stream.destroyed || stream.writableEnded)
    throw argumentError(api, "a stream that was not ended or destroyed", stream);
}
