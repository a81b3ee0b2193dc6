// For the tests: writes transactions of a thousand rows, until it is killed.

import * as asyncio from "asyncio-ts";
import { sql } from "../src/index.ts";
import { connect } from "../src/sqlite.ts";

await asyncio.run(async () => {
  await using db = await connect(process.argv[2] ?? "");
  const rows = Array.from({ length: 100 }, (_, n) => [n]);
  for (let round = 0; ; round++) {
    await db.transaction(async (tx) => {
      for (let part = 0; part < 10; part++)
        await tx.execute(sql`insert into t values ${sql.values(rows)}`);
    });
    if (round === 0) console.log("begun");
  }
});
