// The same with the timers of the host.

import { mix, type Workload } from "../../workload.ts";
import { delayMsOf } from "./delays.ts";

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    let checksum = 0;
    const fire = (): void => {
      throw new Error("a timer of an hour has fired");
    };
    for (let batch = 0; batch < repeats; batch++) {
      const alive: NodeJS.Timeout[] = [];
      for (let timer = 0; timer < tasks; timer++) alive.push(setTimeout(fire, delayMsOf(timer)));
      for (const timer of alive) clearTimeout(timer);
      checksum = mix(checksum, alive.length);
    }
    return checksum;
  };
