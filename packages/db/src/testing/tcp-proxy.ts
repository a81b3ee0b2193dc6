/**
 * A proxy between clients and a server, for what networks do: it cuts connections, goes silent,
 * refuses. Nothing of it depends on the protocol.
 */

import { createConnection, createServer, type Server, type Socket } from "node:net";
import { argumentError } from "../options.ts";

/** A running proxy. `stop` ends it, and all connections. */
export class TcpProxy implements AsyncDisposable {
  /** Where clients connect to, on 127.0.0.1. */
  readonly port: number;
  readonly #server: Server;
  readonly #pairs: Set<readonly [Socket, Socket]> = new Set();
  readonly #rules: { refuses: boolean; isSilent: boolean };
  #accepted: () => number;

  /** @internal */
  constructor(
    server: Server,
    port: number,
    pairs: Set<readonly [Socket, Socket]>,
    rules: { refuses: boolean; isSilent: boolean },
    accepted: () => number,
  ) {
    this.#server = server;
    this.port = port;
    this.#pairs = pairs;
    this.#rules = rules;
    this.#accepted = accepted;
  }

  /** How many connections were made through it. */
  get accepted(): number {
    return this.#accepted();
  }

  /** True: new connections are reset at once. */
  set refuses(refuses: boolean) {
    this.#rules.refuses = refuses;
  }

  /** True: new connections are accepted, and nothing goes through them. */
  set isSilent(isSilent: boolean) {
    this.#rules.isSilent = isSilent;
  }

  /** Cuts all connections. */
  cut(): void {
    for (const [client, server] of this.#pairs) {
      client.resetAndDestroy();
      server.destroy();
    }
  }

  /** Lets nothing through any more on the connections that there are; both sides think they live. */
  stall(): void {
    for (const [client, server] of this.#pairs) {
      client.unpipe(server);
      server.unpipe(client);
      client.pause();
      server.pause();
    }
  }

  /** Throws away what the server says on the connections that there are; what clients say arrives. */
  deafen(): void {
    for (const [client, server] of this.#pairs) {
      server.unpipe(client);
      server.resume();
    }
  }

  /** Ends it. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const [client, server] of this.#pairs) {
      client.destroy();
      server.destroy();
    }
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** Starts a proxy in front of a port of 127.0.0.1. */
export async function startProxy(port: number): Promise<TcpProxy> {
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw argumentError("`startProxy`", "the port of a server", port);
  const pairs = new Set<readonly [Socket, Socket]>();
  const rules = { refuses: false, isSilent: false };
  let accepted = 0;
  const server = createServer((client) => {
    accepted++;
    if (rules.refuses) {
      client.on("error", () => {});
      client.resetAndDestroy();
      return;
    }
    const target = createConnection({ port, host: "127.0.0.1" });
    const pair = [client, target] as const;
    pairs.add(pair);
    for (const [one, other] of [pair, [target, client] as const]) {
      one.on("error", () => {});
      one.once("close", () => {
        other.destroy();
        pairs.delete(pair);
      });
      if (!rules.isSilent) one.pipe(other);
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address() as { port: number }; // it listens on a port
  return new TcpProxy(server, address.port, pairs, rules, () => accepted);
}
