// Demonstrates that cancelled timers do not pile up: sets and cancels timeouts in many tasks at
// once, and prints as one line of JSON how many entries the loop's timer heap had at most, and has
// at the end. Started by demonstrations.ts, with the size as its argument.

import { getRunningLoop, run, sleep, taskGroup, timeout } from "asyncio-ts";
import type { Size } from "../workload.ts";

export interface TimerHeapFinding {
  readonly timeouts: number;
  readonly mostEntries: number;
  readonly entriesLeft: number;
}

const { tasks, repeats } = JSON.parse(process.argv[2] ?? "") as Size; // demonstrations.ts passes one
const seconds = 3600;

const finding = await run(async (): Promise<TimerHeapFinding> => {
  const loop = getRunningLoop();
  let timeouts = 0;
  let mostEntries = 0;
  const hurry = async (): Promise<void> => {
    for (let turn = 0; turn < repeats; turn++) {
      // The body lets the others run, so that one timeout of each task is alive at any time.
      await timeout(seconds, () => sleep(0));
      timeouts++;
      mostEntries = Math.max(mostEntries, loop.statistics().timers);
    }
  };
  await taskGroup(async (group) => {
    for (let task = 0; task < tasks; task++) group.createTask(hurry);
  });
  return { timeouts, mostEntries, entriesLeft: loop.statistics().timers };
});
console.log(JSON.stringify(finding));
