// For the demonstration: three long queries, and then Ctrl-C.

import * as asyncio from "asyncio-ts";
import { sql } from "../src/index.ts";
import { connect } from "../src/postgres.ts";

await asyncio.run(async () => {
  await using db = await connect(process.env.DATABASE_URL);
  await asyncio.taskGroup(async (group) => {
    for (let n = 0; n < 3; n++) group.createTask(() => db.query(sql`select pg_sleep(30)`));
  });
});
