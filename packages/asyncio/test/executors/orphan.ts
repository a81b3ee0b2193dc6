// A program whose worker runs for ever: it prints the worker's process id, and waits to be killed.
// Asked to end, it says so, and waits for the job, which does not end.

import { ProcessPoolExecutor } from "../../src/executors.ts";
import { run, sleep } from "../../src/index.ts";
import { jobs } from "./pools.ts";

await run(async () => {
  await using pool = new ProcessPoolExecutor({ maxWorkers: 1 });
  const pid = await pool.run(jobs.pid);
  const job = pool.submit(jobs.spinAndSay.with({ stopDelay: 3600 }));
  await job.progress[Symbol.asyncIterator]().next();
  console.log(pid);
  await Promise.all([job, sayWhenAsked()]);
});

async function sayWhenAsked(): Promise<void> {
  try {
    await sleep(3600);
  } finally {
    console.log("asked to end");
  }
}
