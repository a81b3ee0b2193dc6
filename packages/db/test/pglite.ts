// For the tests: PostgreSQL in this process. It needs no server, so these tests run everywhere.

import { after, before, describe } from "node:test";
import { PGlite } from "@electric-sql/pglite";
import * as asyncio from "asyncio-ts";
import type { Database } from "../src/index.ts";
import { connect, type PgliteOptions } from "../src/pglite.ts";

export interface PgliteBench {
  readonly pglite: PGlite;
  /** Runs `body` in a run of its own, with a database that is closed after it. */
  run(body: (db: Database) => Promise<void>, options?: PgliteOptions): Promise<void>;
}

/** Tests on one PGlite; it takes seconds to make. */
export function describePglite(name: string, body: (bench: PgliteBench) => void): void {
  describe(`PGlite: ${name}`, () => {
    let pglite: PGlite | undefined;
    before(async () => {
      pglite = await PGlite.create();
    });
    after(() => pglite?.close());
    body({
      get pglite() {
        return pglite as PGlite; // it is there while the tests run
      },
      run(body, options) {
        const { pglite } = this;
        return asyncio.run(async () => {
          await using db = await connect(pglite, options);
          await body(db);
        });
      },
    });
  });
}
