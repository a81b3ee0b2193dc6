// The same with promises alone, and a timer of the host.

import { setTimeout as sleepMs } from "node:timers/promises";
import { BoundedQueue } from "../../workloads/queue/bounded-queue.ts";
import { type FairnessPlan, Spin } from "./spin.ts";

const plan = JSON.parse(process.argv[2] ?? "") as FairnessPlan; // demonstrations.ts passes one

async function takeFromQueue(spin: Spin): Promise<void> {
  const queue = new BoundedQueue<number>(2);
  queue.put(0);
  queue.put(1);
  while (spin.turn()) queue.put(await queue.get());
}

async function takeTurns(spin: Spin): Promise<void> {
  while (spin.turn()) await undefined;
}

const spin = new Spin(plan.limitMs);
const measuring = spin.measureTimers(plan.timers, (delayMs) => sleepMs(delayMs));
const spinning: Promise<void>[] = [];
if (plan.spin === "queue") spinning.push(takeFromQueue(spin));
if (plan.spin === "switch") {
  for (let task = 0; task < plan.tasks; task++) spinning.push(takeTurns(spin));
}
await Promise.all(spinning);
console.log(JSON.stringify(await measuring));
