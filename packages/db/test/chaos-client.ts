// For the tests: a client that writes through a proxy until it is killed, and says what it was told.
// `node chaos-client.ts url first`: numbers from `first` on.

import { writeSync } from "node:fs";
import * as asyncio from "asyncio-ts";
import { CommitUnknownError, sql } from "../src/index.ts";
import { connect } from "../src/postgres.ts";

const [url = "", first = "0"] = process.argv.slice(2);
let id = Number(first);

await asyncio.run(async () => {
  await using db = await connect(url, { max: 3, grace: 0.5, acquire: 5, name: "killed" });
  const worker = async (): Promise<void> => {
    for (;;) {
      const mine = ++id;
      const told = await asyncio
        .timeout(5, () =>
          db.transaction(async (tx) => {
            await tx.execute(sql`insert into chaos values (${mine})`);
            await tx.query(sql`select pg_sleep(0.003)`);
          }),
        )
        .then(
          () => "yes",
          (error) => (error instanceof CommitUnknownError ? "unknown" : "no"),
        );
      writeSync(1, `${mine} ${told}\n`); // in the call: it may be killed in the next moment
      await asyncio.sleep(0.001);
    }
  };
  await asyncio.taskGroup(async (group) => {
    for (let n = 0; n < 4; n++) group.createTask(worker);
  });
});
