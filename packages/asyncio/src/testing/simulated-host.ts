/** A host of a simulated network: what the code that runs on it sees of the network. */

import { checkCoroutine, checkOptions, rangeError } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { here } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import type { Coroutine } from "../kernel/task.ts";
import type { Wait } from "../kernel/wait.ts";
import {
  type Address,
  type ByteStream,
  comparableHost,
  type Datagram,
  type DatagramPort,
  type DatagramPortOptions,
  type DatagramReceiver,
  type DatagramSocket,
  describeAddress,
  hostError,
  type Listener,
  type ListenOptions,
  type Network,
} from "../streams/network.ts";
import { currentHost } from "./current-host.ts";
import {
  type DatagramEnd,
  SimulatedListener,
  SimulatedPort,
  SimulatedSocket,
} from "./network-ends.ts";

/** What a host asks of its network. */
interface HostsNetwork {
  has(name: string): boolean;
  addressesOf(name: string): readonly string[] | undefined;
  /** Makes a connection, or refuses it: the outcome of `wait`. */
  open(client: SimulatedHost, to: Address, wait: Wait<ByteStream>): void;
  post(datagram: Datagram, to: Address, refused?: () => void): void;
  postToAll(datagram: Datagram, port: number): void;
}

const LISTEN: Names<ListenOptions> = {
  host: "string",
  port: 1,
  path: "string",
  backlog: 1,
  noDelay: "boolean",
  keepAlive: "boolean",
  ipv6Only: "boolean",
  reusePort: "boolean",
  cleanupSocket: "boolean",
};
const FIRST_FREE_PORT = 49_152;
const LOOPBACK: readonly string[] = ["localhost", "127.0.0.1", "::1"];

/**
 * A host of a SimulatedNetwork: what code on it can connect to, listen on and send.
 *
 * @example
 * await testing.runTest(async () => {
 *   const network = new testing.SimulatedNetwork({ latency: 0.05 });
 *   const server = await network
 *     .host("server")
 *     .run(() => asyncio.startServer((_, writer) => writer.write("hello\n"), "server", 80));
 *   const { reader, writer } = await network
 *     .host("client")
 *     .run(() => asyncio.openConnection("server", 80));
 *   assert.equal(await reader.readLine({ encoding: "utf-8" }), "hello");
 *   writer.close();
 *   await server.shutdown(1);
 * });
 */
export class SimulatedHost implements Network {
  /** The name by which others connect to it. */
  readonly name: string;
  /** @internal */
  readonly network: HostsNetwork;
  /** False between `crash` and `restart`. */
  isUp = true;
  /** By port, or by path for Unix sockets. */
  readonly #listeners: Map<number | string, SimulatedListener> = new Map();
  readonly #sockets: Map<number, DatagramEnd> = new Map();
  #nextPort = FIRST_FREE_PORT;

  /** @internal */
  constructor(network: HostsNetwork, name: string) {
    this.network = network;
    this.name = name;
  }

  /**
   * Runs `body` on this host: `networkHere()` is this host in it, and in the tasks that it starts.
   */
  async run<T>(body: Coroutine<T>): Promise<T> {
    checkCoroutine("`host.run`", body);
    const token = currentHost.set(this);
    try {
      return await body();
    } finally {
      currentHost.reset(token);
    }
  }

  /**
   * Connects to a listener of another host, which takes the latency there and back; with a `path`
   * to a listener of this host. Waits for ever while the link is cut or the host is down: give it a
   * deadline. Rejects with ECONNREFUSED where no program listens (ENOENT for a path), ENOTFOUND for
   * a host that there is not. Cancelled, there is no connection.
   */
  connect(to: Address): Promise<ByteStream> {
    const scope = here();
    const subject = `connect to ${describeAddress(to)}`;
    const stop = scope.interruption(subject);
    if (stop !== undefined) return stop;
    const { host, port, path } = to; // and not the name it was found by: it is no part of an address
    const target = path === undefined ? { host, port } : { host: this.name, port, path };
    if (!this.network.has(target.host)) return Promise.reject(unknownHost(target.host));
    const wait = park<ByteStream>(scope, subject);
    wait.handsOver = true;
    this.network.open(this, target, wait);
    return wait.promise;
  }

