/**
 * Fake timers of test frameworks. The library took the host's timers when it was loaded, so a clock
 * that a test moves by hand does not reach a real loop: what sleeps there takes as long as it says.
 * Fakes that were there before and reach into Node's own modules, as those of node:test do, were
 * taken for the host's, and every loop hangs. The reasons would be hard to guess.
 */

import { globals } from "../ports/globals.ts";
import { hostSetTimeout } from "../ports/js-host.ts";

const { setTimeout: atLoad } = globals;
let isLookedFor = true;

/** Called when something on a real loop begins to wait for time: reports fake timers, once. */
export function noticeFakeTimers(): void {
  noticeOwnFakes();
  const { setTimeout: current } = globals;
  if (!isLookedFor || (current === atLoad && !wasFake) || !isFake(current)) return;
  report(
    "waits in real time, but the timers of the program are fake: their clock ends no `sleep`. Test with `runTest` of asyncio-ts/testing, or on a `VirtualLoop`",
  );
}

/** Called when a loop in virtual time is made as well: it too needs the host to have its turns. */
export function noticeOwnFakes(): void {
  if (!isLookedFor || !areOwnFake) return;
  report(
    "was loaded under fake timers, and hangs until somebody moves their clock. Import it before them",
  );
}

function report(what: string): void {
  isLookedFor = false;
  globals.console.error(`asyncio-ts ${what}`);
}

const wasFake = /* @__PURE__ */ isFake(atLoad);
const areOwnFake = /* @__PURE__ */ isFake(hostSetTimeout);

/** The fakes of sinon, so of Vitest and Jest; of Jest before; of node:test; of Deno's library. */
function isFake(setTimeout: object): boolean {
  const { clock, _isMockFunction, name } = setTimeout as unknown as Record<string, unknown>;
  if (typeof clock === "object" || _isMockFunction === true) return true;
  return name === "bound #createTimer" || name === "fakeSetTimeout";
}
