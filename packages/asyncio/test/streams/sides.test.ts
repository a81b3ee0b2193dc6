import assert from "node:assert/strict";
import { test } from "node:test";
import { getRunningLoop, HostLoop, run } from "../../src/index.ts";
import { here } from "../../src/kernel/operation.ts";
import { ReadSide, type Sided } from "../../src/streams/sides.ts";

/** Whether a read goes on in the microtasks after its bytes came, with the budget spent. */
function goesOnAtOnce(isTurnOfHost: boolean): Promise<boolean> {
  return run(
    async () => {
      const stream = { describe: () => "a stream", waits() {} } as unknown as Sided;
      const side = new ReadSide(stream);
      let isThere = false;
      const read = side.wait(here(), 10).then(() => {
        isThere = true;
      });
      getRunningLoop().exhaustBudget();
      if (isTurnOfHost) side.hostTurned();
      side.arrived(new Uint8Array(1));
      for (let microtask = 0; microtask < 10; microtask++) await undefined;
      const answer = isThere;
      await read;
      return answer;
    },
    { loop: new HostLoop({ debug: false }) },
  );
}

test("bytes that the host brings begin a turn: their reader need not wait for the next one", async () => {
  assert.equal(await goesOnAtOnce(true), true);
  assert.equal(await goesOnAtOnce(false), false);
});
