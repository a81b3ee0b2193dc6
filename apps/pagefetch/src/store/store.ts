/** The store: keys and ledger, in SQLite or in PostgreSQL. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as asyncio from "asyncio-ts";
import type { Database } from "asyncio-ts-db";
import { use } from "../contract/use.ts";
import { Keys } from "./keys.ts";
import { Ledger } from "./ledger.ts";
import { migrate } from "./schema.ts";

export interface StoreOptions {
  /**
   * `postgres://…`, or the path of a file for SQLite; ":memory:" for one that is gone at the end,
   * a file in the folder for temporary ones.
   * @default ":memory:"
   */
  readonly url?: string | undefined;
  /** Told when the ledger cannot be written. @default nobody */
  readonly onTrouble?: ((error: unknown) => void) | undefined;
}

export interface Store {
  readonly keys: Keys;
  readonly ledger: Ledger;
  readonly engine: string;
}

/** Seconds that the last rows have to be written in. */
const LAST_ROWS = 10;

/**
 * Opens the store, makes its tables what they have to be, and runs `body` with it. When `body` has
 * ended, the rows that are left are written, within ten seconds, and the database is closed. The
 * errors are those of asyncio-ts-db.
 */
export async function withStore<T>(
  options: StoreOptions,
  body: (store: Store) => Promise<T>,
): Promise<T> {
  const { url = ":memory:", onTrouble = () => undefined } = options;
  const within = async (path: string): Promise<T> =>
    await use(await open(path), (db) => withLedger(db, onTrouble, body));
  if (url !== ":memory:") return await within(url);
  // A database in memory goes with its thread. A file outlives a thread that had to be given up.
  const folder = mkdtempSync(join(tmpdir(), "pagefetch-store-"));
  try {
    return await within(join(folder, "store.db"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function withLedger<T>(
  db: Database,
  onTrouble: (error: unknown) => void,
  body: (store: Store) => Promise<T>,
): Promise<T> {
  await migrate(db);
  const ledger = new Ledger(db, onTrouble);
  const store = { keys: new Keys(db), ledger, engine: db.engine };
  // A shutdown does not enter it: requests that are being drained have their rows written meanwhile.
  const writing = new asyncio.CancelScope({ shield: true });
  return await asyncio.taskGroup(
    async (group) => {
      const write = (): Promise<unknown> => writing.run(() => ledger.write());
      const writer = group.createTask(write, { name: "ledger", eagerStart: true });
      try {
        return await body(store);
      } finally {
        ledger.close();
        await asyncio.cleanup(LAST_ROWS, () => asyncio.wait([writer]));
        if (!writer.done()) writing.cancel("the database has taken no rows");
      }
    },
    // The writer is nothing that a caller knows of: what `body` throws comes out as it is.
    { onError: "bare" },
  );
}

async function open(url: string): Promise<Database> {
  if (/^postgres(ql)?:/.test(url)) {
    const { connect } = await import("asyncio-ts-db/postgres");
    return await connect(url, { max: 10, name: "pagefetch" });
  }
  const { connect } = await import("asyncio-ts-db/sqlite");
  return await connect(url, { synchronous: "normal", name: "pagefetch" });
}
