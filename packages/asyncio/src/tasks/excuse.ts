/**
 * Errors that a call of ours throws, where the caller may be a listener of an emitter or a timer of
 * the host. Nothing catches an error there, and it would end the process. So the library reports it
 * instead.
 */

import { realHost } from "../kernel/host.ts";
import { globals } from "../ports/globals.ts";

const { process } = globals;

/** What was thrown since the host had its last turn, and its report. */
const excused: Map<unknown, () => void> = new Map();

/** Gives `error`, which is about to be thrown. If nothing catches it, `report` is called. */
export function excuse<E extends Error>(error: E, report: () => void): E {
  if (process === undefined) return error;
  if (excused.size === 0) {
    process.on("uncaughtException", uncaught);
    realHost.macrotask(() => {
      excused.clear();
      process.off("uncaughtException", uncaught);
    });
  }
  excused.set(error, report);
  return error;
}

/** `error` is what a run ends with: its caller hears of it, so it is no callback's any more. */
export function excuseNoMore(error: unknown): void {
  excused.delete(error);
}

const uncaught = (error: unknown): void => {
  const report = excused.get(error);
  if (report !== undefined) report();
  else if (process !== undefined && process.listenerCount("uncaughtException") === 1) {
    process.off("uncaughtException", uncaught);
    process.nextTick(() => {
      throw error;
    });
  }
};
