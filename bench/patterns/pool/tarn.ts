import { Pool } from "tarn";
import type { Work } from "../measure.ts";
import { lendTo, size, Thing } from "./stage.ts";

export const work: Work = async (count) => {
  const pool = new Pool<Thing>({
    create: async () => new Thing(),
    destroy() {},
    min: 0,
    max: size,
  });
  const borrow = async (): Promise<number> => {
    const thing = await pool.acquire().promise;
    try {
      return await thing.use();
    } finally {
      pool.release(thing);
    }
  };
  const lent = await lendTo(borrow, count);
  await pool.destroy();
  return lent;
};
