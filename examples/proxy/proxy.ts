// A TCP proxy: one task for each direction of each connection. What there is to learn from it:
//
// - Back-pressure goes through it: a chunk is read when the one before it has found room at the
//   other side, so memory stays flat however slow one of them is.
// - The end of one direction is passed on as the end of that direction (`writeEof`). The other goes
//   on: a client may send its question, end, and read the answer.
// - Two deadlines. The one for connecting is a `timeout` around it; the one for idleness is a
//   `timeout` around everything, which each chunk moves on.
// - A connection that breaks, or that is given up, is aborted on both sides: a reset. An orderly
//   end would tell the other side that what it has is all there is.

import * as asyncio from "asyncio-ts";
import { type HostAndPort, isNetworkError } from "../command-line.ts";

export interface ProxyOptions {
  readonly target: HostAndPort;
  /** Seconds that connecting to the target may take. */
  readonly connectSeconds: number;
  /** Seconds without a byte in either direction, after which a connection is given up. */
  readonly idleSeconds: number;
  /** Called when a connection has ended. */
  readonly onEnd?: ((summary: Summary) => void) | undefined;
}

export interface Summary {
  readonly client: string;
  /** Bytes from the client to the target. */
  readonly sent: number;
  /** Bytes from the target to the client. */
  readonly received: number;
  readonly seconds: number;
  /** Why it ended: "done" if both sides have ended it in good order. */
  readonly ending: string;
}

/** Serves one client; for `startServer`. */
export function proxyTo(options: ProxyOptions): asyncio.ConnectionHandler {
  return async (reader, writer) => {
    const loop = asyncio.getRunningLoop();
    const startedAt = loop.time();
    const passed = { sent: 0, received: 0 };
    let ending = "cut off by the end of the proxy";
    try {
      ending = await serve([reader, writer], options, passed);
    } finally {
      if (ending !== "done") writer.abort();
      const { host, port } = writer.getExtraInfo("peername") ?? { host: "?", port: 0 };
      const seconds = loop.time() - startedAt;
      options.onEnd?.({ client: `${host}:${port}`, ...passed, seconds, ending });
    }
  };
}

/** Bytes that have gone through. */
export interface Passed {
  sent: number;
  received: number;
}

type Ends = readonly [asyncio.StreamReader, asyncio.StreamWriter];

/** Gives how it ended. */
async function serve(client: Ends, options: ProxyOptions, passed: Passed): Promise<string> {
  const { target, connectSeconds, idleSeconds } = options;
  let upstream: asyncio.Connection | undefined;
  try {
    upstream = await asyncio.timeout(connectSeconds, () => asyncio.openConnection(target));
    return await passBoth(client, upstream, idleSeconds, passed);
  } catch (error) {
    if (error instanceof asyncio.TimeoutError) return `no connection in ${connectSeconds} s`;
    if (isNetworkError(error)) return `no connection: ${reasonOf(error)}`;
    throw error;
  }
}

/**
 * Passes on what comes from either side until both have ended, one is lost, or nothing has come for
 * `idleSeconds`. Closes `upstream`, and gives how it ended: "done" if that was in good order.
 */
export async function passBoth(
  [reader, writer]: Ends,
  upstream: asyncio.Connection,
  idleSeconds: number,
  passed: Passed,
): Promise<string> {
  const { reader: fromTarget, writer: toTarget } = upstream;
  let isDone = false;
  try {
    await asyncio.timeout(idleSeconds, async (idle) => {
      const moved = () => {
        // A chunk may come through in the very moment in which the deadline passes.
        if (!idle.expired()) idle.reschedule(asyncio.getRunningLoop().time() + idleSeconds);
      };
      await asyncio.taskGroup(async (group) => {
        group.createTask(() =>
          pass(reader, toTarget, (count) => {
            passed.sent += count;
            moved();
          }),
        );
        await pass(fromTarget, writer, (count) => {
          passed.received += count;
          moved();
        });
      });
    });
    toTarget.close();
    isDone = true;
    return "done";
  } catch (error) {
    if (error instanceof asyncio.TimeoutError) return `idle for ${idleSeconds} s`;
    if (isNetworkError(error)) return `lost: ${reasonOf(error)}`;
    throw error;
  } finally {
    if (!isDone) toTarget.abort();
  }
}

/** Passes on what comes, and the end. `count` is told each time that something has gone through. */
async function pass(
  from: asyncio.StreamReader,
  to: asyncio.StreamWriter,
  count: (bytes: number) => void,
): Promise<void> {
  for await (const chunk of from.chunks()) {
    await to.write(chunk);
    count(chunk.length);
  }
  to.writeEof();
}

/** What to say of an error of the network. */
export function reasonOf(error: Error): string {
  const [first] = error instanceof asyncio.ExceptionGroup ? error.flatten() : [error];
  return (first as Error).message;
}
