/** Both directions of a connection in one value, whatever it runs on. */

import type { ByteStream } from "./network.ts";
import { type ReaderOptions, StreamReader } from "./reader.ts";
import { checkLimit } from "./separators.ts";
import { StreamWriter, type WriterOptions, waterMarks } from "./writer.ts";

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

/**
 * What a connection has beyond an array of two. It stands here, and not in each of them: idle
 * connections are many.
 */
const connectionPrototype: object = /* @__PURE__ */ Object.create(Array.prototype, {
  reader: {
    get(this: ReaderAndWriter): StreamReader {
      return this[0];
    },
  },
  writer: {
    get(this: ReaderAndWriter): StreamWriter {
      return this[1];
    },
  },
  [Symbol.asyncDispose]: {
    value(this: ReaderAndWriter): Promise<void> {
      return this[1][Symbol.asyncDispose]();
    },
  },
});

/** That of the streams of both networks. */
const HIGH_WATER_MARK = 65_536;

/**
 * For calls that take them before there is a connection. @throws TypeError, RangeError in the name
 * of `api`.
 */
export function checkStreamOptions(api: string, options: ReaderOptions & WriterOptions): void {
  waterMarks(api, options, HIGH_WATER_MARK);
  if (options.limit !== undefined) checkLimit(api, options.limit);
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
  const connection: unknown = Object.setPrototypeOf([reader, writer], connectionPrototype);
  return connection as Connection; // it has just become one
}
