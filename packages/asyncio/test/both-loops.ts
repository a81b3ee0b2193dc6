// Tests of what holds on every loop: each body runs as main on the real loop, at the engine's own
// microtask order, and on a virtual one. Delays are a few milliseconds, which cost nothing on the
// second.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type EventLoop, HostLoop, run } from "../src/index.ts";
import { VirtualLoop } from "../src/testing.ts";
import { assertNothingLeft, collectReports } from "./virtual.ts";

export function onBothLoops(name: string, body: (loop: EventLoop) => PromiseLike<void>): void {
  const watchdog = Number.POSITIVE_INFINITY; // the runner of the tests ends what hangs: a busy machine is no failure
  const loops = {
    "real loop": () => new HostLoop(),
    "virtual loop": () => new VirtualLoop({ watchdog }),
  };
  for (const [kind, makeLoop] of Object.entries(loops)) {
    test(`${name} (${kind})`, async () => {
      const loop = makeLoop();
      const reports = collectReports(loop);
      const main = async (): Promise<void> => {
        await body(loop);
        assertNothingLeft(loop);
      };

      await run(main, { loop });

      assert.deepEqual(reports, []);
    });
  }
}
