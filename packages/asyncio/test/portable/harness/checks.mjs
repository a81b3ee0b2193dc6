// What the portable programs check with, since no test runner runs on every runtime. Each check
// prints `ok - name` or `not ok - name: why`; the last line counts them.

import process from "node:process";
import * as asyncio from "asyncio-ts";

let passed = 0;
let failed = 0;

export async function check(name, body) {
  try {
    await body();
    passed++;
    console.log(`ok - ${name}`);
  } catch (error) {
    failed++;
    console.log(`not ok - ${name}: ${error?.stack ?? error}`);
  }
}

/** Checks in a run of its own, which is ended after 20 seconds. */
export function checkInRun(name, body) {
  return check(name, () => asyncio.run(() => asyncio.timeout(20, body), { signals: false }));
}

export function equal(found, expected) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) throw new Error(`expected ${b}, found ${a}`);
}

export async function failureOf(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("expected a rejection");
}

/** The last line of a program. */
export function summarise() {
  console.log(`# ${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}
