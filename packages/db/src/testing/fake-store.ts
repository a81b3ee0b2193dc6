/**
 * The tables of a FakeServer: rows with their versions, and transactions over them. No SQL: the
 * functions that a test registers read and write rows by their keys.
 *
 * - *Read committed*: each statement sees what was committed before it. A write waits for whoever
 *   has written the row and not committed; then the statement runs again, on what is committed by
 *   then, as PostgreSQL does.
 * - *Repeatable read*: all statements see what was committed before the first one. A write to a row
 *   that was changed since fails with 40001.
 * - *Serializable*: also fails at COMMIT, if a row that was read was changed since by another one.
 *   PostgreSQL fails fewer of them; none that this one lets pass is wrong.
 */

/** A row, as statements see it. */
export type FakeRow = Readonly<Record<string, unknown>>;

/** How isolated a transaction is. */
export type Isolation = "read committed" | "repeatable read" | "serializable";

interface Version {
  readonly number: number;
  /** Undefined: it was removed. */
  readonly row: FakeRow | undefined;
}

/** A statement cannot go on before `holder` has ended: it will be run again then. */
export class Blocked {
  readonly holder: FakeTransaction;
  constructor(holder: FakeTransaction) {
    this.holder = holder;
  }
}

/** What the server refuses, by its code. */
export class FakeRefusal extends Error {
  readonly sqlstate: string;
  constructor(sqlstate: string, message: string) {
    super(message);
    this.sqlstate = sqlstate;
  }
}

/** All tables of a server. */
export class FakeStore {
  /** By table and key, oldest version first. */
  readonly #rows: Map<string, Version[]> = new Map();
  /** Who has written or locked a row and not ended yet. */
  readonly #locks: Map<string, FakeTransaction> = new Map();
  #now = 0;

  /** The number of the last commit. */
  get now(): number {
    return this.#now;
  }

  /** What is committed, for the test to look at. */
  rows(table: string): FakeRow[] {
    return present(this.keysOf(table).map((key) => this.at(key, this.#now)?.row));
  }

  /** @internal */
  at(key: string, snapshot: number): Version | undefined {
    return this.#rows.get(key)?.findLast(({ number }) => number <= snapshot);
  }

  /** @internal */
  keysOf(table: string): string[] {
    return [...this.#rows.keys()].filter((key) => key.startsWith(`${table}\0`)).sort();
  }

  /** @internal */
  lock(key: string, transaction: FakeTransaction): void {
    const holder = this.#locks.get(key);
    if (holder !== undefined && holder !== transaction) throw new Blocked(holder);
    this.#locks.set(key, transaction);
  }

  /** @internal */
  unlock(transaction: FakeTransaction): void {
    for (const [key, holder] of this.#locks) if (holder === transaction) this.#locks.delete(key);
  }

  /** @internal */
  commit(writes: ReadonlyMap<string, FakeRow | undefined>): void {
    if (writes.size === 0) return;
    const number = ++this.#now;
    for (const [key, row] of writes) {
      const versions = this.#rows.get(key) ?? [];
      versions.push({ number, row });
      this.#rows.set(key, versions);
    }
  }
}

/** What the function of a statement works with. */
export interface FakeView {
  /** The row with this key; undefined if there is none. */
  get(table: string, key: unknown): FakeRow | undefined;
  /** All rows of a table, by their keys. */
  all(table: string): FakeRow[];
  /** Writes a row. Waits for another transaction that has written it. */
  set(table: string, key: unknown, row: FakeRow): void;
  /** Removes a row. */
  remove(table: string, key: unknown): void;
  /** What `select for update` does: holds the row until the end of the transaction. */
  lock(table: string, key: unknown): FakeRow | undefined;
}

/** One transaction; also one around a single statement. */
export class FakeTransaction {
  readonly isolation: Isolation;
  readonly #store: FakeStore;
  #snapshot: number;
  #writes: Map<string, FakeRow | undefined> = new Map();
  readonly #marks: Map<string, Map<string, FakeRow | undefined>> = new Map();
  readonly #reads: Set<string> = new Set();
  readonly #scans: Set<string> = new Set();
  /** For whom it waits. */
  waitsFor: FakeTransaction | undefined = undefined;
  /** Called when it has ended. */
  readonly ended: (() => void)[] = [];

  constructor(store: FakeStore, isolation: Isolation) {
    this.#store = store;
    this.isolation = isolation;
    this.#snapshot = store.now;
  }

  /** Runs the function of a statement: all of it, or, if it throws, nothing. */
  run<T>(statement: (view: FakeView) => T): T {
    if (this.isolation === "read committed") this.#snapshot = this.#store.now;
    const before = new Map(this.#writes);
    try {
      return statement(this.#view());
    } catch (error) {
      this.#writes = before;
      throw error;
    }
  }

  mark(name: string): void {
    this.#marks.set(name, new Map(this.#writes));
  }

  /** Locks are kept, as PostgreSQL keeps those that were taken before the savepoint. */
  rollBackTo(name: string): void {
    this.#writes = new Map(this.#marks.get(name));
  }

  commit(): void {
    if (this.isolation === "serializable") this.#checkReads();
    this.#store.commit(this.#writes);
    this.#end();
  }

  rollBack(): void {
    this.#end();
  }

  /** Whether `other` waits, at one remove or more, for this one. */
  isWaitedForBy(other: FakeTransaction): boolean {
    for (let one = other.waitsFor; one !== undefined; one = one.waitsFor)
      if (one === this) return true;
    return false;
  }

  #end(): void {
    this.#store.unlock(this);
    for (const told of this.ended.splice(0)) told();
  }

  #view(): FakeView {
    const keyFor = (table: string, key: unknown): string => `${table}\0${String(key)}`;
    const read = (key: string): FakeRow | undefined => {
      this.#reads.add(key);
      if (this.#writes.has(key)) return this.#writes.get(key);
      return this.#store.at(key, this.#snapshot)?.row;
    };
    const write = (key: string, row: FakeRow | undefined): void => {
      this.#take(key);
      this.#writes.set(key, row);
    };
    return {
      get: (table, key) => read(keyFor(table, key)),
      all: (table) => {
        this.#scans.add(table);
        const own = [...this.#writes.keys()].filter((key) => key.startsWith(`${table}\0`));
        const keys = new Set([...this.#store.keysOf(table), ...own]);
        return present([...keys].sort().map(read));
      },
      set: (table, key, row) => write(keyFor(table, key), { ...row }),
      remove: (table, key) => write(keyFor(table, key), undefined),
      lock: (table, key) => {
        this.#take(keyFor(table, key));
        return read(keyFor(table, key));
      },
    };
  }

  /** Locks a row; fails if it is not the one that this transaction sees. */
  #take(key: string): void {
    this.#store.lock(key, this);
    if (this.isolation === "read committed") return;
    const latest = this.#store.at(key, this.#store.now)?.number ?? 0;
    if (latest > this.#snapshot)
      throw new FakeRefusal("40001", "could not serialize access due to concurrent update");
  }

  #checkReads(): void {
    const isChanged = (key: string): boolean =>
      (this.#store.at(key, this.#store.now)?.number ?? 0) > this.#snapshot;
    const scanned = [...this.#scans].flatMap((table) => this.#store.keysOf(table));
    if (![...this.#reads, ...scanned].some(isChanged)) return;
    this.rollBack();
    throw new FakeRefusal("40001", "could not serialize access due to read/write dependencies");
  }
}

function present(rows: readonly (FakeRow | undefined)[]): FakeRow[] {
  return rows.filter((row) => row !== undefined);
}
