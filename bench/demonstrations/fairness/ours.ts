// Spins in tasks of ours, and prints the finding as one line of JSON. Started by demonstrations.ts.

import { Queue, run, sleep, taskGroup } from "asyncio-ts";
import { type FairnessFinding, type FairnessPlan, Spin } from "./spin.ts";

const plan = JSON.parse(process.argv[2] ?? "") as FairnessPlan; // demonstrations.ts passes one

async function takeFromQueue(spin: Spin): Promise<void> {
  const queue = new Queue<number>();
  queue.putNowait(0);
  queue.putNowait(1);
  while (spin.turn()) queue.putNowait(await queue.get());
}

async function takeTurns(spin: Spin): Promise<void> {
  while (spin.turn()) await sleep(0);
}

const finding = await run(() =>
  taskGroup(async (group): Promise<FairnessFinding> => {
    const spin = new Spin(plan.limitMs);
    const measuring = group.createTask(() =>
      spin.measureTimers(plan.timers, (delayMs) => sleep(delayMs / 1000)),
    );
    if (plan.spin === "queue") group.createTask(() => takeFromQueue(spin));
    if (plan.spin === "switch") {
      for (let task = 0; task < plan.tasks; task++) group.createTask(() => takeTurns(spin));
    }
    return await measuring;
  }),
);
console.log(JSON.stringify(finding));
