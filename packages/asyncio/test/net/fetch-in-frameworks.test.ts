/** `asyncio.fetch` where a web framework has put classes of its own in place of the host's. */

import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "../../src/index.ts";
import { virtual } from "../virtual.ts";

// As `@hono/node-server` does: responses of the host are none of its own, and lack what it asks.
for (const [on, wrap] of [
  ["the real loop", (body: () => Promise<void>) => () => asyncio.run(body, { signals: false })],
  ["a virtual loop", (body: () => Promise<void>) => virtual(body)],
] as const) {
  test(
    `a framework may have put a Response of its own in the host's place, on ${on}`,
    wrap(async () => {
      const HostResponse = globalThis.Response;
      class Foreign {
        static [Symbol.hasInstance](value: unknown): boolean {
          return Function.prototype[Symbol.hasInstance].call(HostResponse, value);
        }
        get body(): never {
          throw new TypeError("no response of the framework");
        }
        clone(): never {
          return this.body;
        }
      }
      Object.setPrototypeOf(Foreign.prototype, HostResponse.prototype);
      globalThis.Response = Foreign as unknown as typeof Response;
      try {
        const response = await asyncio.fetch("data:,hello");
        const copy = response.clone();
        await using reader = asyncio.readerFrom(response.body as ReadableStream);
        const [text, streamed] = [await copy.text(), await reader.read()];
        assert.deepEqual([text, new TextDecoder().decode(streamed)], ["hello", "hello"]);
      } finally {
        globalThis.Response = HostResponse;
      }
    }),
  );
}
