/**
 * Servers. A server is a task that owns a task group: a child accepts connections, and each connection is served by a
 * child. So whoever owns the server owns its handlers: when the run ends, when the server is disposed, or when its task is
 * cancelled for any other reason, the listener is closed, the handlers are cancelled, and their connections closed.
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
  checkSeconds,
  InvalidStateError,
  rangeError,
} from "../kernel/errors.ts";
import { completed, here } from "../kernel/here.ts";
import { park } from "../kernel/scope.ts";
import { createTask, type Task } from "../kernel/task.ts";
import { WaitList } from "../kernel/wait.ts";
import {
  type Address,
  type ByteStream,
  describeAddress,
  type Listener,
  type ListenOptions,
} from "../ports/network.ts";
import { checkLimit, type ReaderOptions, StreamReader } from "../streams/reader.ts";
import type { ServerTlsOptions } from "../streams/tls-options.ts";
import { StreamWriter, type WriterOptions, waterMarks } from "../streams/writer.ts";
import { isNeededBy } from "../tasks/owners.ts";
import { type TaskGroup, taskGroup } from "../tasks/task-group.ts";
import { cleanup, moveOnAfter } from "../tasks/timeouts.ts";
import { checkPort, networkHere, secureStream } from "./connection.ts";
import { nodeNetwork } from "./node-network.ts";
import { checkTlsOptions, readCertificates } from "./tls.ts";
import { checkUnixPath } from "./unix-path.ts";

/** Serves one connection, which is closed when it ends, and when it fails. */
export type ConnectionHandler = (
  reader: StreamReader,
  writer: StreamWriter,
) => PromiseLike<unknown>;

/** What servers of all kinds take. */
export interface ServingOptions extends ReaderOptions, WriterOptions {
  /** Handlers that run at the same time. Connections above that wait, unread, until one ends. @default Infinity */
  readonly maxConnections?: number | undefined;
  /**
   * How many wait so; one above that is refused. Also how many the operating system keeps until they are accepted.
   * @default 100, and for the operating system that of the host
   */
  readonly backlog?: number | undefined;
  /** What reports call it. @default its address */
  readonly name?: string | undefined;
  /** Begins TLS on every connection; the handler is called when the handshake is done. */
  readonly tls?: ServerTlsOptions | undefined;
}

export interface ServerOptions
  extends ServingOptions,
    Pick<ListenOptions, "port" | "noDelay" | "keepAlive" | "ipv6Only" | "reusePort"> {
  /** An address of this machine, or several. @default all */
  readonly host?: string | readonly string[] | undefined;
}

export interface UnixServerOptions extends ServingOptions {
  /** Removes the path when the server is closed, if it is still the server's own. @default true */
  readonly cleanupSocket?: boolean | undefined;
}

export interface DrainOptions {
  /** Seconds that handlers have to end, before they are cancelled. @default 0 */
  readonly drain?: number | undefined;
}

const DEFAULT_BACKLOG = 100;
/** That of the streams of both networks. */
const HIGH_WATER_MARK = 65_536;
/** Seconds in which the last bytes of a connection may leave whose handler was cancelled. */
const LAST_WORDS = 5;

/**
 * Listens for TCP connections, and calls `handler` for each in a task of its own. It listens when the promise resolves.
 * The server belongs to the run: when that ends, at the latest, it is closed, and its handlers are cancelled and awaited.
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
  const options: ServerOptions = isHost
    ? { ...more, host: hostOrOptions as string | readonly string[] | undefined, port }
    : ((hostOrOptions as ServerOptions | undefined) ?? {});
  checkServing(api, handler, options);
  checkPort(api, options.port ?? 0);
  const hosts =
    typeof options.host === "string" || options.host === undefined ? [options.host] : options.host;
  if (hosts.length === 0) throw rangeError(api, "a host or more", options.host);
  return await serve(
    api,
    handler,
    options,
    hosts.map((host) => ({ ...options, host })),
  );
}

/** Listens on a Unix socket, or a named pipe of Windows. A socket that is left at `path` is replaced. As `startServer`. */
export async function startUnixServer(
  handler: ConnectionHandler,
  path: string,
  options: UnixServerOptions = {},
): Promise<Server> {
  const api = "`startUnixServer`";
  checkUnixPath(api, path);
  checkServing(api, handler, options);
  const { backlog, cleanupSocket } = options;
  return await serve(api, handler, options, [{ path, backlog, cleanupSocket }]);
}

function checkServing(api: string, handler: unknown, options: ServingOptions): void {
  checkCoroutine(api, handler);
  const { maxConnections = 1, backlog = 1, limit, tls } = options;
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
  waterMarks(api, options, HIGH_WATER_MARK);
  if (limit !== undefined) checkLimit(api, limit);
  if (tls !== undefined) checkTlsOptions(api, tls, true);
}

async function serve(
  api: string,
  handler: ConnectionHandler,
  options: ServingOptions,
  places: readonly ListenOptions[],
): Promise<Server> {
  const network = networkHere();
  if (options.tls !== undefined && network === nodeNetwork) readCertificates(api, options.tls);
  const listeners: Listener[] = [];
  try {
    for (const place of places) listeners.push(await network.listen(place));
    return new Server(handler, listeners, options);
  } catch (error) {
    for (const listener of listeners) listener.close();
    throw error;
  }
}

const LOSSES: readonly unknown[] = ["ECONNABORTED", "ECONNRESET", "EPIPE", "ETIMEDOUT"];

