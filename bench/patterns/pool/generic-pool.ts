import { createPool } from "generic-pool";
import type { Work } from "../measure.ts";
import { lendTo, size, Thing } from "./stage.ts";

export const work: Work = async (count) => {
  const factory = { create: async () => new Thing(), destroy: async () => {} };
  const pool = createPool(factory, { max: size });
  const lent = await lendTo(() => Promise.resolve(pool.use((thing) => thing.use())), count);
  await pool.drain();
  await pool.clear();
  return lent;
};
