import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { PgDriver } from "../src/postgres/driver.ts";
import { parseUrl } from "../src/postgres/target.ts";
import { TypeTable } from "../src/postgres/values.ts";
import { Session } from "../src/session.ts";
import {
  lacksPostgres,
  type PostgresServer,
  startPostgres,
} from "../src/testing/postgres-server.ts";

const query = (text: string, values: unknown[] = []) =>
  ({ kind: "query", statement: { text, values, prepare: false } }) as const;

describe("a session of PostgreSQL", { skip: lacksPostgres() }, () => {
  let server: PostgresServer;
  before(async () => {
    server = await startPostgres();
  });
  after(() => server.stop());

  async function withSession(
    body: (session: Session) => Promise<void>,
    { grace = 5, url = server.url() } = {},
  ): Promise<void> {
    const driver = new PgDriver({
      target: parseUrl("test", url),
      types: new TypeTable(),
      role: "any",
      connectTimeout: 10,
      standby: false,
    });
    await asyncio.run(async () => {
      const connection = await driver.connect();
      const options = { grace, dialect: driver.dialect, database: "test" };
      const session = new Session(connection, options);
      try {
        await body(session);
      } finally {
        await asyncio.cleanup(5, () => connection.close());
      }
    });
  }

  test("gives rows, in the order in which they were asked for", () =>
    withSession(async (session) => {
      const ask = (n: number) => session.send(query("select $1::int as n", [n]), { title: "n" });
      const answers = await Promise.all([ask(1), ask(2), ask(3)]);
      assert.deepEqual(
        answers.map(([answer]) => answer?.rows),
        [[{ n: 1 }], [{ n: 2 }], [{ n: 3 }]],
      );
    }));

  for (const [name, url] of [
    ["TCP", () => server.url()],
    ["a Unix socket", () => server.socketUrl()],
  ] as const)
    test(`a cancelled query has ended on the server before its caller goes on, over ${name}`, () =>
      withSession(
        async (session) => {
          const [pid] = await session.send(query("select pg_backend_pid() as pid"), {
            title: "pid",
          });
          const error = await asyncio
            .timeout(0.1, () => session.send(query("select pg_sleep(20)"), { title: "sleep" }))
            .catch((error) => error);
          const [again] = await session.send(query("select pg_backend_pid() as pid"), {
            title: "pid",
          });

          assert.ok(error instanceof asyncio.TimeoutError);
          const cancelled = error.cause as Error;
          assert.ok(cancelled instanceof asyncio.CancelledError);
          assert.equal((cancelled.cause as { sqlstate?: string }).sqlstate, "57014");
          assert.deepEqual(again?.rows, pid?.rows);
        },
        { url: url() },
      ));

  test("a refusal names the query and the fault, and the session goes on", () =>
    withSession(async (session) => {
      const error = await session
        .send(query("select 1 / $1::int", [0]), { title: "share" })
        .catch((error) => error);
      const [answer] = await session.send(query("select 1 as one"), { title: "one" });
      assert.deepEqual([error.sqlstate, error.query], ["22012", "share"]);
      assert.deepEqual(answer?.rows, [{ one: 1 }]);
    }));

  test("a session that was ended by an operator is lost, with the server's words", () =>
    withSession(async (session) => {
      const sleep = session.send(
        query("select pg_terminate_backend(pg_backend_pid()), pg_sleep(5)"),
        {
          title: "suicide",
        },
      );
      const error = await sleep.catch((error) => error);
      assert.equal(error.code, "ERR_DATABASE_CONNECTION_LOST");
      assert.equal(error.sqlstate, "57P01");
      assert.notEqual(session.lost, undefined);
    }));
});
