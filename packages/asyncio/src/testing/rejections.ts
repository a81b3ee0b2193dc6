/**
 * Promises of the code under test that fail before they are awaited. The host reports them when all
 * its microtasks have run, mostly some schedules later. It does so in the context in which they
 * came about, so the trial they belong to is known (not on Bun). A framework that listens for the
 * same event fails its test as well.
 */

import { scopeAround } from "../kernel/context.ts";
import { realHost } from "../kernel/host.ts";
import { guardAbandonedBranches, rejectionHooks } from "../ports/uncaught.ts";

/** Who is told of the rejections on its loop. */
interface Answerable {
  rejected(reason: unknown): void;
}

/** For how many tests rejections are watched. */
let tests = 0;

function tellTrial(reason: unknown): boolean {
  const host = scopeAround()?.loop.host as Partial<Answerable> | undefined; // a Trial is one
  host?.rejected?.(reason);
  return host?.rejected !== undefined;
}

/** Tells trials of the rejections on their loops, until the function that it gives is called. */
export function watchRejections(): () => void {
  guardAbandonedBranches();
  tests++;
  rejectionHooks.add(tellTrial);
  return () => {
    if (--tests === 0) rejectionHooks.delete(tellTrial);
  };
}

/** Lets the host have its turn: timers, I/O, and unhandled rejections. */
export function turnOfHost(): Promise<void> {
  return new Promise((resolve) => realHost.macrotask(resolve));
}
