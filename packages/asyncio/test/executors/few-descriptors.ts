// A program that has opened all the files it may: it prints what came of a job of each kind of
// pool, and of one after it has closed them.

import { closeSync, openSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ProcessPoolExecutor, ThreadPoolExecutor } from "../../src/executors.ts";
import { run } from "../../src/index.ts";
import { jobs } from "./pools.ts";

const files: number[] = [];
function openAll(): void {
  try {
    for (;;) files.push(openSync(fileURLToPath(import.meta.url), "r"));
  } catch {
    // that was the last one
  }
}

await run(async () => {
  for (const Pool of [ThreadPoolExecutor, ProcessPoolExecutor]) {
    openAll();
    const hindered = new Pool({ maxWorkers: 1 });
    const outcome = await hindered.run(jobs.add, 1, 2).catch((error: Error) => error.message);
    for (const file of files.splice(0)) closeSync(file);
    await hindered.shutdown();
    await using pool = new Pool({ maxWorkers: 1 });
    console.log(`${outcome} ${await pool.run(jobs.add, 1, 2)}`);
  }
});
