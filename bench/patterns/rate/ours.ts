// node bench/patterns/rate/ours.ts '{"rate":200,"count":400}' [virtual]

import { type EventLoop, getRunningLoop, run } from "asyncio-ts";
import { RateLimiter } from "asyncio-ts/patterns";
import { VirtualLoop } from "asyncio-ts/testing";
import { findingOf, planFrom } from "./stage.ts";

const plan = planFrom(process.argv[2]);
const isVirtual = process.argv[3] === "virtual";

async function grants(): Promise<number[]> {
  const limiter = new RateLimiter({ rate: plan.rate });
  const loop: EventLoop = getRunningLoop();
  const take = async (): Promise<number> => {
    await limiter.take();
    return loop.time();
  };
  return await Promise.all(Array.from({ length: plan.count }, take));
}

const times = await run(grants, isVirtual ? { loop: new VirtualLoop() } : {});
console.log(JSON.stringify(findingOf(times, plan)));
