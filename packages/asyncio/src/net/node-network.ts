/**
 * The network of the machine, by `node:net` and `node:dns`, which Node, Deno and Bun have. Sockets
 * become ByteStreams as soon as they are connected; what to connect to, and in which order, is
 * decided in connection.ts.
 *
 * Sockets and servers are made in the root context: the host keeps the context they are made in as
 * long as they live.
 */

import type { NetConnectOpts, Server, Socket } from "node:net";
import { InvalidStateError } from "../errors/errors.ts";
import { cancellable } from "../interop/cancellable.ts";
import { type Dependent, dependents } from "../interop/dependents.ts";
import { realHost, type Watched } from "../kernel/host.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { completed, here } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import { type Wait, WaitList } from "../kernel/wait.ts";
import { runInRoot } from "../ports/context-storage.ts";
import {
  type Address,
  type ByteStream,
  type ConnectOptions,
  type Destination,
  describeAddress,
  type Listener,
  type ListenOptions,
  type StreamNetwork,
} from "../streams/network.ts";
import type { NodeStreamSource } from "../streams/node-source.ts";
import { NodeStream } from "../streams/node-stream.ts";
import { type Securable, secure } from "./tls.ts";
import { takePath, type UnixPath } from "./unix-path.ts";

/** Loaded when it is first needed: importing the library stays cheap. */
const net = (): typeof import("node:net") => process.getBuiltinModule("node:net");

/** The network of the machine. */
export const nodeNetwork: StreamNetwork = {
  /** Connects to one address. Cancelled, there is no connection. */
  connect(to: Destination, options: ConnectOptions = {}): Promise<ByteStream> {
    const scope = here();
    const { loop } = scope;
    const subject = `connect to ${describeAddress(to)}`;
    const stop = scope.interruption(subject);
    if (stop !== undefined) return stop;
    const socket = runInRoot(() => net().connect(connectOptions(to, options)));
    const wait: Wait<ByteStream> = park<ByteStream>(scope, subject, () => {
      socket.destroy();
      return true;
    });
    wait.handsOver = true;
    wait.waitsOutside();
    // Before a read asks for them, bytes stay with the operating system.
    socket.pause();
    const failed = (error: Error): void => void wait.fail(error);
    socket.on("error", failed); // for good if it is destroyed: an error may follow
    socket.once("connect", () => {
      if (wait.state !== "parked") return;
      socket.off("error", failed);
      wait.resume(clientStreamOf(socket, loop, to));
    });
    return wait.promise;
  },

  /** Listens when it resolves. */
  async listen(at: number | ListenOptions): Promise<Listener> {
    const options = typeof at === "number" ? { port: at } : at;
    const { noDelay = true, keepAlive = false } = options;
    const scope = here();
    const subject = `listen on ${options.path ?? `${options.host ?? "*"}:${options.port ?? 0}`}`;
    const stop = scope.interruption(subject);
    if (stop !== undefined) await stop;
    const server = runInRoot(() =>
      net().createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay, keepAlive }),
    );
    return await startListening(server, options);
  },

  /** Asks the resolver of the operating system. A literal address is its own answer. */
  async lookup(hostname: string, family: 0 | 4 | 6 = 0): Promise<readonly string[]> {
    if (net().isIP(hostname) !== 0) return [hostname];
    const { lookup } = process.getBuiltinModule("node:dns").promises;
    const found = await cancellable(() =>
      lookup(hostname, { all: true, family, order: "verbatim" }),
    );
    return found.map(({ address }) => address);
  },
};

/** The stream of a connected socket. */
export function streamOf(socket: Socket, loop: EventLoop, to?: Destination): NodeStream {
  return new NodeStream(new SocketSource(socket, to), loop);
}

/**
 * The stream of a connection that was made here. Its only owner is the run, which ends it with all
 * that is left open.
 */
function clientStreamOf(socket: Socket, loop: EventLoop, to: Destination): NodeStream {
  const stream = streamOf(socket, loop, to);
  new ClientConnection(socket, stream, loop);
  return stream;
}

/** Real seconds a connection may keep flushing that was left open at the end of its run. */
const LAST_WORDS = 1;

class ClientConnection implements Dependent {
  readonly loop: EventLoop;
  readonly #socket: Socket;
  readonly #stream: NodeStream;

  constructor(socket: Socket, stream: NodeStream, loop: EventLoop) {
    this.loop = loop;
    this.#socket = socket;
    this.#stream = stream;
    dependents.add(this);
    socket.once("close", () => dependents.delete(this));
  }

  describe(): string {
    return `a connection to ${describeAddress(this.#stream.remoteAddress)}`;
  }

  end(): Promise<void> {
    if (this.#socket.closed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = realHost.setTimer(realHost.now() + LAST_WORDS, () => this.#stream.abort());
      this.#socket.once("close", () => {
        timer.clear();
        resolve();
      });
      this.#stream.close();
    });
  }

  kill(): void {
    this.#stream.abort();
  }
}

/** A class, and no closures: there is one for each connection. */
class SocketSource implements NodeStreamSource, Securable {
  readonly readable: Socket;
  readonly remoteAddress: Address;
  /** Undefined if this is the server's end. */
  readonly to: Destination | undefined;

