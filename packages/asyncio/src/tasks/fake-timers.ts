/**
 * Fake timers of test frameworks. The library took the host's timers when it was loaded, so a clock
 * that a test moves by hand does not reach a real loop: what sleeps there hangs, or takes as long
 * as it says. The reason would be hard to guess.
 */

import { globals } from "../ports/globals.ts";

const { setTimeout: original } = globals;
let isLookedFor = true;

/** Called when something on a real loop begins to wait for time: reports fake timers, once. */
export function noticeFakeTimers(): void {
  const { setTimeout: current } = globals;
  if (!isLookedFor || (current === original && !wasFake)) return;
  const found = wasFake ? original : current;
  if (!isFake(found)) return;
  isLookedFor = false;
  globals.console.error(
    `asyncio-ts ${
      wasFake
        ? "was loaded under fake timers, and hangs until somebody moves their clock. Import it before them"
        : "waits in real time, but the timers of the program are fake: their clock ends no `sleep`"
    }. Test with \`runTest\` of asyncio-ts/testing, or on a \`VirtualLoop\``,
  );
}

const wasFake = /* @__PURE__ */ isFake(original);

/** The fakes of sinon, so of Vitest and Jest; of Jest before; of node:test; of Deno's library. */
function isFake(setTimeout: object): boolean {
  const { clock, _isMockFunction, name } = setTimeout as unknown as Record<string, unknown>;
  if (typeof clock === "object" || _isMockFunction === true) return true;
  return name === "bound #createTimer" || name === "fakeSetTimeout";
}
