/**
 * Branches whose `await` was forgotten. The end of their scope cuts them off, and no code hears of
 * it. The promise of a branch is made by an async function of the program, so the library cannot
 * see whether code awaits it. But the host reports rejections that were not handled. A branch that
 * lost a race, or stood beside a branch that has failed, was handled by the code that combined
 * them, so it is not reported.
 */

import { advice, type CancelledError } from "../errors/errors.ts";
import { stackOf } from "../errors/render.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { cutOperations, describeScope } from "../kernel/reports.ts";
import type { Scope } from "../kernel/scope.ts";

const MOST_PLACES = 100;

/** The places that were reported, on each loop. */
const places: WeakMap<EventLoop, Set<string>> = new WeakMap();

/**
 * `error` was not handled. If it comes from the end of a scope, that is reported, once for each
 * place.
 */
export function reportForgotten(error: CancelledError): void {
  const what = cutOperations.get(error);
  if (what === undefined || what === "") return;
  const scope = error.scope as Scope; // a scope has cut it off
  const { loop, task } = scope;
  const message = `${describeScope(scope)} has ended, and a branch that nobody awaited was cut off while waiting for ${what}${advice("Await it, or start it in a group")}`;
  let known = places.get(loop);
  if (known === undefined) {
    known = new Set();
    places.set(loop, known);
  }
  const place = `${message.replace(/\d+(\.\d+)?/g, "#")} ${placeOf(error)}`;
  if (known.has(place) || known.size >= MOST_PLACES) return;
  known.add(place);
  loop.callExceptionHandler({ message, exception: error, task });
}

/**
 * The functions of the program that waited; what the host called meanwhile, stands above them and
 * differs.
 */
function placeOf(error: CancelledError): string {
  const stack = stackOf(error) ?? "";
  const waiting = stack.match(/^\s+at async .*$/gm);
  return waiting === null ? stack : waiting.join("\n");
}
