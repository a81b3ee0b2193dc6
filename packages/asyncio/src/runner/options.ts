/** What a run can be told. */

import { argumentError, checkOptions, checkSeconds, rangeError } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { checkSignal } from "../tasks/abort.ts";
import { checkSignalNames, type SignalName } from "./signals.ts";

/** Options of `run` and `new Runner`. */
export interface RunOptions {
  /**
   * Reports slow steps, lost races and swallowed cancellations. @default the loop's,
   * ASYNCIO_DEBUG=1
   */
  readonly debug?: boolean | undefined;
  /** The loop to run on. It is not closed afterwards. @default a HostLoop of its own */
  readonly loop?: EventLoop | undefined;
  /** Which signals cancel main; false for none. @default ["SIGINT", "SIGTERM"] */
  readonly signals?: readonly SignalName[] | false | undefined;
  /** Seconds to clean up in after a cancellation; then each operation rejects. @default 5 */
  readonly cancelGrace?: number | undefined;
  /**
   * Seconds that tasks which main has left behind get to end, after they were cancelled. Then they
   * are reported, and the run ends without them. @default 10
   */
  readonly shutdownDelay?: number | undefined;
  /** Cancels main when it aborts. The run then rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
}

const KNOWN: Names<Omit<RunOptions, "loop">> & { loop: "EventLoop" } = {
  debug: "boolean",
  loop: "EventLoop",
  signals: 1,
  cancelGrace: 1,
  shutdownDelay: 1,
  signal: "AbortSignal",
};
export const DEFAULT_SHUTDOWN_DELAY = 10;
export const DEFAULT_SIGNALS: readonly SignalName[] = ["SIGINT", "SIGTERM"];

/** @throws TypeError or RangeError, in the name of the call that was made. */
export function checkRunOptions(api: string, options: RunOptions): void {
  checkOptions(api, options, KNOWN);
  checkSignal(options.signal);
  const { shutdownDelay, cancelGrace, debug, loop, signals } = options;
  for (const [name, seconds] of Object.entries({ shutdownDelay, cancelGrace })) {
    if (seconds === undefined) continue;
    checkSeconds(api, `\`${name}\` in seconds`, seconds);
    if (seconds < 0) throw rangeError(api, `\`${name}\` of 0 seconds or more`, seconds);
  }
  if (signals !== undefined && signals !== false)
    checkSignalNames(api, "`signals` to be false or an array", signals);
  if (loop !== undefined && (debug !== undefined || cancelGrace !== undefined)) {
    throw argumentError(api, "`debug` and `cancelGrace` to be options of the `loop`", options);
  }
}
