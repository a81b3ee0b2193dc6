/**
 * Client connections: which network, which addresses, in which order; then a reader and a writer on
 * the stream. The network is that of the running code, so the same program runs on the machine's
 * and on a simulated one.
 */

import {
  advice,
  argumentError,
  checkOptions,
  InvalidStateError,
  rangeError,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { type Connection, checkStreamOptions, connectionOf } from "../streams/connection.ts";
import {
  type ByteStream,
  type ConnectOptions,
  networkOfHost,
  type StreamNetwork,
} from "../streams/network.ts";
import type { ReaderOptions } from "../streams/reader.ts";
import { READER } from "../streams/reader.ts";
import type { ClientTlsOptions, ServerTlsOptions } from "../streams/tls-options.ts";
import type { WriterOptions } from "../streams/writer.ts";
import { WRITER } from "../streams/writer.ts";
import { type AddressOptions, checkAddressOptions, connectToHost } from "./happy-eyeballs.ts";
import { ADDRESS, checkHost } from "./host-name.ts";
import { nodeNetwork } from "./node-network.ts";
import { checkTlsOptions } from "./tls.ts";
import { checkUnixPath } from "./unix-path.ts";

/** What `openConnection` takes. */
export interface ConnectionOptions
  extends ConnectOptions,
    AddressOptions,
    ReaderOptions,
    WriterOptions {
  /**
   * Begins TLS at once. The certificate of the server has to be valid for the host. @default false
   */
  readonly tls?: boolean | ClientTlsOptions | undefined;
}

const KNOWN: Names<ConnectionOptions> = {
  ...READER,
  ...WRITER,
  family: 1,
  happyEyeballsDelay: 1,
  interleave: 1,
  resolver: 1,
  localAddress: 1,
  noDelay: "boolean",
  keepAlive: "boolean",
  tls: 1,
};
const WITH_TARGET: Names<ConnectionTarget & ConnectionOptions> = {
  ...KNOWN,
  host: "string",
  port: 1,
};

/** What `openUnixConnection` takes. */
export interface UnixConnectionOptions extends ReaderOptions, WriterOptions {
  /** Begins TLS at once. */
  readonly tls?: (ClientTlsOptions & { readonly serverHostname: string }) | undefined;
}

const UNIX: Names<UnixConnectionOptions> = { ...READER, ...WRITER, tls: 1 };

/** Options of `openConnection` if host and port are among them. */
export interface ConnectionTarget {
  /** A name or an address. */
  readonly host: string;
  /** Of TCP. */
  readonly port: number;
}

/** One object, so that the roots are read once. */
const DEFAULT_TLS: ClientTlsOptions = {};

/** The network of the running code: a simulated host, or the machine. */
export function networkHere(): StreamNetwork {
  return networkOfHost() ?? nodeNetwork;
}

/**
 * Connects to `port` of a host by TCP and gives a reader and a writer. If the host has several
 * addresses, the next one is tried when the last has failed, or has not answered for
 * `happyEyeballsDelay` seconds; the first to answer wins (RFC 8305). Cancelled, there is no
 * connection. Rejects with the error of the host (`code: "ECONNREFUSED"`, ...); if several
 * addresses have failed, with an AggregateError that has all their `errors`, and the `code` of one;
 * with an InvalidStateError where the network has no TLS. Close the writer when you are done.
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
  const isOne = typeof target === "object" && target !== null;
  checkOptions("`openConnection`", isOne ? target : options, isOne ? WITH_TARGET : KNOWN);
  const all = isOne ? target : { ...options, host: target, port };
  const { host } = all;
  checkHost("`openConnection`", "the name or address of a host", host);
  if (host === "") throw rangeError("`openConnection`", "a host with a name", host);
  checkPort("`openConnection`", all.port);
  checkLocalAddress("`openConnection`", all.localAddress);
  checkAddressOptions("`openConnection`", all);
  checkStreamOptions("`openConnection`", all);
  const tls = all.tls === true ? DEFAULT_TLS : all.tls || undefined;
  if (tls !== undefined) checkTlsOptions("`openConnection`", tls, false);
  const stream = await connectToHost(networkHere(), host, all.port, all);
  if (tls !== undefined) await secureStream("`openConnection`", stream, tls);
  return connectionOf(stream, all);
}

/**
 * Connects to a Unix socket, or a named pipe of Windows. Otherwise as `openConnection`, with the
 * same errors: an InvalidStateError where the network has no TLS.
 *
 * @example
 * const path = process.platform === "win32" ? `//./pipe/greeting-${process.pid}` :
 * `/tmp/greeting-${process.pid}`; await using server = await asyncio.startUnixServer((_, writer) =>
 * writer.write("hello\n"), path); await using connection = await asyncio.openUnixConnection(path);
 * assert.equal(await connection.reader.readLine({ encoding: "utf-8" }), "hello");
 */
export async function openUnixConnection(
  path: string,
  options: UnixConnectionOptions = {},
): Promise<Connection> {
  const api = "`openUnixConnection`";
  checkUnixPath(api, path);
  checkOptions(api, options, UNIX);
  checkStreamOptions(api, options);
  const { tls } = options;
  if (tls !== undefined) checkTlsOptions(api, tls, false);
  const stream = await networkHere().connect({ host: "", port: 0, path });
  if (tls !== undefined) await secureStream(api, stream, tls);
  return connectionOf(stream, options);
}

/** @throws TypeError, RangeError unless `port` is one. */
export function checkPort(api: string, port: unknown, what = ""): asserts port is number {
  if (typeof port !== "number") throw argumentError(api, `${what}a port`, port);
  if (!(Number.isInteger(port) && port >= 0 && port <= 65_535))
    throw rangeError(api, `${what}a port from 0 to 65,535`, port);
}

function checkLocalAddress(api: string, local: ConnectOptions["localAddress"] = {}): void {
  if (typeof local !== "object" || local === null)
    throw argumentError(api, "`localAddress` to be an object with `host` or `port`", local);
  checkOptions(`\`localAddress\` of ${api}`, local, ADDRESS);
  const { host = "", port = 0 } = local;
  checkHost(api, "`localAddress.host` to be text", host);
  checkPort(api, port, "`localAddress.port` to be ");
}

/** Begins TLS on a stream that no other code has yet. If that fails, the stream is aborted. */
export async function secureStream(
  api: string,
  stream: ByteStream,
  options: ClientTlsOptions | ServerTlsOptions,
): Promise<void> {
  if (stream.startTls !== undefined) {
    try {
      await stream.startTls(options);
    } catch (error) {
      stream.abort(); // a cancellation may have come before TLS had the socket
      throw error;
    }
    return;
  }
  stream.abort();
  throw new InvalidStateError(
    `${api} was called with \`tls\` on a simulated network, which carries plain bytes${advice("Leave `tls` out")}`,
  );
}
