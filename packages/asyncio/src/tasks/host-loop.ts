/** The loop in real time, and the question for the loop of the running code. */

import { type EventLoopOptions, realHost } from "../kernel/host.ts";
import { EventLoop } from "../kernel/loop.ts";
import { here } from "../kernel/operation.ts";

/**
 * A loop in real time, on the event loop of Node, Deno or Bun.
 *
 * @example
 * const loop = new asyncio.HostLoop({ cancelGrace: 2 });
 * assert.equal(await asyncio.run(() => asyncio.sleep(0.001, "done"), { loop }), "done");
 */
export class HostLoop extends EventLoop {
  constructor(options?: EventLoopOptions) {
    super(realHost, options);
  }
}

/** The loop of the running code; outside every task the default loop, which real time drives. */
export function getRunningLoop(): EventLoop {
  return here().loop;
}
