// A corpus of known bugs: each is found with default settings, comes back from its string, and
// shrinks to the fewest deviations (nothing that differs from FIFO in fewer places fails); each
// mended twin stands up to many schedules: 1000 here, and 10,000 from each of several seeds in `npm
// run soak` (EXPLORE_SCHEDULES, EXPLORE_SEED). In three files, so that they run beside each other.

import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as testing from "../../../src/testing.ts";
import type { Specimen } from "./specimen.ts";

const scheduleCount = Number(process.env.EXPLORE_SCHEDULES ?? 1000);
const seed = Number(process.env.EXPLORE_SEED ?? 0);

const finders = {
  explore: testing.explore<undefined>,
  cancelSweep: testing.cancelSweep<undefined>,
  faultSweep: testing.faultSweep<undefined>,
};

/** What one kind of search can be given, and the other cannot. */
const isOwn: Record<string, (isSweep: boolean) => boolean> = {
  strategy: (isSweep) => !isSweep,
  seed: (isSweep) => !isSweep,
  untilSaturated: (isSweep) => !isSweep,
  schedules: (isSweep) => isSweep,
};

/** Runs what is to find the bug. */
function search(
  { finder, body, options }: Specimen,
  fixed: boolean,
  more: Specimen["options"] = {},
): Promise<Partial<testing.Exploration & testing.Sweep>> {
  const all = Object.entries({ ...options, ...more });
  const own = all.filter(([name]) => isOwn[name]?.(finder !== "explore") ?? true);
  return finders[finder](body(fixed), Object.fromEntries(own));
}

async function failureOf(work: Promise<unknown>): Promise<testing.ScheduleError> {
  const error = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(error instanceof testing.ScheduleError, `not found: ${String(error)}`);
  return error;
}

function nameOf(error: unknown): string {
  const [inner] =
    error instanceof AggregateError && error.name === "ExceptionGroup" ? error.errors : [];
  const found: unknown = inner ?? error;
  return found instanceof Error ? (found.constructor.name ?? found.name) : typeof found;
}

/** Defines the tests of each specimen. */
export function testAll(specimens: readonly Specimen[]): void {
  for (const specimen of specimens) testOne(specimen);
}

function testOne(specimen: Specimen): void {
  suite(`${specimen.bug}: ${specimen.name}`, () => {
    test("is found, shrunk to the fewest deviations, and replayed", async () => {
      const error = await failureOf(search(specimen, false));

      assert.equal(nameOf(error.cause), specimen.failure, error.message);
      assert.equal(error.deviations, specimen.deviations, error.message);

      const again = await failureOf(search(specimen, false, { replay: error.replay }));
      assert.deepEqual([nameOf(again.cause), again.replay], [specimen.failure, error.replay]);
      assert.equal(again.table, error.table);
    });

    if (specimen.deviations > 0)
      test("takes no fewer deviations", async () => {
        const depth = specimen.deviations - 1;
        const fifo = { strategy: "fifo", iterations: 1 } as const; // of a sweep the first run, nothing injected
        const all = { strategy: "dfs", iterations: Number.POSITIVE_INFINITY, depth } as const;
        const more = { seconds: 100, untilSaturated: false, ...(depth === 0 ? fifo : all) };

        await search(specimen, false, more);
      });

    test("is not found in the mended program", async () => {
      const many = {
        iterations: scheduleCount,
        schedules: scheduleCount,
        seconds: Number.POSITIVE_INFINITY,
        untilSaturated: false,
        seed,
      };

      const { schedules, runs } = await search(specimen, true, many);

      assert.equal(schedules ?? runs, scheduleCount);
    });
  });
}
