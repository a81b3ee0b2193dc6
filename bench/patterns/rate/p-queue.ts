import { inTime } from "./clock.ts";
import { findingOf, planFrom } from "./stage.ts";

const plan = planFrom(process.argv[2]);
const times = await inTime(process.argv[3] === "virtual", async (now) => {
  const { default: PQueue } = await import("p-queue");
  const queue = new PQueue({ interval: 1000 / plan.rate, intervalCap: 1 });
  return await Promise.all(Array.from({ length: plan.count }, () => queue.add(async () => now())));
});
console.log(JSON.stringify(findingOf(times, plan)));
