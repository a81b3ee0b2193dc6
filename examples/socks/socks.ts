// A proxy that connects its clients to wherever they say (SOCKS 5, or CONNECT of HTTP). What there
// is to learn from it, beside what ../proxy/proxy.ts has to tell of the two directions:
//
// - A protocol of bytes: each field is read with `readExactly`, whose errors say that the client
//   has gone. One deadline around all of it does for a client that says nothing, and for one that
//   says a byte a minute.
// - One `try` for connecting, which makes an answer of every way in which it may fail, in the words
//   of the client's own protocol.
// - Who is asked to connect to anything will be asked to connect to this machine itself: `allows`
//   is told where a client wants to go.

import * as asyncio from "asyncio-ts";
import { type HostAndPort, isNetworkError } from "../command-line.ts";
import { passBoth, reasonOf, type Summary } from "../proxy/proxy.ts";
import {
  BadRequest,
  type ConnectRequest,
  type Failure,
  readRequest,
  type Users,
} from "./requests.ts";

export interface SocksOptions {
  readonly users?: Users;
  /** Where clients may go. @default everywhere */
  readonly allows?: ((target: HostAndPort) => boolean) | undefined;
  /** Seconds in which a client has to say where it wants to go. */
  readonly requestSeconds: number;
  /** Seconds that connecting may take. */
  readonly connectSeconds: number;
  /** Seconds without a byte in either direction, after which a connection is given up. */
  readonly idleSeconds: number;
  /** Called when a connection has ended. */
  readonly onEnd?: ((summary: SocksSummary) => void) | undefined;
}

export interface SocksSummary extends Summary {
  /** Undefined if the client has not said it. */
  readonly target: HostAndPort | undefined;
}

type Ends = readonly [asyncio.StreamReader, asyncio.StreamWriter];

/** Serves one client; for `startServer`. */
export function serveSocks(options: SocksOptions): asyncio.ConnectionHandler {
  return async (reader, writer) => {
    const loop = asyncio.getRunningLoop();
    const startedAt = loop.time();
    const passed = { sent: 0, received: 0 };
    let target: HostAndPort | undefined;
    let ending = "cut off by the end of the proxy";
    try {
      const request = await readInTime([reader, writer], options);
      if (typeof request === "string") ending = request;
      else {
        target = request.target;
        ending = await serve(request, [reader, writer], options, passed);
      }
    } finally {
      const { host, port } = writer.getExtraInfo("peername") ?? { host: "?", port: 0 };
      const seconds = loop.time() - startedAt;
      options.onEnd?.({ client: `${host}:${port}`, target, ...passed, seconds, ending });
    }
  };
}

/** Gives the request, or why there is none. */
async function readInTime(client: Ends, options: SocksOptions): Promise<ConnectRequest | string> {
  const { requestSeconds, users } = options;
  const [, writer] = client;
  try {
    return await asyncio.timeout(requestSeconds, () => readRequest(client, users));
  } catch (error) {
    if (error instanceof BadRequest) {
      if (error.answer.length > 0) void writer.write(error.answer);
      return error.message;
    }
    writer.abort();
    if (error instanceof asyncio.TimeoutError) return `no request in ${requestSeconds} s`;
    if (error instanceof asyncio.IncompleteReadError) return "left before it said anything";
    if (error instanceof asyncio.LimitOverrunError) return "a request that is too long";
    if (isNetworkError(error)) return `lost: ${reasonOf(error)}`;
    throw error;
  }
}

/** Gives how it ended. */
async function serve(
  request: ConnectRequest,
  client: Ends,
  options: SocksOptions,
  passed: { sent: number; received: number },
): Promise<string> {
  const { allows = () => true, connectSeconds, idleSeconds } = options;
  const { target } = request;
  const [, writer] = client;
  let upstream: asyncio.Connection;
  try {
    if (!allows(target)) throw new BadRequest("is not allowed to go there");
    upstream = await asyncio.timeout(connectSeconds, () => asyncio.openConnection(target));
  } catch (error) {
    const failure = failureOf(error);
    if (failure === undefined) throw error;
    void writer.write(request.failed(failure));
    return `no connection: ${(error as Error).message}`;
  }
  // The server lets this leave, as everything that comes from the target.
  void writer.write(request.granted(upstream.writer.getExtraInfo("sockname") ?? target));
  let ending: string | undefined;
  try {
    ending = await passBoth(client, upstream, idleSeconds, passed);
    return ending;
  } finally {
    if (ending !== "done") writer.abort();
  }
}

function failureOf(error: unknown): Failure | undefined {
  if (error instanceof BadRequest) return "forbidden";
  if (error instanceof asyncio.TimeoutError) return "late";
  if (!isNetworkError(error) && !(error instanceof AggregateError)) return undefined;
  switch ((error as { readonly code?: string }).code) {
    case "ECONNREFUSED":
      return "refused";
    case "ENETUNREACH":
      return "no network";
    case "EHOSTUNREACH":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "no host";
    case "ETIMEDOUT":
      return "late";
    default:
      return "broken";
  }
}
