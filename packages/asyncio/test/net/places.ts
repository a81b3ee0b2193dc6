// Where a server is tested, and what its handlers do.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";
import { collectReports } from "../virtual.ts";

const { openConnection, run } = asyncio;

export const text = (chunk: Uint8Array) => new TextDecoder().decode(chunk);
export const local = { host: "127.0.0.1" };

export type Handler = asyncio.ConnectionHandler;

/** Sends every line back. */
export const echo: Handler = async (reader, writer) => {
  for await (const line of reader) await writer.write(line);
};

/** Reads to the end. */
export const listen: Handler = async (reader) => {
  await reader.read();
};

export interface Place {
  readonly options: asyncio.ServerOptions;
  connect(server: asyncio.Server): Promise<asyncio.Connection>;
}

/** The same test on sockets of this machine, and on a simulated network in virtual time. */
export function everywhere(
  body: (place: Place) => Promise<void>,
  options: { reports?: RegExp[]; cancelGrace?: number; shutdownDelay?: number } = {},
): () => void {
  const { cancelGrace, shutdownDelay } = options;
  const check = async (loop: asyncio.EventLoop, main: () => Promise<void>): Promise<void> => {
    const reports = collectReports(loop);
    await run(main, { loop, shutdownDelay });
    const expected = options.reports ?? [];
    assert.equal(reports.length, expected.length, JSON.stringify(reports));
    for (const [index, pattern] of expected.entries())
      assert.match(`${reports[index]?.message}: ${reports[index]?.exception}`, pattern);
  };

  return () => {
    test("on sockets", async () => {
      const place: Place = {
        options: local,
        connect: (server) => openConnection("127.0.0.1", server.sockets[0].port),
      };
      await check(new asyncio.HostLoop({ cancelGrace }), () => body(place));
    });

    test("on a simulated network", async () => {
      const network = new testing.SimulatedNetwork({ latency: 0.001, chunks: "random", seed: 1 });
      const place: Place = {
        options: {},
        connect: (server) =>
          network.host("client").run(() => openConnection("server", server.sockets[0].port)),
      };
      await check(new testing.VirtualLoop({ cancelGrace }), () =>
        network.host("server").run(() => body(place)),
      );
    });
  };
}
