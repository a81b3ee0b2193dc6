// For the demonstration: three long queries, and then Ctrl-C, which interrupts them, as Effect's
// `runMain` does.

import { PgClient } from "@effect/sql-pg";
import { Effect, Fiber, Redacted } from "effect";

const sleep = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient;
  yield* sql`select pg_sleep(30)`;
});
const url = Redacted.make(process.env.DATABASE_URL ?? "");
const main = Effect.all([sleep, sleep, sleep], { concurrency: "unbounded" }).pipe(
  Effect.provide(PgClient.layer({ url, maxConnections: 3 })),
);
const fiber = Effect.runFork(main);
process.once("SIGINT", () => Effect.runFork(Fiber.interrupt(fiber)));
fiber.addObserver((exit) => process.exit(exit._tag === "Success" ? 0 : 130));
