/**
 * Servers. A server is a task that owns a task group: a child accepts connections, and each
 * connection is served by a child. So the owner of the server owns its handlers: when the run ends,
 * when the server is disposed, or when its task is cancelled for any other reason, the listener is
 * closed, the handlers are cancelled, and their connections closed.
 *
 *     close()      ─▶ nothing is accepted any more; handlers go on
 *     shutdown(s)  ─▶ the same, then handlers have s seconds, then they are cancelled
 *     dispose      ─▶ the same with no seconds
 *
 * Source: asyncio.Server (S144 to S149).
 */

import {
  argumentError,
  CancelledError,
  checkCoroutine,
  checkOptions,
  checkSeconds,
  InvalidStateError,
  rangeError,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { completed, here, recognised } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import type { Task } from "../kernel/task.ts";
import { type Wait, WaitList } from "../kernel/wait.ts";
import { type Connection, connectionOf } from "../streams/connection.ts";
import {
  type Address,
  type ByteStream,
  describeAddress,
  type Listener,
  type ListenOptions,
  type StreamNetwork,
} from "../streams/network.ts";
import type { ReaderOptions, StreamReader } from "../streams/reader.ts";
import { READER } from "../streams/reader.ts";
import { checkLimit } from "../streams/separators.ts";
import type { ServerTlsOptions } from "../streams/tls-options.ts";
import { type StreamWriter, WRITER, type WriterOptions, waterMarks } from "../streams/writer.ts";
import { createTask } from "../tasks/create-task.ts";
import { isNeededBy } from "../tasks/owners.ts";
import { type TaskGroup, taskGroup } from "../tasks/task-group.ts";
import { CancelScope, cleanup, moveOnAfter } from "../tasks/timeouts.ts";
import { checkPort, networkHere, secureStream } from "./connection.ts";
import { hostsOf, listenOnAll } from "./listen.ts";
import { nodeNetwork } from "./node-network.ts";
import { isOwnLoss, Served } from "./served.ts";
import { checkTlsOptions, readCertificates } from "./tls.ts";
import { checkUnixPath } from "./unix-path.ts";

/**
 * Serves one connection, which is closed when it ends, and when it fails. It gets the two ends as
 * asyncio gives them, and the connection that they belong to: what `openConnection` gives a client.
 */
export type ConnectionHandler = (
  reader: StreamReader,
  writer: StreamWriter,
  connection: Connection,
) => unknown;

/** What servers of all kinds take. */
export interface ServingOptions extends ReaderOptions, WriterOptions {
  /**
   * Handlers that run at the same time. Connections above that wait, unread, until one ends.
   * @default Infinity
   */
  readonly maxConnections?: number | undefined;
  /**
   * How many wait so; one above that is refused. Also how many the operating system keeps until
   * they are accepted.
   * @default 100, and for the operating system that of the host
   */
  readonly backlog?: number | undefined;
  /** What reports call it. @default its address */
  readonly name?: string | undefined;
  /** Begins TLS on every connection; the handler is called when the handshake is done. */
  readonly tls?: ServerTlsOptions | undefined;
  /**
   * Cancels a handler when its client ends its side, or is lost, while the handler does something
   * other than reading. To see that, up to `limit` bytes are read ahead. Not for protocols whose
   * clients say all, end their side, and wait for the answer.
   * @default false
   */
  readonly cancelOnEof?: boolean | undefined;
}

/** What `startServer` takes. */
export interface ServerOptions
  extends ServingOptions,
    Pick<ListenOptions, "port" | "noDelay" | "keepAlive" | "ipv6Only" | "reusePort"> {
  /** An address of this machine, or several; of a name all that it has. @default all */
  readonly host?: string | readonly string[] | undefined;
}

const SERVING: Names<ServingOptions> = {
  ...READER,
  ...WRITER,
  maxConnections: 1,
  backlog: 1,
  name: 1,
  tls: 1,
  cancelOnEof: 1,
};
const SERVER: Names<ServerOptions> = {
  ...SERVING,
  host: 1,
  port: 1,
  noDelay: 1,
  keepAlive: 1,
  ipv6Only: 1,
  reusePort: 1,
};

/** What `startUnixServer` takes. */
export interface UnixServerOptions extends ServingOptions {
  /** Removes the path when the server is closed, if it is still the server's own. @default true */
  readonly cleanupSocket?: boolean | undefined;
}

const UNIX: Names<UnixServerOptions> = { ...SERVING, cleanupSocket: 1 };

/** What `server.serveForever` takes. */
export interface DrainOptions {
  /** Seconds that handlers have to end, before they are cancelled. @default 0 */
  readonly drain?: number | undefined;
}

const DRAIN: Names<DrainOptions> = { drain: 1 };

const DEFAULT_BACKLOG = 100;
/** That of the streams of both networks. */
const HIGH_WATER_MARK = 65_536;
/**
 * Seconds until a server that is being stopped first looks for handlers that will not end, at
 * least.
 */
const FIRST_LOOK = 0.01;

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

function checkServing(api: string, handler: unknown, options: ServingOptions): void {
  checkCoroutine(api, handler);
  const { maxConnections = 1, backlog = 1, limit, tls, cancelOnEof = false } = options;
  for (const [name, count] of [
    ["maxConnections", maxConnections],
    ["backlog", backlog],
  ] as const) {
    if (typeof count !== "number") throw argumentError(api, `\`${name}\` to be a number`, count);
    const least = name === "backlog" ? 0 : 1;
    const isWhole = Number.isInteger(count) || count === Number.POSITIVE_INFINITY;
    if (!(isWhole && count >= least))
      throw rangeError(
        api,
        `\`${name}\` to be ${least} or more, and a whole number or Infinity`,
        count,
      );
  }
  if (typeof cancelOnEof !== "boolean")
    throw argumentError(api, "`cancelOnEof` to be true or false", cancelOnEof);
  waterMarks(api, options, HIGH_WATER_MARK);
  if (limit !== undefined) checkLimit(api, limit);
  if (tls !== undefined) checkTlsOptions(api, tls, true);
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

/**
 * A server that listens. Made by `startServer` and `startUnixServer`.
 *
 * @example
 * const hello: asyncio.ConnectionHandler = (_reader, writer) => writer.write("hello\n");
 * await using server = await asyncio.startServer(hello, "127.0.0.1", 0);
 * const [{ host, port }] = server.sockets;
 * await using connection = await asyncio.openConnection(host, port);
 * assert.equal(await connection.reader.readLine({ encoding: "utf-8" }), "hello");
 */
export class Server implements AsyncDisposable {
  /** What reports call it. */
  readonly name: string;
  /** Where it listens, or has listened. */
  readonly sockets: readonly [Address, ...Address[]];
  /** TLS handshakes that have failed: no handler was called for them. */
  failedHandshakes = 0;
  readonly #handler: ConnectionHandler;
  readonly #options: ServingOptions;
  readonly #listeners: readonly Listener[];
  /** Owns everything that the server does. */
  readonly #task: Task<void>;
  /** The connections that have a handler. */
  readonly #served: Set<Served> = new Set();
  /** Those that wait for one to end. */
  readonly #waiting: ByteStream[] = [];
  /** Ends the wait of the task at the door, which gives those who wait a handler. */
  #bell: Wait<void> | undefined = undefined;
  #isClosed = false;
  /** True once it is closed and every handler has ended, or was left behind. */
  #hasEnded = false;
  #servesForever = false;
  readonly #closers: WaitList = new WaitList();

  /** @internal */
  constructor(handler: ConnectionHandler, listeners: readonly Listener[], options: ServingOptions) {
    this.#handler = handler;
    this.#listeners = listeners;
    this.#options = options;
    this.sockets = listeners.map(({ address }) => address) as [Address, ...Address[]]; // one at least
    this.name = options.name ?? describeAddress(this.sockets[0]);
    this.#task = createTask(() => this.#supervise(), { name: `server ${this.name}` });
    this.#task.listen({ futureDone: () => this.#ended() }); // its body may not come to its end
  }

  /** Connections that were accepted and have not ended, those that wait for a handler included. */
  get connections(): number {
    return this.#served.size + this.#waiting.length;
  }

  /** Whether it takes connections. */
  isServing(): boolean {
    return !this.#isClosed;
  }

  /** Takes no more connections; those that it has live on. Not a wait. */
  close(): void {
    this.#isClosed = true;
    for (const listener of this.#listeners) listener.close();
    this.#bell?.resume();
  }

  /**
   * Closes all connections, after what was written has left. Their handlers read to the end. Not a
   * wait.
   */
  closeClients(): void {
    for (const stream of this.#all()) stream.close();
  }

  /** Closes all connections at once: what is on its way is dropped. Not a wait. */
  abortClients(): void {
    for (const stream of this.#all()) stream.abort();
  }

  /**
   * Waits until it was closed and the last handler has ended. A checkpoint.
   * @throws InvalidStateError in a handler, and in a task that one waits for: it would wait for
   * itself.
   */
  waitClosed(): Promise<void> {
    const scope = here();
    const subject = `the end of server ${this.name}`;
    const stop = scope.interruption(subject);
    if (stop !== undefined) return stop;
    try {
      this.#checkOutside("`server.waitClosed`");
    } catch (error) {
      return Promise.reject(error);
    }
    if (this.#hasEnded) return completed(scope, subject, undefined);
    const wait = park<void>(scope, subject);
    this.#closers.add(wait);
    return wait.promise;
  }

  /**
   * Waits until it was closed and the last handler has ended. Cancelled, as by a signal to the
   * program, it closes the server, gives the handlers `drain` seconds to end, cancels the others,
   * and waits for them. For a program whose main has nothing else to do.
   * @throws InvalidStateError when the server was closed before, or the second time.
   */
  async serveForever(options: DrainOptions = {}): Promise<void> {
    checkOptions("`server.serveForever`", options, DRAIN);
    const { drain = 0 } = options;
    checkSeconds("`server.serveForever`", "`drain` in seconds", drain);
    this.#checkOutside("`server.serveForever`");
    if (this.#isClosed || this.#servesForever) {
      const found = this.#isClosed ? "is closed" : "serves for ever already";
      throw new InvalidStateError(
        `\`serveForever\` was called on server ${this.name}, which ${found}`,
      );
    }
    this.#servesForever = true;
    try {
      await this.waitClosed();
    } catch (error) {
      this.close();
      if (drain > 0) await cleanup(drain, () => this.waitClosed());
      await this.#stop();
      throw error;
    }
  }

  /**
   * Drains it: takes no more connections, gives the handlers `seconds` to end, cancels the others,
   * and waits for them. One that sits in a foreign await when its grace period is over is left
   * behind, without its connection, and reported. Cancelled, it does not wait until then. Handlers
   * learn of it by `server.isServing()`.
   * @throws InvalidStateError in a handler, and in a task that one waits for: it would wait for
   * itself.
   */
  async shutdown(seconds: number): Promise<void> {
    checkSeconds("`server.shutdown`", "a number of seconds", seconds);
    this.#checkOutside("`server.shutdown`");
    this.close();
    try {
      const drained = await moveOnAfter(seconds, () => this.waitClosed());
      if (!drained.cancelled) return;
      this.#checkOutside("`server.shutdown`"); // a handler may have begun to wait for it
      await this.#stop();
    } catch (error) {
      await this.#stop();
      throw error;
    }
  }

  /** Closes it, cancels the handlers, and waits for them. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#checkOutside("`await using server`");
    await this.#stop();
  }

  /**
   * The task that owns the handlers is joined: a cancellation meanwhile is delivered when they have
   * ended.
   */
  async #stop(): Promise<void> {
    this.close();
    this.#task.cancel();
    if (this.#isInside()) return;
    await cleanup(Number.POSITIVE_INFINITY, () => this.#handlersEnded());
  }

  /**
   * Waits for the handlers. One that sits in a foreign await may never end: when its grace period
   * is over it is left behind, and its connection closed. Looks for such, less and less often,
   * since one that is cleaning up may come to sit in one.
   */
  async #handlersEnded(): Promise<void> {
    const { loop } = here();
    for (let seconds = Math.max(loop.cancelGrace, FIRST_LOOK); ; seconds *= 2) {
      const ended = await moveOnAfter(seconds, () => this.waitClosed());
      if (!ended.cancelled) return;
      const idle = [...this.#served]
        .map((served) => [served, served.swallowed] as const)
        .filter(([served, swallowed]) => served.isStuck(swallowed));
      if (idle.length === 0) continue;
      // What was about to go on has done so by then: virtual time stands still meanwhile.
      if (!(await moveOnAfter(0.001, () => this.waitClosed())).cancelled) return;
      const stuck = idle.filter(([served, swallowed]) => served.isStuck(swallowed));
      this.#leaveBehind(stuck.map(([served]) => served));
    }
  }

  #leaveBehind(stuck: readonly Served[]): void {
    if (stuck.length === 0) return;
    for (const served of stuck) {
      served.cutOff();
      this.#served.delete(served);
    }
    const peers = stuck.slice(0, 3).map(({ peer }) => peer);
    const more = stuck.length > peers.length ? ", ..." : "";
    const [what, whose] =
      stuck.length === 1
        ? ["1 handler", "connection"]
        : [`${stuck.length} handlers`, "connections"];
    const message = `server ${this.name} has left ${what} behind, cancelled and past the grace period, in a foreign await; the ${whose} to ${peers.join(", ")}${more} is closed`;
    here().loop.callExceptionHandler({ message, task: stuck[0]?.task });
    if (this.#served.size === 0) this.#ended();
  }

  async #supervise(): Promise<void> {
    await taskGroup(async (group) => {
      for (const listener of this.#listeners) group.createTask(() => this.#accept(group, listener));
      await this.#keepDoor(group);
    });
  }

  /** Nothing is served any more, and nothing will be. */
  #ended(): void {
    this.close();
    for (const stream of this.#waiting.splice(0)) stream.abort();
    this.#hasEnded = true;
    this.#closers.resumeAll(undefined);
  }

  async #accept(group: TaskGroup<void>, listener: Listener): Promise<void> {
    const { backlog = DEFAULT_BACKLOG } = this.#options;
    try {
      for (;;) {
        const stream = await listener.accept();
        if (this.#hasPlace) this.#start(group, stream);
        else if (this.#waiting.length < backlog) this.#waiting.push(stream);
        else stream.abort();
      }
    } catch (error) {
      // That is how it ends when the listener was closed.
      if (!(error instanceof InvalidStateError)) throw error;
    } finally {
      this.close();
    }
  }

  get #hasPlace(): boolean {
    return this.#served.size < (this.#options.maxConnections ?? Number.POSITIVE_INFINITY);
  }

  /**
   * Gives those who wait a place when there is one. In the body of the group, so that it stays open
   * for them, and so that a handler starts in the context of its server, and not of the handler
   * whose place it takes.
   */
  async #keepDoor(group: TaskGroup<void>): Promise<void> {
    const scope = here();
    const subject = { describeWait: () => `the end of server ${this.name}` };
    while (!this.#isClosed || this.#waiting.length > 0) {
      // <- `close` has rung, and the server was cancelled in the same step: no waiting connection
      // gets a handler any more
      const stop = scope.interruption(subject);
      if (stop !== undefined) await stop;
      const bell = park<void>(scope, subject);
      this.#bell = bell;
      await bell.promise;
      for (let next = this.#next(); next !== undefined; next = this.#next())
        this.#start(group, next);
    }
  }

  #next(): ByteStream | undefined {
    return this.#hasPlace ? this.#waiting.shift() : undefined;
  }

  #start(group: TaskGroup<void>, stream: ByteStream): void {
    const served = new Served(stream, () => {
      this.#served.delete(served);
      if (this.#waiting.length > 0) this.#bell?.resume();
    });
    this.#served.add(served);
    try {
      served.task = group.createTask(() => this.#serve(served));
      served.task.listen(served);
    } catch (error) {
      this.#served.delete(served);
      stream.abort(); // the group is being cancelled
      if (!(error instanceof InvalidStateError)) throw error;
    }
  }

  async #serve(served: Served): Promise<void> {
    const { stream } = served;
    try {
      if (!(await this.#secured(stream))) return;
      await this.#handle(connectionOf(stream, this.#options));
    } catch (thrown) {
      const exception = recognised(thrown, here());
      if (exception instanceof CancelledError) throw exception;
      this.#report(exception, served);
    } finally {
      await served.end();
    }
  }

  async #handle(connection: Connection): Promise<void> {
    const { reader, writer } = connection;
    if (this.#options.cancelOnEof !== true) {
      await this.#handler(reader, writer, connection);
      return;
    }
    const scope = new CancelScope();
    const stop = reader.onEof(() => scope.cancel("the client has ended its side"));
    try {
      await scope.run(() => this.#handler(reader, writer, connection));
    } finally {
      stop();
    }
  }

  /**
   * False if the handshake has failed: any client can send garbage, so it is counted, and shown in
   * debug mode only.
   */
  async #secured(stream: ByteStream): Promise<boolean> {
    const { tls } = this.#options;
    if (tls === undefined) return true;
    try {
      await secureStream("`startServer`", stream, tls);
      return true;
    } catch (exception) {
      if (exception instanceof CancelledError || exception instanceof InvalidStateError)
        throw exception;
      this.failedHandshakes++;
      const { loop, task } = here();
      const message = `a TLS handshake of server ${this.name} has failed`;
      if (loop.debug) loop.callExceptionHandler({ message, exception, task });
      return false;
    }
  }

  /** A handler that ends because its peer is gone has not failed. */
  #report(exception: unknown, { stream, peer }: Served): void {
    const { loop, task } = here();
    if (isOwnLoss(exception, stream) && !loop.debug) return;
    const message = `a handler of server ${this.name} has failed; its connection to ${peer} is closed`;
    loop.callExceptionHandler({ message, exception, task });
  }

  #checkOutside(api: string): void {
    if (!this.#isInside()) return;
    const cure = "Call `server.close()`, or start a task outside the server that waits";
    throw new InvalidStateError(
      `${api} was called by a handler of server ${this.name}, or by a task that one waits for: it would wait for itself. ${cure}`,
    );
  }

  /** True if a handler waits for the running code to end, or is running itself. */
  #isInside(): boolean {
    const { task } = here();
    return (
      task !== undefined &&
      isNeededBy(task, new Set([...this.#served].map((served) => served.task)))
    );
  }

  #all(): ByteStream[] {
    return [...[...this.#served].map(({ stream }) => stream), ...this.#waiting];
  }
}
