import { Pool, resource } from "asyncio-ts/patterns";
import type { Work } from "../measure.ts";
import { lendTo, size, Thing } from "./stage.ts";

const things = resource(
  async () => new Thing(),
  async () => {},
);

export const work: Work = async (count) => {
  await using pool = new Pool(things, { max: size });
  const borrow = async (): Promise<number> => {
    using loan = await pool.acquire();
    return await loan.item.use();
  };
  return await lendTo(borrow, count);
};
