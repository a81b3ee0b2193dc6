/**
 * Rejections that reach the host unhandled. A listener of ours takes those of the library out.
 * Every other one is rejected a second time while the listener is off, so that the host does what
 * it would have done without us. Where the program listens as well, its listener decides.
 */

import { CancelledError } from "../errors/errors.ts";
import { attempt } from "../errors/render.ts";
import { runInRoot } from "./context-storage.ts";
import { globals } from "./globals.ts";
import { jsHost } from "./js-host.ts";

const { process } = globals;

/** Asked whether the library answers for a rejection, in the context in which it came about. */
export const rejectionHooks: Set<(reason: unknown) => boolean> = new Set();
/** Told of unhandled CancelledErrors. */
export const abandonedHooks: Set<(error: CancelledError) => void> = new Set();
/** The CancelledErrors that a run has ended with: only the program answers for these. */
export const leftRun: WeakSet<object> = new WeakSet();

let guarded = process === undefined;
/**
 * From now on the CancelledError of a branch that is not awaited does not crash the process, nor an
 * AbortError that it has caused. An async function of the program has made the branch's promise, so
 * the library cannot mark it as handled.
 */
export function guardAbandonedBranches(): void {
  if (guarded) return;
  guarded = true;
  runInRoot(() => process?.on("unhandledRejection", rejected));
}

let others: unknown[] = [];
function rejected(reason: unknown): void {
  if (answersFor(reason) || process?.listenerCount("unhandledRejection") !== 1) return;
  // After this batch, in which may be rejections of ours, and before anything else can happen.
  if (others.push(reason) === 1) process.nextTick(handBack);
}

function handBack(): void {
  process?.off("unhandledRejection", rejected);
  for (const reason of others) Promise.reject(reason);
  others = [];
  jsHost.macrotask(() => process?.on("unhandledRejection", rejected));
}

function answersFor(reason: unknown): boolean {
  const isAbort = attempt(() => (reason as Error).name) === "AbortError"; // the host's answer to a signal of ours
  const error = isAbort ? (reason as Error).cause : reason;
  if (error instanceof CancelledError && !leftRun.has(error)) {
    for (const tell of abandonedHooks) tell(error);
    return true;
  }
  return [...rejectionHooks].some((answers) => answers(reason));
}
