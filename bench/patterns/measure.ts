// Measures one library at one job, in the process that it is started in, and prints the finding as
// one line of JSON: `node --expose-gc bench/patterns/measure.ts jobs ours 100000`.

export interface Finding {
  /** For one operation, in the fastest of the runs. */
  readonly microseconds: number;
  /** Of the process, the most that it has ever had. */
  readonly peakBytes: number;
  /** All who do the same have the same. */
  readonly checksum: number;
}

/** Does so many operations, and gives a checksum of what came out. */
export type Work = (count: number) => Promise<number>;

const runs = 3;

const [job = "", by = "", count = "1"] = process.argv.slice(2);
const { work } = (await import(`./${job}/${by}.ts`)) as { work: Work }; // each of these files has one

async function measure(): Promise<Finding> {
  let [fastest, checksum] = [Number.POSITIVE_INFINITY, 0];
  for (let run = 0; run <= runs; run++) {
    globalThis.gc?.();
    const startedAt = performance.now();
    checksum = await work(Number(count));
    const took = performance.now() - startedAt;
    if (run > 0) fastest = Math.min(fastest, took); // the first one compiles
  }
  const microseconds = (fastest * 1000) / Number(count);
  return { microseconds, peakBytes: process.resourceUsage().maxRSS * 1024, checksum };
}

/** Only who is measured is loaded. */
async function inRun(): Promise<Finding> {
  const { run } = await import("asyncio-ts");
  return await run(measure);
}

console.log(JSON.stringify(await (by.startsWith("ours") ? inRun() : measure())));
