// What the echo servers on Node share: they say on which port they listen, and answer each line on
// their standard input with what they have used so far. They end when that input does.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

export interface Usage {
  /** Connections that are open. */
  readonly connections: number;
  readonly cpuMs: number;
  /** Garbage collected; heap and the buffers outside of it. Absent where nobody knows. */
  readonly heapBytes?: number;
  readonly residentBytes: number;
}

/** The most that is read at once. */
export const chunkSize = 65_536;

/** Of the library's own tests. */
export function certificate(): { readonly cert: string; readonly key: string } {
  const folder = new URL("../../packages/asyncio/test/fixtures/tls/", import.meta.url);
  const text = (name: string): string => readFileSync(new URL(name, folder), "utf8");
  return { cert: text("server.pem"), key: text("server-key.pem") };
}

/** @param count - How many connections are open. @param close - Ends the server. */
export function serve(port: number, count: () => number, close: () => void): void {
  console.log(JSON.stringify({ port }));
  const lines = createInterface({ input: process.stdin });
  lines.on("line", () => console.log(JSON.stringify(usage(count()))));
  lines.on("close", close);
}

function usage(connections: number): Usage {
  const { user, system } = process.cpuUsage(); // before the collection, which is not the server's work
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external, rss } = process.memoryUsage();
  const cpuMs = (user + system) / 1000;
  return { connections, cpuMs, heapBytes: heapUsed + external, residentBytes: rss };
}
