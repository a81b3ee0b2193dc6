/**
 * Client connections: which network, which addresses, in which order; then a reader and a writer on the stream. The
 * network is that of the running code, so the same program runs on the machine's and on a simulated one.
 */

import { argumentError, CancelledError, ExceptionGroup, rangeError } from "../kernel/errors.ts";
import { here } from "../kernel/here.ts";
import type { Address, ByteStream, ConnectOptions } from "../kernel/network.ts";
import { type ReaderOptions, StreamReader } from "../streams/reader.ts";
import { StreamWriter, type WriterOptions } from "../streams/writer.ts";
import { nodeNetwork, type StreamNetwork } from "./node-network.ts";

export interface ConnectionOptions extends ConnectOptions, ReaderOptions, WriterOptions {
  /** 4 or 6 uses addresses of one family only. @default 0, both */
  readonly family?: 0 | 4 | 6 | undefined;
}

export interface ConnectionTarget {
  readonly host: string;
  readonly port: number;
}

type ReaderAndWriter = readonly [reader: StreamReader, writer: StreamWriter];

/** Both directions of a connection: `const [reader, writer] = ...`, or by name. `await using` closes it. */
export interface Connection extends ReaderAndWriter, AsyncDisposable {
  readonly reader: StreamReader;
  readonly writer: StreamWriter;
}

/** The network of the running code: a simulated host, or the machine. */
export function networkHere(): StreamNetwork {
  return here().loop.host.network ?? nodeNetwork;
}

/**
 * Connects to a host by TCP and gives a reader and a writer. The addresses of the host are tried in the order of the
 * resolver. Cancelled, there is no connection. Rejects with the error of the host (`code: "ECONNREFUSED"`, ...), or with an
 * ExceptionGroup if there were several addresses. Close the writer when you are done.
 *
 * @example
 * const server = await asyncio.startServer(async (reader, writer) => {
 *   await writer.write(await reader.readLine());
 * }, "127.0.0.1", 0);
 * const [reader, writer] = await asyncio.openConnection("127.0.0.1", server.sockets[0].port);
 * await writer.write("hello\n");
 * assert.equal(new TextDecoder().decode(await reader.readLine()), "hello\n");
 * writer.close();
 * await server.shutdown(1);
 */
export function openConnection(
  host: string,
  port: number,
  options?: ConnectionOptions,
): Promise<Connection>;
export function openConnection(options: ConnectionTarget & ConnectionOptions): Promise<Connection>;
export async function openConnection(
  target: string | (ConnectionTarget & ConnectionOptions),
  port?: number,
  options?: ConnectionOptions,
): Promise<Connection> {
  const all =
    typeof target === "object" && target !== null ? target : { ...options, host: target, port };
  const { host } = all;
  if (typeof host !== "string")
    throw argumentError("`openConnection`", "the name or address of a host", host);
  checkPort("`openConnection`", all.port);
  return connectionOf(await connectTo(host, all.port, all), all);
}

/** Connects to a Unix socket, or a named pipe of Windows. Otherwise as `openConnection`. */
export async function openUnixConnection(
  path: string,
  options: ReaderOptions & WriterOptions = {},
): Promise<Connection> {
  if (typeof path !== "string") throw argumentError("`openUnixConnection`", "a path", path);
  return connectionOf(await networkHere().connect({ host: "", port: 0, path }), options);
}

/** @throws TypeError, RangeError unless `port` is one. */
export function checkPort(api: string, port: unknown): asserts port is number {
  if (typeof port !== "number") throw argumentError(api, "a port", port);
  if (!(Number.isInteger(port) && port >= 0 && port <= 65_535))
    throw rangeError(api, "a port from 0 to 65,535", port);
}

/** A connected stream to a host. */
async function connectTo(
  host: string,
  port: number,
  options: ConnectionOptions,
): Promise<ByteStream> {
  const network = networkHere();
  const found = await network.lookup(host, options.family);
  const addresses: Address[] = found.map((address) => ({ host: address, port }));
  const errors: unknown[] = [];
  for (const address of addresses) {
    try {
      return await network.connect(address, options);
    } catch (error) {
      if (error instanceof CancelledError) throw error;
      errors.push(error);
    }
  }
  if (errors.length === 1) throw errors[0];
  throw new ExceptionGroup(`\`openConnection\` found no way to ${host}:${port}`, errors);
}

function connectionOf(stream: ByteStream, options: ReaderOptions & WriterOptions): Connection {
  let reader: StreamReader;
  let writer: StreamWriter;
  try {
    reader = new StreamReader(stream, options);
    writer = new StreamWriter(stream, options);
  } catch (error) {
    stream.abort(); // wrong options
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
