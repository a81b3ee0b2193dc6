/**
 * API keys. A key is `pf_<id>_<secret>`; the store has the id and the SHA-256 of the whole, and the
 * secret is shown once. It has 256 random bits, so a fast hash is enough.
 */

import { createHash, randomBytes } from "node:crypto";
import * as asyncio from "asyncio-ts";
import { type Database, sql } from "asyncio-ts-db";
import { Recent } from "../contract/recent.ts";

/**
 * What a key may be used for. `ignore_robots` lets a request say `robots=ignore`, `usage` reads the
 * ledger of this key, `unsafe` sends methods that change something, `debug` sees all tasks.
 */
export const scopes = ["fetch", "usage", "ignore_robots", "unsafe", "debug"] as const;
export type Scope = (typeof scopes)[number];

export interface KeySettings {
  /** For whoever reads the list. */
  readonly name: string;
  /** @default fetch and usage */
  readonly scopes?: readonly Scope[] | undefined;
  /** Requests a second. @default 10 */
  readonly rate?: number | undefined;
  /** Requests at once after a pause. @default 20 */
  readonly burst?: number | undefined;
  /** Requests that run at the same time. @default 20 */
  readonly concurrency?: number | undefined;
  /** What requests may cost in a calendar month (UTC). @default no limit */
  readonly budget?: number | undefined;
  /** Whose it is, where it was claimed: one key for an address. */
  readonly address?: string | undefined;
}

export interface Key {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly rate: number;
  readonly burst: number;
  readonly concurrency: number;
  readonly budget: number | null;
  readonly address: string | null;
  readonly created: Date;
  readonly revoked: Date | null;
}

/** Seconds for which a key is believed to be what the store said. So long a revoked one works on. */
const BELIEVED = 5;
/** The same while the store cannot be asked. */
const BELIEVED_ALONE = 600;
/** Seconds that a known key waits for a store that does not answer. */
const PATIENCE = 2;
const MAX_CACHED = 10_000;

interface Cached {
  readonly key: Key | undefined;
  /** The store is not asked again before this. */
  readonly until: number;
  /** A store that does not answer is done without until then. */
  readonly atMost: number;
}

export class Keys {
  readonly #db: Database;
  readonly #cache = new Recent<string, Cached>(MAX_CACHED);
  readonly #now: () => number;
  #isWell = true;

  /** @param now - seconds, on a clock that does not jump. @default that of the loop */
  constructor(db: Database, now = (): number => asyncio.getRunningLoop().time()) {
    this.#db = db;
    this.#now = now;
  }

