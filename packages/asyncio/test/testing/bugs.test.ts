// A corpus of known bugs: each is found with default settings, comes back from its string, and shrinks to the fewest
// deviations; each mended twin stands up to 10,000 schedules, or to the whole sweep under several schedules.

import assert from "node:assert/strict";
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
): Promise<unknown> {
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

test("the corpus has at least 40 programs", () => {
  assert.ok(specimens.length >= 40, `${specimens.length}`);
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

    test("is not found in the mended program", async () => {
      const many = { iterations: 10_000, seconds: 100 };
      const more =
        specimen.finder === "explore"
          ? { ...many, untilSaturated: false }
          : { ...many, schedules: 20 };

      await search(specimen, true, more);
    });
  });
}
