/** Both directions of a connection in one value, whatever it runs on. */

import type { ByteStream } from "./network.ts";
import { type ReaderOptions, StreamReader } from "./reader.ts";
import { StreamWriter, type WriterOptions } from "./writer.ts";

type ReaderAndWriter = readonly [reader: StreamReader, writer: StreamWriter];

/**
 * Both directions of a connection: `const [reader, writer] = ...`, or by name. `await using` closes
 * it.
 */
export interface Connection extends ReaderAndWriter, AsyncDisposable {
  /** What comes from the peer. */
  readonly reader: StreamReader;
  /** What goes to the peer. */
  readonly writer: StreamWriter;
}

/** A reader and a writer of `stream`, which is aborted if the options are wrong. */
export function connectionOf(
  stream: ByteStream,
  options: ReaderOptions & WriterOptions = {},
): Connection {
  const { limit, highWaterMark, lowWaterMark } = options;
  let reader: StreamReader;
  let writer: StreamWriter;
  try {
    reader = new StreamReader(stream, { limit });
    writer = new StreamWriter(stream, { highWaterMark, lowWaterMark }, reader);
  } catch (error) {
    stream.abort();
    throw error;
  }
  const connection = [reader, writer];
  // Not enumerable: it is an array of two.
  Object.defineProperties(connection, {
    reader: { value: reader },
    writer: { value: writer },
    [Symbol.asyncDispose]: { value: () => writer[Symbol.asyncDispose]() },
  });
  return connection as unknown as Connection; // it has just become one
}
