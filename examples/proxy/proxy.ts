// A TCP proxy: one task for each direction of each connection. What there is to learn from it:
//
// - Back-pressure goes through it: a chunk is read when the one before it has found room at the other
//   side, so memory stays flat however slow one of them is.
// - The end of one direction is passed on as the end of that direction (`writeEof`). The other goes on:
//   a client may send its question, end, and read the answer.
// - Two deadlines. The one for connecting is a `timeout` around it; the one for idleness is a `timeout`
//   around everything, which each chunk moves on.
// - A connection that breaks, or that is given up, is aborted on both sides: a reset. An orderly end
//   would tell the other side that what it has is all there is.

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

type Ends = readonly [asyncio.StreamReader, asyncio.StreamWriter];

/** Gives how it ended. */
async function serve(
  [reader, writer]: Ends,
  options: ProxyOptions,
  passed: { sent: number; received: number },
): Promise<string> {
  const { target, connectSeconds, idleSeconds } = options;
  let upstream: asyncio.Connection | undefined;
  let isDone = false;
  try {
    upstream = await asyncio.timeout(connectSeconds, () => asyncio.openConnection(target));
    const { reader: fromTarget, writer: toTarget } = upstream;
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
    upstream.writer.close();
    isDone = true;
    return "done";
  } catch (error) {
    if (error instanceof asyncio.TimeoutError)
      return upstream === undefined
        ? `no connection in ${connectSeconds} s`
        : `idle for ${idleSeconds} s`;
    if (isNetworkError(error))
      return `${upstream === undefined ? "no connection" : "lost"}: ${reason(error)}`;
    throw error;
  } finally {
    if (!isDone) upstream?.writer.abort();
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

function reason(error: Error): string {
  const [first] = error instanceof asyncio.ExceptionGroup ? error.flatten() : [error];
  return (first as Error).message;
}
