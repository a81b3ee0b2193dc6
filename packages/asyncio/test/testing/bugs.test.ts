// A corpus of known bugs: each is found with default settings, comes back from its string, and shrinks to the fewest
// deviations (nothing that differs from FIFO in fewer places fails); each mended twin stands up to 10,000 schedules.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { suite, test } from "node:test";
import * as testing from "../../src/testing.ts";
import { coordination } from "./bugs/coordination.ts";
import { interruptions } from "./bugs/interruptions.ts";
import { sharedState } from "./bugs/shared-state.ts";
import type { Specimen } from "./bugs/specimen.ts";

const specimens = [...sharedState, ...coordination, ...interruptions];

const finders = {
  explore: testing.explore<undefined>,
  cancelSweep: testing.cancelSweep<undefined>,
  faultSweep: testing.faultSweep<undefined>,
};

/** Runs what is to find the bug. */
function search(
  { finder, body, options }: Specimen,
  fixed: boolean,
  more: Specimen["options"] = {},
): Promise<Partial<testing.Exploration & testing.Sweep>> {
  return finders[finder](body(fixed), { ...options, ...more });
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

test("the page of bugs found has all of them, in their order", () => {
  const page = new URL("../../../../docs/bugs-found.md", import.meta.url);
  const rows = readFileSync(page, "utf8").matchAll(/^\| ([^|]*) \| ([^|]*) \| (\d+) \|/gm);

  const listed = [...rows].map(([, bug, name, places]) => `${bug}: ${name}, ${places}`);

  const expected = specimens.map(({ bug, name, deviations }) => `${bug}: ${name}, ${deviations}`);
  assert.deepEqual(listed, expected);
  assert.equal(specimens.length, 57);
});

for (const specimen of specimens) {
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
      const many = { iterations: 10_000, seconds: 100, untilSaturated: false, schedules: 10_000 };

      const { schedules, runs } = await search(specimen, true, many);

      assert.equal(schedules ?? runs, 10_000);
    });
  });
}
