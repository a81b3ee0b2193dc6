// Measures one implementation of one workload, in the process that it is started in, and prints the
// result as one line of JSON. rounds.ts starts it; by hand it serves to profile:
//
//   node --expose-gc --cpu-prof bench/measure-case.ts switch ours '{"tasks":1000,"repeats":1000}' 5
//
// The last argument is how many samples to take at most; after it, how many milliseconds they may
// take together (one is taken whatever it takes). measure_case.py and measure-case.go do the same
// for workloads in Python and Go.

import { do_not_optimize, measure } from "mitata";
import type { Size, Work, Workload } from "./workload.ts";

export interface Measurement {
  /** The same for every sample, or the measurement fails. */
  readonly checksum: number;
  /** One for each sample, the fastest first. */
  readonly nanosecondsPerOperation: readonly number[];
}

const [folder = "", implementation = "", sizeText = "{}", samples = "1", budgetMs = "60000"] =
  process.argv.slice(2);
const size = JSON.parse(sizeText) as Size; // whoever starts this program passes one
const { workload } = (await import(`./workloads/${folder}/${implementation}.ts`)) as {
  workload: Workload; // each of these files exports it
};

let measurement: Measurement | undefined;
const main = async (): Promise<void> => {
  measurement = await sample(workload, size, Number(samples), Number(budgetMs));
};
if (implementation.startsWith("ours")) {
  const { run } = await import("asyncio-ts"); // not loaded where it is not measured
  await run(main);
} else await main();
console.log(JSON.stringify(measurement));

/**
 * One run to warm up, then at most `count` that are timed, with the garbage collected before each
 * of them.
 */
async function sample(
  workload: Workload,
  size: Size,
  count: number,
  budgetMs: number,
): Promise<Measurement> {
  let checksum: number | undefined;
  const check = async (work: Work): Promise<void> => {
    const found = await work();
    do_not_optimize(found);
    if (checksum !== undefined && checksum !== found)
      throw new Error(`two samples have the checksums ${checksum} and ${found}`);
    checksum = found;
  };
  // Mitata takes the set-up of a sample as a property named for the parameter; its types do not say
  // so.
  function* generator(): Generator {
    yield { 0: () => workload(size), bench: check };
  }
  const { samples } = await measure(generator as unknown as Parameters<typeof measure>[0], {
    inner_gc: true,
    min_samples: 1,
    max_samples: count,
    min_cpu_time: (budgetMs * 1e6) / 2, // with `inner_gc` mitata doubles it
    // A sample is one run of the workload, however short that is.
    warmup_threshold: 0,
    batch_threshold: 0,
  });
  const operations = size.tasks * size.repeats;
  if (checksum === undefined) throw new Error("the workload has not run");
  const nanosecondsPerOperation = samples.map((sample) => sample / operations);
  return { checksum: checksum >>> 0, nanosecondsPerOperation };
}
