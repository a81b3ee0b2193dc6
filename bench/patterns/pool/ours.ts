import { Pool, resource } from "asyncio-ts/patterns";
import type { Work } from "../measure.ts";
import { lendTo, size, Thing } from "./stage.ts";

const things = resource(
  async () => new Thing(),
  async () => {},
);

export const work: Work = async (count) => {
  await using pool = new Pool(things, { max: size });
  return await lendTo(() => pool.run((thing) => thing.use()), count);
};