  /**
   * Accepts connections `at` a port, or where the options say. Rejects with EADDRINUSE if another
   * listener has the port.
   */
  async listen(at: number | ListenOptions): Promise<Listener> {
    if (typeof at !== "number") checkOptions("`host.listen`", at, LISTEN);
    const { port = 0, path } = typeof at === "number" ? { port: at } : at;
    const key = path ?? this.#port(port, this.#listeners);
    const address =
      typeof key === "string" ? { host: "", port: 0, path: key } : { host: this.name, port: key };
    if (this.#listeners.has(key)) throw hostError("EADDRINUSE", "listen", address);
    const listener = new SimulatedListener(address, () => this.#listeners.delete(key));
    this.#listeners.set(key, listener);
    return listener;
  }

  /** Opens a socket for datagrams at `port`; 0 takes a free one. */
  async bind(port: number): Promise<DatagramSocket> {
    const free = this.#port(port, this.#sockets);
    const address = { host: this.name, port: free };
    const { network } = this;
    const socket = new SimulatedSocket(
      address,
      (datagram, to) => network.post(datagram, to),
      () => this.#sockets.delete(free),
    );
    this.#sockets.set(free, socket);
    return socket;
  }

  /**
   * Opens what `createDatagramEndpoint` stands on. The names of hosts are their addresses, and
   * there is one family.
   */
  async openDatagramPort(
    options: DatagramPortOptions,
    receiver: DatagramReceiver,
  ): Promise<DatagramPort> {
    const { local, broadcast } = options;
    const { network } = this;
    const remote = options.remote && this.#resolved(options.remote);
    const { host } = this.#resolved({ host: "localhost", port: 0, ...local });
    if (host !== this.name && host !== "0.0.0.0" && host !== "::")
      throw hostError("EADDRNOTAVAIL", "bind", { host, port: local?.port ?? 0 });
    if (remote !== undefined && !network.has(remote.host)) throw unknownHost(remote.host);
    const free = this.#port(local?.port ?? 0, this.#sockets);
    const port = new SimulatedPort({
      address: { host: this.name, port: free },
      remote,
      receiver,
      post: (datagram, to, refused) => network.post(datagram, this.#resolved(to), refused),
      broadcast: broadcast ? (datagram, to) => network.postToAll(datagram, to) : undefined,
      forget: () => this.#sockets.delete(free),
    });
    this.#sockets.set(free, port);
    return port;
  }

  /** With this host's name for what means this host. */
  #resolved({ host, port }: Address): Address {
    return { host: LOOPBACK.includes(host) ? this.name : host, port };
  }

  /**
   * The addresses of an alias; otherwise names are addresses here, and "localhost" is this host.
   * Rejects with ENOTFOUND.
   */
  async lookup(hostname: string): Promise<readonly string[]> {
    if (LOOPBACK.includes(comparableHost(hostname))) return [this.name];
    const addresses = this.network.addressesOf(hostname);
    if (addresses === undefined) throw unknownHost(hostname);
    return addresses;
  }

  /** @internal */
  freePort(): number {
    return this.#nextPort++;
  }

  /** @internal */
  listenerAt({ port, path }: Address): SimulatedListener | undefined {
    return this.#listeners.get(path ?? port);
  }

  /** @internal */
  socketAt(port: number): DatagramEnd | undefined {
    return this.#sockets.get(port);
  }

  /** @internal The program on it is gone, and its listeners are, too. */
  crash(): void {
    this.isUp = false;
    for (const listener of [...this.#listeners.values()]) listener.close();
    for (const socket of [...this.#sockets.values()]) socket.crash();
  }

  #port(port: number, taken: ReadonlyMap<number | string, unknown>): number {
    if (!Number.isInteger(port) || port < 0 || port > 65_535)
      throw rangeError("`listen`", "a port from 0 to 65,535", port);
    if (port === 0) return this.freePort();
    const address = { host: this.name, port };
    if (taken.has(port)) throw hostError("EADDRINUSE", "listen", address);
    return port;
  }
}

/** What the real host says of a name that nobody has. */
function unknownHost(hostname: string): Error {
  const error = new Error(`getaddrinfo ENOTFOUND ${hostname}`);
  return Object.assign(error, { code: "ENOTFOUND", syscall: "getaddrinfo", hostname });
}