  /** Makes one. The secret is in the answer, and nowhere else from then on. */
  async create(settings: KeySettings): Promise<{ readonly key: Key; readonly secret: string }> {
    const { name, scopes: granted = ["fetch", "usage"], address = null } = settings;
    const { rate = 10, burst = 20, concurrency = 20, budget = null } = settings;
    check("name", name.length > 0 && name.length <= 200, "1 to 200 characters", name.length);
    check("rate", rate > 0 && rate < Number.POSITIVE_INFINITY, "a number above 0", rate);
    check("burst", isCount(burst), "a whole number from 1 on", burst);
    check("concurrency", isCount(concurrency), "a whole number from 1 on", concurrency);
    const isSum = budget === null || (budget >= 0 && budget < Number.POSITIVE_INFINITY);
    check("budget", isSum, "0 or more", budget);
    const strange = granted.find((scope) => !scopes.includes(scope));
    check("scopes", strange === undefined, scopes.join(", "), strange);

    const id = randomBytes(6).toString("hex");
    const secret = `pf_${id}_${randomBytes(32).toString("base64url")}`;
    const row = {
      id,
      hash: hashOf(secret),
      name,
      scopes: sql.json([...granted]),
      rate,
      burst,
      concurrency,
      budget,
      address,
      created: new Date(),
    };
    await this.#db.execute(sql`
      insert into keys (id, hash, name, scopes, rate, burst, concurrency, budget, address, created)
      values ${sql.values([row])}`);
    const { hash: _, ...shown } = row;
    return { key: { ...shown, scopes: granted, revoked: null }, secret };
  }

  /** Whether the store can be asked for keys. It is asked if it could not be the last time. */
  async isWell(): Promise<boolean> {
    if (this.#isWell) return true;
    try {
      await asyncio.timeout(PATIENCE, () => this.#look(""));
      this.#isWell = true;
    } catch (error) {
      if (error instanceof asyncio.CancelledError) throw error;
    }
    return this.#isWell;
  }

  /**
   * The key of that secret; undefined if there is none, or it was revoked. A key that was known is
   * believed for ten minutes while the store cannot be asked; others get the store's error.
   */
  async find(secret: string): Promise<Key | undefined> {
    if (!/^pf_[0-9a-f]{12}_[\w-]{43}$/.test(secret)) return undefined;
    const hash = hashOf(secret);
    const now = this.#now();
    const cached = this.#cache.get(hash);
    if (cached !== undefined && cached.until > now) return cached.key;
    const isKnown = cached?.key !== undefined && cached.atMost > now;
    try {
      const key = await asyncio.timeout(isKnown ? PATIENCE : null, () => this.#look(hash));
      this.#isWell = true;
      this.#cache.set(hash, { key, until: now + BELIEVED, atMost: now + BELIEVED_ALONE });
      return key;
    } catch (error) {
      if (error instanceof asyncio.CancelledError) throw error;
      this.#isWell = false;
      if (!isKnown) throw error;
      this.#cache.set(hash, { ...cached, until: now + BELIEVED });
      return cached.key;
    }
  }

  async #look(hash: string): Promise<Key | undefined> {
    const [found] = await this.#db.query<Key>(sql`
      select id, name, scopes, rate, burst, concurrency, budget, address, created, revoked
      from keys where hash = ${hash}`);
    return found === undefined || found.revoked !== null ? undefined : found;
  }

  /** All of them, the oldest first. */
  async list(): Promise<readonly Key[]> {
    return await this.#db.query<Key>(sql`
      select id, name, scopes, rate, burst, concurrency, budget, address, created, revoked
      from keys order by created, id`);
  }

  /** Whether there was one that was not revoked yet. */
  async revoke(id: string): Promise<boolean> {
    const count = await this.#db.execute(
      sql`update keys set revoked = ${new Date()} where id = ${id} and revoked is null`,
    );
    for (const [hash, { key }] of this.#cache) if (key?.id === id) this.#cache.delete(hash);
    return count > 0;
  }

  /**
   * Begins a claim: gives the token that the link to `address` carries. Undefined if the address has
   * a key already; who asks is told the same in both cases.
   */
  async claim(address: string, lifetime = 3600): Promise<string | undefined> {
    const token = randomBytes(32).toString("base64url");
    const expires = new Date(Date.now() + lifetime * 1000);
    return await this.#db.transaction(async (tx) => {
      await tx.execute(sql`delete from claims where expires < ${new Date()}`);
      const known = await tx.query(
        sql`select 1 as n from keys where address = ${address} and revoked is null`,
      );
      if (known.length > 0) return undefined;
      await tx.execute(sql`delete from claims where address = ${address}`);
      await tx.execute(sql`insert into claims values (${hashOf(token)}, ${address}, ${expires})`);
      return token;
    });
  }

  /** The address that a token was made for, once: then it is used up. */
  async confirm(token: string): Promise<string | undefined> {
    const hash = hashOf(token);
    return await this.#db.transaction(async (tx) => {
      const [claim] = await tx.query<{ address: string }>(
        sql`select address from claims where hash = ${hash} and expires >= ${new Date()}`,
      );
      if (claim === undefined) return undefined;
      // Of two that come at once one deletes it.
      const count = await tx.execute(sql`delete from claims where hash = ${hash}`);
      if (count === 0) return undefined;
      // A key that was revoked gives its address free.
      await tx.execute(
        sql`update keys set address = null where address = ${claim.address} and revoked is not null`,
      );
      return claim.address;
    });
  }
}

function hashOf(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}

function isCount(value: number): boolean {
  return Number.isInteger(value) && value >= 1;
}

function check(name: string, isGood: boolean, expected: string, found: unknown): void {
  if (!isGood) throw new RangeError(`keys: \`${name}\` is ${expected}, got ${String(found)}`);
}
