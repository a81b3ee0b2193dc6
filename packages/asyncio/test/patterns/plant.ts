// A plant of numbered items for tests of pools.

import assert from "node:assert/strict";
import { sleep } from "../../src/index.ts";
import { Pool, type PoolOptions, resource } from "../../src/patterns.ts";

/** Items are numbers; opening one takes `delay` seconds. */
export class Plant {
  readonly open = new Set<number>();
  readonly log: string[] = [];
  most = 0;
  opened = 0;
  delay = 1;
  /** The next openings that fail. */
  failures = 0;

  readonly resource = resource<number>(
    async () => {
      await sleep(this.delay);
      if (this.failures-- > 0) throw new Error("refused");
      const item = ++this.opened;
      this.open.add(item);
      this.most = Math.max(this.most, this.open.size);
      return item;
    },
    async (item, ended) => {
      this.log.push(`${item} ${ended.how}`);
      await sleep(this.delay);
      assert.ok(this.open.delete(item), "closed twice");
    },
    { name: "an item" },
  );

  pool(options: Partial<PoolOptions<number>> = {}): Pool<number> {
    return new Pool(this.resource, { max: 2, name: "db", ...options });
  }
}

/** Borrows for `seconds`. */
export async function use(pool: Pool<number>, seconds: number): Promise<number> {
  using loan = await pool.acquire();
  await sleep(seconds);
  return loan.item;
}
