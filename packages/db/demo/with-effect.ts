// For the demonstration: Effect's client of PostgreSQL, with a timeout around each call. A module of
// its own, since its packages have a lock file of their own in this folder.

import { PgClient } from "@effect/sql-pg";
import { Effect, ManagedRuntime, Redacted } from "effect";

/** What the demonstration asks of a contender. */
export function withEffect(url: string, who: string, max: number) {
  const runtime = ManagedRuntime.make(
    PgClient.layer({ url: Redacted.make(url), maxConnections: max }),
  );
  const within = (seconds: number) => Effect.timeout(seconds * 1000); // milliseconds
  const transfer = (id: number) =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient;
      yield* sql.withTransaction(
        Effect.gen(function* () {
          yield* sql`insert into told values (${id}, ${who})`;
          yield* sql`select pg_sleep(0.002)`;
        }),
      );
    });
  const sleep = (seconds: number) =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient;
      yield* sql`select pg_sleep(${seconds})`;
    });
  return {
    name: "Effect",
    transfer: (id: number, seconds: number): Promise<boolean> =>
      runtime.runPromise(transfer(id).pipe(within(seconds))).then(
        () => true,
        () => false,
      ),
    query: (seconds: number): Promise<unknown> =>
      runtime.runPromise(sleep(0.003).pipe(within(seconds))),
    innocent: (): Promise<unknown> => runtime.runPromise(sleep(0.0005)),
    close: (): Promise<void> => runtime.dispose(),
  };
}
