// For the tests: a file for each test, and a second look at it that goes around the library.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import * as asyncio from "asyncio-ts";
import type { Database } from "../src/index.ts";
import { connect, type SqliteOptions } from "../src/sqlite.ts";

/** Rows as another connection sees them. */
export type Look = (text: string) => Record<string, unknown>[];

/** Runs `body` in a run of its own, with a new file that is removed after it. */
export async function withSqlite(
  body: (db: Database, look: Look, path: string) => Promise<void>,
  { loop, ...options }: SqliteOptions & asyncio.RunOptions = {},
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "asyncio-ts-db-"));
  const path = join(folder, "test.db");
  try {
    await asyncio.run(
      async () => {
        await using db = await connect(path, { name: "test", synchronous: "off", ...options });
        const other = new DatabaseSync(path, { timeout: 5000 });
        try {
          await body(
            db,
            (text) =>
              other
                .prepare(text)
                .all()
                .map((row) => ({ ...row })),
            path,
          );
        } finally {
          other.close();
        }
      },
      { loop },
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
