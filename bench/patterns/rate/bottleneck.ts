import { inTime } from "./clock.ts";
import { findingOf, planFrom } from "./stage.ts";

const plan = planFrom(process.argv[2]);
const times = await inTime(process.argv[3] === "virtual", async (now) => {
  const { default: Bottleneck } = await import("bottleneck"); // it keeps the timers of its beginning
  const limiter = new Bottleneck({ minTime: 1000 / plan.rate });
  return await Promise.all(
    Array.from({ length: plan.count }, () => limiter.schedule(async () => now())),
  );
});
console.log(JSON.stringify(findingOf(times, plan)));
