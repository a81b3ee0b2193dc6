// Compiled, never run: each statement is a claim about types.

import type { Duplex, Readable, Writable } from "node:stream";
import {
  type Connection,
  connectionFrom,
  connectionPair,
  readerFrom,
  type StreamReader,
  type StreamWriter,
  toNodeStream,
  toWebStream,
  type WebPair,
  writerFrom,
} from "../src/index.ts";
import { type Equal, expectType } from "./equal.ts";

declare const reader: StreamReader;
declare const writer: StreamWriter;
declare const socket: Duplex;

// A pair is two connections, and a connection is a tuple.
const [client] = connectionPair({ limit: 10 });
expectType<Equal<typeof client, Connection>>();
const [first, second] = client;
expectType<Equal<typeof first, StreamReader>>();
expectType<Equal<typeof second, StreamWriter>>();

// Everything that can be read.
expectType<Equal<ReturnType<typeof readerFrom>, StreamReader>>();
readerFrom("text");
readerFrom(["text", new Uint8Array(1)]);
readerFrom(process.stdin);
readerFrom(new ReadableStream<Uint8Array>());
const { body } = await fetch("https://example.org");
if (body !== null) readerFrom(body, { limit: 100 });
readerFrom(reader.lines());
// @ts-expect-error numbers are no bytes
readerFrom([1, 2]);
// @ts-expect-error it may be absent
readerFrom(body);

expectType<Equal<ReturnType<typeof writerFrom>, StreamWriter>>();
writerFrom(process.stdout, { highWaterMark: 0 });
writerFrom(new WritableStream<Uint8Array>());
// @ts-expect-error cannot be written to
writerFrom(new ReadableStream<Uint8Array>());

expectType<Equal<ReturnType<typeof connectionFrom>, Connection>>();
connectionFrom(socket);
connectionFrom(new TransformStream<Uint8Array, Uint8Array>());
connectionFrom(new CompressionStream("gzip"));

// The way back depends on what is given.
const web = toWebStream(reader);
expectType<Equal<typeof web, ReadableStream<Uint8Array>>>();
const sink = toWebStream(writer);
expectType<Equal<typeof sink, WritableStream<Uint8Array | string>>>();
const pair = toWebStream(client);
expectType<Equal<typeof pair, WebPair>>();
new Response(web);
web.pipeThrough(new DecompressionStream("gzip"));
const readable = toNodeStream(reader);
expectType<Equal<typeof readable, Readable>>();
const writable = toNodeStream(writer);
expectType<Equal<typeof writable, Writable>>();
const duplex = toNodeStream({ reader, writer });
expectType<Equal<typeof duplex, Duplex>>();