/** Whether a handler has failed because its connection is lost, or was closed under it. Its two directions may tell so in different words. */
function isLoss(exception: unknown, { lost, isClosing = false }: ByteStream): boolean {
  if ((lost === undefined && !isClosing) || !(exception instanceof Error)) return false;
  return exception === lost || LOSSES.includes((exception as { code?: unknown }).code);
}

/** A server that listens. Made by `startServer` and `startUnixServer`. */
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
  /** The connections that have a handler, and its task. */
  readonly #served: Map<ByteStream, Task<void> | undefined> = new Map();
  /** Those that wait for one to end. */
  readonly #waiting: ByteStream[] = [];
  #isClosed = false;
  /** True once it is closed and every handler has ended. */
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
  }

  /** Closes all connections, after what was written has left. Their handlers read to the end. Not a wait. */
  closeClients(): void {
    for (const stream of this.#all()) stream.close();
  }

  /** Closes all connections at once: what is on its way is dropped. Not a wait. */
  abortClients(): void {
    for (const stream of this.#all()) stream.abort();
  }

  /**
   * Waits until it was closed and the last handler has ended. A checkpoint.
   * @throws InvalidStateError in a handler, and in a task that one waits for: it would wait for itself.
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
   * Waits until it was closed and the last handler has ended. Cancelled, as by a signal to the program, it closes the
   * server, gives the handlers `drain` seconds to end, cancels the others, and waits for them. For a program whose
   * main has nothing else to do.
   * @throws InvalidStateError when the server was closed before, or the second time.
   */
  async serveForever(options: DrainOptions = {}): Promise<void> {
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
   * Drains it: takes no more connections, gives the handlers `seconds` to end, cancels the others, and waits for them.
   * Cancelled, it does not wait until then. Handlers learn of it by `server.isServing()`.
   * @throws InvalidStateError in a handler, and in a task that one waits for: it would wait for itself.
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

  /** The task that owns the handlers is joined: a cancellation meanwhile is delivered when they have ended. */
  async #stop(): Promise<void> {
    this.close();
    this.#task.cancel();
    if (this.#isInside()) return;
    await cleanup(Number.POSITIVE_INFINITY, () => this.waitClosed());
  }

  async #supervise(): Promise<void> {
    try {
      await taskGroup(async (group) => {
        for (const listener of this.#listeners)
          group.createTask(() => this.#accept(group, listener));
      });
    } finally {
      this.close();
      for (const stream of this.#waiting.splice(0)) stream.abort();
      this.#hasEnded = true;
      this.#closers.resumeAll(undefined);
    }
  }

  async #accept(group: TaskGroup<void>, listener: Listener): Promise<void> {
    const { maxConnections = Number.POSITIVE_INFINITY, backlog = DEFAULT_BACKLOG } = this.#options;
    try {
      for (;;) {
        const stream = await listener.accept();
        if (this.#served.size < maxConnections) this.#start(group, stream);
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

  #start(group: TaskGroup<void>, stream: ByteStream): void {
    this.#served.set(stream, undefined); // the task may run at once
    try {
      const task = group.createTask(() => this.#serve(group, stream));
      this.#served.set(stream, task);
    } catch (error) {
      this.#served.delete(stream);
      stream.abort(); // the group is being cancelled
      if (!(error instanceof InvalidStateError)) throw error;
    }
  }

  async #serve(group: TaskGroup<void>, stream: ByteStream): Promise<void> {
    try {
      if (!(await this.#secured(stream))) return;
      const reader = new StreamReader(stream, this.#options);
      await this.#handler(reader, new StreamWriter(stream, this.#options, reader));
    } catch (exception) {
      if (exception instanceof CancelledError) throw exception;
      this.#report(exception, stream);
    } finally {
      await this.#end(stream);
      this.#served.delete(stream);
      const next = this.#waiting.shift();
      if (next !== undefined) this.#start(group, next);
    }
  }

  /** False if the handshake has failed: anybody can knock with garbage, so it is counted, and shown in debug mode only. */
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
  #report(exception: unknown, stream: ByteStream): void {
    const { loop, task } = here();
    if (isLoss(exception, stream) && !loop.debug) return;
    const peer = describeAddress(stream.remoteAddress);
    const message = `a handler of server ${this.name} has failed; its connection to ${peer} is closed`;
    loop.callExceptionHandler({ message, exception, task });
  }

  /** Lets what was written leave. Only for some seconds if the server is in a hurry: the peer may never read it. */
  async #end(stream: ByteStream): Promise<void> {
    stream.close();
    const scope = here();
    let isGone = false;
    try {
      if (scope.peekInterruption() === undefined && scope.cancelling() === 0) {
        await stream.waitClosed();
        isGone = true;
      }
    } finally {
      if (!isGone) {
        const closed = await cleanup(LAST_WORDS, async () => {
          await stream.waitClosed();
          return true;
        });
        if (closed === undefined) stream.abort();
      }
    }
  }

  #checkOutside(api: string): void {
    if (!this.#isInside()) return;
    const cure = "Call `server.close()`, or start a task outside the server that waits";
    throw new InvalidStateError(
      `${api} was called by a handler of server ${this.name}, or by a task that one waits for: it would wait for itself. ${cure}`,
    );
  }

  /** True iff a handler waits for the running code to end, or is running itself. */
  #isInside(): boolean {
    const { task } = here();
    return task !== undefined && isNeededBy(task, new Set(this.#served.values()));
  }

  #all(): ByteStream[] {
    return [...this.#served.keys(), ...this.#waiting];
  }
}