  constructor(socket: Socket, to: Destination | undefined) {
    this.readable = socket;
    this.to = to;
    // Asked for now: when the connection is lost, the host does not know it any more.
    const { remoteAddress: host = "", remotePort: port = 0 } = socket;
    this.remoteAddress = host === "" ? (to ?? { host, port, path: "" }) : { host, port };
  }

  get writable(): Socket {
    return this.readable;
  }

  get isSocketOfOurs(): boolean {
    return true;
  }

  localAddress(): Address {
    const { localAddress: host = "", localPort: port = 0 } = this.readable;
    return { host, port };
  }

  describe(): string {
    return `the connection to ${describeAddress(this.remoteAddress) || "the peer of a Unix socket"}`;
  }

  extra(name: string): unknown {
    return name === "socket" ? this.readable : undefined;
  }

  startTls(options: object, attach: (source: NodeStreamSource) => void): Promise<void> {
    return secure(this, options, attach);
  }
}

function connectOptions(to: Address, options: ConnectOptions): NetConnectOpts {
  const { localAddress, noDelay = true, keepAlive = false } = options;
  if (to.path !== undefined) return { path: to.path, allowHalfOpen: true };
  return {
    host: to.host,
    port: to.port,
    allowHalfOpen: true,
    autoSelectFamily: false,
    noDelay,
    keepAlive,
    ...(localAddress?.host === undefined ? {} : { localAddress: localAddress.host }),
    ...(localAddress?.port === undefined ? {} : { localPort: localAddress.port }),
  };
}

/** Makes `server` listen; its connections come out of the Listener that this gives. */
export async function startListening(server: Server, options: ListenOptions): Promise<Listener> {
  const { host, port = 0, path, backlog, ipv6Only, reusePort } = options;
  const unix = path === undefined ? undefined : takePath(path, options.cleanupSocket ?? true);
  const scope = here();
  const wait: Wait<void> = park<void>(scope, "listen", () => {
    server.close();
    return true;
  });
  wait.waitsOutside();
  const failed = (error: Error): void => {
    const isTaken = (error as { code?: unknown }).code === "EADDRINUSE";
    if (isTaken && wait.state === "parked" && unix?.rename() === true) listen();
    else wait.fail(unix?.explain(error) ?? error);
  };
  server.on("error", failed);
  server.once("listening", () => void wait.resume());
  // Before anything can come: a connection that finds no listener would be lost.
  const listener = new NodeListener(server, scope.loop, unix);
  const listen = (): void => {
    const where = unix === undefined ? { host, port, ipv6Only, reusePort } : { path: unix.bound };
    // The host makes 0 of what is no int; the system has a lower limit of its own anyway.
    const most = backlog === undefined ? undefined : Math.min(backlog, 2 ** 31 - 1);
    server.listen(withoutUndefined({ ...where, backlog: most }));
  };
  listen();
  try {
    await wait.promise;
    unix?.publish();
  } catch (error) {
    listener.close();
    throw error;
  }
  return listener;
}

function withoutUndefined<T extends object>(options: T): Partial<T> {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Partial<T>; // some of the same entries
}

/** The connections of a server of the host, to accept one by one. */
export class NodeListener implements Listener, Watched {
  readonly #server: Server;
  readonly #unix: UnixPath | undefined;
  readonly #waiters: WaitList = new WaitList();
  /** Connections that were not accepted yet. */
  readonly #arrived: ByteStream[] = [];
  #isClosed = false;

  constructor(server: Server, loop: EventLoop, unix: UnixPath | undefined) {
    this.#server = server;
    this.#unix = unix;
    server.on("connection", (socket: Socket) => this.#connected(streamOf(socket, loop)));
    if (loop.isExact) loop.host.watch?.(this);
  }

  get address(): Address {
    if (this.#unix !== undefined) return { host: "", port: 0, path: this.#unix.path };
    const found = this.#server.address();
    if (found === null || typeof found === "string") return { host: "", port: 0 };
    return { host: found.address, port: found.port };
  }

  accept(): Promise<ByteStream> {
    const scope = here();
    const stop = scope.interruption(this);
    if (stop !== undefined) return stop;
    if (this.#isClosed) return Promise.reject(this.#closedError());
    const stream = this.#arrived.shift();
    if (stream !== undefined) return completed<ByteStream>(scope, this, stream);
    const wait = park<ByteStream>(scope, this);
    wait.handsOver = true;
    wait.waitsOutside();
    this.#waiters.add(wait);
    return wait.promise;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#server.close();
    this.#unix?.release();
    this.#waiters.failAll(() => this.#closedError());
    for (const stream of this.#arrived.splice(0)) stream.abort();
  }

  /** @internal What `accept` waits for. */
  describeWait(): string {
    return `a connection to ${describeAddress(this.address)}`;
  }

  /** What tests that leave it open are told. */
  leftover(): string | undefined {
    return this.#isClosed ? undefined : `a listener on ${describeAddress(this.address)}`;
  }

  #connected(stream: ByteStream): void {
    if (this.#isClosed) stream.abort();
    else if (this.#waiters.resumeFirst(stream) === undefined) this.#arrived.push(stream);
  }

  #closedError(): InvalidStateError {
    return new InvalidStateError("`listener.accept` was called on a listener that is closed");
  }
}
