// What a library weighs before it has done anything: how long it takes to import, and what a
// typical use of it adds to a bundle.

import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { inThisFolder, runCommand } from "./program.ts";

interface Package {
  readonly name: string;
  /** What programs of it import, as its documentation does it. */
  readonly imports: string;
  /** What they use: the bundler keeps that, and what it needs. */
  readonly uses: string;
  /** Of a build under the export condition `production`. */
  readonly isProduction?: boolean;
}

const packages: readonly Package[] = [
  {
    name: "ours",
    imports: `import { createTask, gather, Lock, Queue, run, sleep, taskGroup, timeout } from "asyncio-ts";`,
    uses: "createTask, gather, Lock, Queue, run, sleep, taskGroup, timeout",
  },
  {
    name: "ours, the least",
    imports: `import { run, sleep, taskGroup } from "asyncio-ts";`,
    uses: "run, sleep, taskGroup",
  },
  {
    name: "ours, the least, production",
    imports: `import { run, sleep, taskGroup } from "asyncio-ts";`,
    uses: "run, sleep, taskGroup",
    isProduction: true,
  },
  {
    name: "ours, all of it",
    imports: `import * as asyncio from "asyncio-ts";`,
    uses: "asyncio",
  },
  {
    name: "Effect 4",
    imports: `import { Effect, Fiber, Queue, Semaphore } from "effect";`,
    uses:
      "Effect.forkChild, Fiber.join, Effect.all, Semaphore.make, Queue.bounded, Queue.offer, Queue.take, " +
      "Effect.gen, Effect.runPromise, Effect.sleep, Effect.timeout",
  },
  {
    name: "Effection 4",
    imports: `import { all, createQueue, race, run, sleep, spawn } from "effection";`,
    uses: "all, createQueue, race, run, sleep, spawn",
  },
  { name: "p-queue", imports: `import PQueue from "p-queue";`, uses: "PQueue" },
  { name: "p-limit", imports: `import pLimit from "p-limit";`, uses: "pLimit" },
  {
    name: "async-mutex",
    imports: `import { Mutex, Semaphore } from "async-mutex";`,
    uses: "Mutex, Semaphore",
  },
  { name: "Bluebird", imports: `import Bluebird from "bluebird";`, uses: "Bluebird" },
];

export interface WeightResult {
  readonly name: string;
  readonly minifiedBytes: number;
  readonly gzippedBytes: number;
  /** Of all processes the fastest, and the one in the middle. */
  readonly importMs: number;
  readonly medianImportMs: number;
}

export async function measureWeight(quick: boolean): Promise<WeightResult[]> {
  const times = new Map<string, number[]>();
  for (let round = 0; round < (quick ? 1 : 9); round++) {
    for (const { name, imports, isProduction } of packages) {
      const took = await timeImport(/from (".*")/.exec(imports)?.[1] ?? '""', isProduction);
      times.set(name, [...(times.get(name) ?? []), took]);
    }
  }
  const results: WeightResult[] = [];
  for (const { name, imports, uses, isProduction } of packages) {
    const bundle = await bundleOf(`${imports}\nconsole.log(${uses});\n`, isProduction);
    const sorted = (times.get(name) ?? []).toSorted((a, b) => a - b);
    results.push({
      name,
      minifiedBytes: bundle.byteLength,
      gzippedBytes: gzipSync(bundle, { level: 9 }).byteLength,
      importMs: sorted[0] ?? Number.NaN,
      medianImportMs: sorted[Math.floor(sorted.length / 2)] ?? Number.NaN,
    });
  }
  return results;
}

/** In a fresh process, whose own start is not counted. */
async function timeImport(specifier: string, isProduction = false): Promise<number> {
  const program =
    `const startedAt = performance.now(); await import(${specifier}); ` +
    "console.log(performance.now() - startedAt);";
  const flags = isProduction ? ["--conditions=production"] : [];
  const args = [...flags, "--input-type=module", "--eval", program];
  const took = await runCommand(process.execPath, args, { cwd: inThisFolder(".") });
  return took as number; // the program prints one
}

async function bundleOf(contents: string, isProduction = false): Promise<Uint8Array> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: inThisFolder(".") },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    platform: "node",
    target: "node20",
    conditions: isProduction ? ["production"] : [],
  });
  const [file] = outputFiles;
  if (file === undefined) throw new Error("esbuild has not made a bundle");
  return file.contents;
}
