/** What servers take, and the checks of it. */

import {
  argumentError,
  checkCoroutine,
  checkOptions,
  checkSeconds,
  rangeError,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { checkStreamOptions } from "../streams/connection.ts";
import type { ListenOptions } from "../streams/network.ts";
import { READER, type ReaderOptions } from "../streams/reader.ts";
import type { ServerTlsOptions } from "../streams/tls-options.ts";
import { WRITER, type WriterOptions } from "../streams/writer.ts";
import { checkTlsOptions } from "./tls.ts";

/** What servers of all kinds take. */
export interface ServingOptions extends ReaderOptions, WriterOptions {
  /**
   * Handlers that run at the same time. Connections above that wait, unread, until one ends.
   * @default Infinity
   */
  readonly maxConnections?: number | undefined;
  /**
   * How many connections may wait for a handler. One more is refused. It is also how many
   * connections the operating system keeps until they are accepted.
   * @default 100, and for the operating system that of the host
   */
  readonly backlog?: number | undefined;
  /** What reports call it. @default its address */
  readonly name?: string | undefined;
  /** Begins TLS on every connection; the handler is called when the handshake is done. */
  readonly tls?: ServerTlsOptions | undefined;
  /**
   * Cancels a handler when its client ends its side, or is lost, while the handler is not reading.
   * (A read tells the handler itself.) To notice the end, up to `limit` bytes are read ahead. Do
   * not use it for protocols whose clients end their side and then wait for the answer.
   * @default false
   */
  readonly cancelOnEof?: boolean | undefined;
}

/** What `startServer` takes. */
export interface ServerOptions
  extends ServingOptions,
    Pick<ListenOptions, "port" | "noDelay" | "keepAlive" | "ipv6Only" | "reusePort"> {
  /**
   * One or several addresses of this machine. A name stands for all the addresses it has. @default
   * all
   */
  readonly host?: string | readonly string[] | undefined;
}

const SERVING: Names<ServingOptions> = {
  ...READER,
  ...WRITER,
  maxConnections: 1,
  backlog: 1,
  name: "string",
  tls: 1,
  cancelOnEof: "boolean",
};
export const SERVER: Names<ServerOptions> = {
  ...SERVING,
  host: 1,
  port: 1,
  noDelay: "boolean",
  keepAlive: "boolean",
  ipv6Only: "boolean",
  reusePort: "boolean",
};

/** What `startUnixServer` takes. */
export interface UnixServerOptions extends ServingOptions {
  /**
   * Removes the path when the server is closed, if the path still belongs to the server. @default
   * true
   */
  readonly cleanupSocket?: boolean | undefined;
}

export const UNIX: Names<UnixServerOptions> = { ...SERVING, cleanupSocket: "boolean" };

/** What `server.serveForever` takes. */
export interface DrainOptions {
  /** Seconds that handlers have to end, before they are cancelled. @default 0 */
  readonly drain?: number | undefined;
}

const DRAIN: Names<DrainOptions> = { drain: 1 };

/** @throws TypeError or RangeError, in the name of the call that was made. */
export function checkServing(api: string, handler: unknown, options: ServingOptions): void {
  checkCoroutine(api, handler);
  const { maxConnections = 1, backlog = 1, tls } = options;
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
  checkStreamOptions(api, options);
  if (tls !== undefined) checkTlsOptions(api, tls, true);
}

/** Seconds that handlers have to end. @throws TypeError or RangeError. */
export function checkDrain(api: string, options: DrainOptions): number {
  checkOptions(api, options, DRAIN);
  const { drain = 0 } = options;
  checkSeconds(api, "`drain` in seconds", drain);
  return drain;
}
