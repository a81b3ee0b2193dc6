// With piscina, which examples/runaway has installed.

import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { perform, workers } from "./stage.ts";

/** What is used of it: its types are not in this package. */
interface Piscina {
  run(task: unknown, options: { name: string; signal?: AbortSignal }): Promise<unknown>;
  destroy(): Promise<void>;
}
interface PiscinaModule {
  readonly Piscina: new (options: Readonly<Record<string, unknown>>) => Piscina;
}

const folder = new URL("../../examples/runaway/", import.meta.url);
const { Piscina } = createRequire(folder)("piscina") as PiscinaModule;
const filename = fileURLToPath(new URL("./jobs.ts", import.meta.url));
const pool = new Piscina({ filename, minThreads: workers, maxThreads: workers });

await perform(() => ({
  same: async (n) => (await pool.run(n, { name: "same" })) as number,
  check: async (pattern, text, ms) => {
    const signal = ms === undefined ? {} : { signal: AbortSignal.timeout(ms) };
    return (await pool.run([pattern, text], { name: "checkTask", ...signal })) as boolean;
  },
}));
await pool.destroy();
