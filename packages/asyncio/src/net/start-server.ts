/** Starting servers: where they listen. What becomes of their connections is in server.ts. */

import { checkOptions } from "../errors/errors.ts";
import type { Listener, StreamNetwork } from "../streams/network.ts";
import { checkPort, networkHere } from "./connection.ts";
import { hostsOf, listenOnAll } from "./listen.ts";
import { nodeNetwork } from "./node-network.ts";
import { type ConnectionHandler, Server } from "./server.ts";
import {
  checkServing,
  SERVER,
  type ServerOptions,
  type ServingOptions,
  UNIX,
  type UnixServerOptions,
} from "./serving-options.ts";
import { readCertificates } from "./tls.ts";
import { checkUnixPath } from "./unix-path.ts";

/**
 * Listens for TCP connections on `port` of the address `host`, and calls `handler` for each in a
 * task of its own. It listens when the promise resolves. The server belongs to the run: when that
 * ends, at the latest, it is closed, and its handlers are cancelled and awaited.
 *
 * @example
 * await using server = await asyncio.startServer(async (reader, writer) => {
 *   for await (const line of reader) await writer.write(line);
 * }, { host: "127.0.0.1" });
 * await using connection = await asyncio.openConnection("127.0.0.1", server.sockets[0].port);
 * await connection.writer.write("echo\n");
 * assert.equal(new TextDecoder().decode(await connection.reader.readLine()), "echo\n");
 */
export function startServer(
  handler: ConnectionHandler,
  host: string | readonly string[] | undefined,
  port: number,
  options?: ServerOptions,
): Promise<Server>;
export function startServer(handler: ConnectionHandler, options?: ServerOptions): Promise<Server>;
export async function startServer(
  handler: ConnectionHandler,
  hostOrOptions?: string | readonly string[] | ServerOptions,
  port?: number,
  more?: ServerOptions,
): Promise<Server> {
  const api = "`startServer`";
  const isHost =
    typeof hostOrOptions === "string" || Array.isArray(hostOrOptions) || port !== undefined;
  checkOptions(api, isHost ? more : hostOrOptions, SERVER);
  const options: ServerOptions = isHost
    ? { ...more, host: hostOrOptions as string | readonly string[] | undefined, port }
    : ((hostOrOptions as ServerOptions | undefined) ?? {});
  checkServing(api, handler, options);
  checkPort(api, options.port ?? 0);
  const hosts = hostsOf(api, options.host);
  const { backlog, noDelay, keepAlive, ipv6Only, reusePort } = options;
  const settings = { port: options.port, backlog, noDelay, keepAlive, ipv6Only, reusePort };
  return await serve(api, handler, options, async (network) => {
    if (network === nodeNetwork) return await listenOnAll(network, settings, hosts);
    const listeners: Listener[] = []; // on a simulated host, which has no addresses
    for (const host of hosts) listeners.push(await network.listen({ ...settings, host }));
    return listeners;
  });
}

/**
 * Listens on a Unix socket, or a named pipe of Windows, and calls `handler` for each connection. A
 * socket that is left at `path` is replaced. As `startServer`.
 *
 * @example
 * const folder = process.platform === "win32" ? "//./pipe" : "/tmp";
 * const path = `${folder}/echo-${process.pid}`;
 * await using server = await asyncio.startUnixServer(async (reader, writer) => {
 *   for await (const line of reader) await writer.write(line);
 * }, path);
 * await using connection = await asyncio.openUnixConnection(path);
 * await connection.writer.write("echo\n");
 * assert.equal(await connection.reader.readLine({ encoding: "utf-8" }), "echo");
 */
export async function startUnixServer(
  handler: ConnectionHandler,
  path: string,
  options: UnixServerOptions = {},
): Promise<Server> {
  const api = "`startUnixServer`";
  checkUnixPath(api, path);
  checkOptions(api, options, UNIX);
  checkServing(api, handler, options);
  const { backlog, cleanupSocket } = options;
  return await serve(api, handler, options, async (network) => [
    await network.listen({ path, backlog, cleanupSocket }),
  ]);
}

async function serve(
  api: string,
  handler: ConnectionHandler,
  options: ServingOptions,
  listen: (network: StreamNetwork) => Promise<Listener[]>,
): Promise<Server> {
  const network = networkHere();
  if (options.tls !== undefined && network === nodeNetwork) readCertificates(api, options.tls);
  const listeners = await listen(network);
  try {
    return new Server(handler, listeners, options);
  } catch (error) {
    for (const listener of listeners) listener.close();
    throw error;
  }
}
