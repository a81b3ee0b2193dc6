// Small concurrent programs with one known bug each, and the same programs mended.

import * as asyncio from "../../../src/index.ts";
import type * as testing from "../../../src/testing.ts";

export interface Specimen {
  /** The kind of bug. */
  readonly bug: string;
  readonly name: string;
  readonly finder: "explore" | "cancelSweep" | "faultSweep";
  /** The fewest places in which a schedule that fails differs from first in, first out. */
  readonly deviations: number;
  /** The class of the failure. */
  readonly failure: string;
  /** The program; `fixed` tells which of the twins it is. */
  readonly body: (fixed: boolean) => testing.TestBody<undefined>;
  readonly options?: testing.ExploreOptions<undefined> & testing.CancelSweepOptions<undefined>;
}

/** Lets the others go first, so many times. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await asyncio.sleep(0);
}
