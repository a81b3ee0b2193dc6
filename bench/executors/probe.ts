import { run } from "asyncio-ts";
import { module, ProcessPoolExecutor, ThreadPoolExecutor } from "asyncio-ts/executors";

const jobs = module<typeof import("./jobs.ts")>(new URL("./jobs.ts", import.meta.url));
const [, , what = "threads", w = "2", n = "10000", rounds = "20"] = process.argv;
await run(async () => {
  const P = what === "threads" ? ThreadPoolExecutor : ProcessPoolExecutor;
  await using pool = new P({ maxWorkers: Number(w), minWorkers: Number(w) });
  const out: string[] = [];
  for (let r = 0; r < Number(rounds); r++) {
    const t = performance.now();
    const c = process.cpuUsage();
    const el = performance.eventLoopUtilization();
    await Promise.all(Array.from({ length: Number(n) }, (_, i) => pool.run(jobs.same, i)));
    const { user, system } = process.cpuUsage(c);
    out.push(
      `${(((performance.now() - t) / Number(n)) * 1000).toFixed(1)} (u${(user / Number(n)).toFixed(1)} s${(system / Number(n)).toFixed(1)} elu ${performance.eventLoopUtilization(performance.eventLoopUtilization(), el).utilization.toFixed(2)})`,
    );
  }
  console.log(what, w, out.join(" | "));
  const seq: string[] = [];
  for (let r = 0; r < 8; r++) {
    const t = performance.now();
    const c = process.cpuUsage();
    for (let i = 0; i < 2000; i++) await pool.run(jobs.same, i);
    const { user, system } = process.cpuUsage(c);
    seq.push(
      `${(((performance.now() - t) / 2000) * 1000).toFixed(1)} (u${(user / 2000).toFixed(1)} s${(system / 2000).toFixed(1)})`,
    );
  }
  console.log("seq", seq.join(" | "));
});
