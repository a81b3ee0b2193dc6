// Timers of the loop, `tasks` of them alive at once, in no order, all cancelled before they fire.

import { getRunningLoop, type Handle } from "asyncio-ts";
import { mix, type Workload } from "../../workload.ts";
import { delayMsOf } from "./delays.ts";

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    const loop = getRunningLoop();
    let checksum = 0;
    const fire = (): void => {
      throw new Error("a timer of an hour has fired");
    };
    for (let batch = 0; batch < repeats; batch++) {
      const alive: Handle[] = [];
      for (let timer = 0; timer < tasks; timer++)
        alive.push(loop.callLater(delayMsOf(timer) / 1000, fire));
      for (const handle of alive) handle.cancel();
      checksum = mix(checksum, alive.length);
    }
    return checksum;
  };
