import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe, tracingChannel, unsubscribe } from "node:diagnostics_channel";
import { test } from "node:test";
import * as asyncio from "asyncio-ts";
import * as testing from "asyncio-ts/testing";
import { type Database, type QueryReport, type QuerySpan, sql } from "../src/index.ts";
import { FakeServer } from "../src/testing.ts";

function server(): FakeServer {
  const fake = new FakeServer();
  fake.define("quick", () => [{ n: 1 }, { n: 2 }]);
  fake.define("slow", () => [], 10);
  return fake;
}

/** A request with children: what it asks for is found under its name. */
const work = (db: Database): Promise<unknown> =>
  asyncio.createTask(
    () =>
      asyncio.taskGroup(async (group) => {
        group.createTask(() => db.query(sql`quick`, { name: "names" }), { name: "child" });
      }),
    { name: "request 7" },
  );

test("a report has the path of its task", () =>
  testing.runTest(async () => {
    const heard: QueryReport[] = [];
    await using db = server().database({ onQuery: (report) => heard.push(report), name: "main" });
    await work(db);
    const [report] = heard;
    assert.deepEqual(report, {
      ...{ database: "main", name: "names", rows: 2, task: "child", path: ["request 7", "child"] },
      ...{ seconds: report?.seconds, connection: report?.connection },
      ...{ outcome: "ok", error: undefined },
    });
    assert.ok((report?.seconds ?? 0) > 0);
  }));

test("the channel has the same, and may be listened to alone", () =>
  testing.runTest(async () => {
    const heard: unknown[] = [];
    const listener = (report: unknown): void => {
      const { path, outcome } = report as QueryReport;
      heard.push([...path, outcome]);
    };
    await using db = server().database();
    subscribe("asyncio-ts-db:query", listener);
    await work(db);
    unsubscribe("asyncio-ts-db:query", listener);
    await work(db);
    assert.deepEqual(heard, [["request 7", "child", "ok"]]);
  }));

interface Event {
  readonly kind: string;
  readonly span: QuerySpan;
}

/** Runs `body` while somebody traces. */
async function traced(body: (db: Database) => Promise<unknown>): Promise<readonly string[]> {
  const events: Event[] = [];
  const outcomes: string[] = [];
  const follow = (kind: string) => (message: object) => {
    const span = message as QuerySpan;
    events.push({ kind, span });
    outcomes.push(`${span.name} ${kind}: ${span.outcome}`);
  };
  const subscribers = {
    start: follow("start"),
    end: follow("end"),
    error: follow("error"),
    asyncStart: follow("asyncStart"),
    asyncEnd: follow("asyncEnd"),
  };
  const channel = tracingChannel("asyncio-ts-db:query");
  channel.subscribe(subscribers);
  try {
    await testing.runTest(async () => {
      await using db = server().database({ max: 1 });
      await body(db).catch(() => {});
    });
  } finally {
    channel.unsubscribe(subscribers);
  }
  // What a tracer has opened it can close: each begins once and ends once, as the same object.
  const begun = events.filter(({ kind }) => kind === "start").map(({ span }) => span);
  const ended = events.filter(({ kind }) => kind === "asyncEnd").map(({ span }) => span);
  assert.equal(new Set(begun).size, begun.length);
  assert.deepEqual(new Set(ended), new Set(begun));
  assert.equal(ended.length, begun.length);
  return outcomes;
}

test("a tracer sees a query begin and end", async () => {
  const seen = await traced((db) => db.query(sql`quick`));
  assert.deepEqual(seen, [
    "quick start: running",
    "quick end: running",
    "quick asyncStart: ok",
    "quick asyncEnd: ok",
  ]);
});

test("a tracer sees one fail, and one that is cancelled", async () => {
  const failed = await traced((db) => db.query(sql`unknown`));
  const cancelled = await traced((db) => asyncio.timeout(1, () => db.query(sql`slow`)));
  assert.deepEqual(failed.slice(2), [
    "unknown error: failed",
    "unknown asyncStart: failed",
    "unknown asyncEnd: failed",
  ]);
  assert.equal(cancelled.at(-1), "slow asyncEnd: cancelled");
});

test("those that never leave the line end for a tracer, and are not reported", async () => {
  const reported: unknown[] = [];
  const listener = (report: unknown): void => {
    reported.push((report as QueryReport).name);
  };
  subscribe("asyncio-ts-db:query", listener);
  const seen = await traced(async (db) => {
    await db.session(async (session) => {
      const slow = asyncio.createTask(() => session.query(sql`slow`));
      await asyncio.sleep(0.1);
      await asyncio.moveOnAfter(1, () => session.query(sql`quick`));
      await slow;
    });
    const last = asyncio.createTask(() =>
      db.session((session) =>
        asyncio.gather([() => session.query(sql`slow`), () => session.query(sql`quick`)], {
          returnExceptions: true,
        }),
      ),
    );
    await asyncio.sleep(0.1);
    await db.close({ drain: 0.1 });
    await last;
  });
  unsubscribe("asyncio-ts-db:query", listener);
  assert.deepEqual(
    seen.filter((line) => line.startsWith("quick async")),
    [
      "quick asyncStart: cancelled",
      "quick asyncEnd: cancelled",
      "quick asyncStart: failed",
      "quick asyncEnd: failed",
    ],
  );
  assert.equal(reported.includes("quick"), false);
});

test("a span begins in the async context of its caller", async () => {
  const spans = new AsyncLocalStorage<string>();
  const parents: unknown[] = [];
  const subscribers = { start: () => parents.push(spans.getStore()) };
  const channel = tracingChannel("asyncio-ts-db:query");
  channel.subscribe(subscribers as never);
  await testing.runTest(async () => {
    await using db = server().database({ max: 1 });
    const ask = (who: string) => () => spans.run(who, () => db.query(sql`quick`));
    await asyncio.gather([ask("ann"), ask("bob"), ask("cid")]);
  });
  channel.unsubscribe(subscribers as never);
  assert.deepEqual(parents, ["ann", "bob", "cid"]);
});

test("every end that a sweep of cancellations finds is told", async () => {
  const open = new Set<object>();
  const channel = tracingChannel("asyncio-ts-db:query");
  const subscribers = {
    start: (span: object) => open.add(span),
    asyncEnd: (span: object) => open.delete(span),
  };
  channel.subscribe(subscribers as never);
  await testing.cancelSweep(async () => {
    await using db = server().database({ max: 1 });
    await asyncio.taskGroup(async (group) => {
      group.createTask(() => db.transaction((tx) => tx.query(sql`quick`)));
      group.createTask(() => db.batch([sql`quick`, sql`quick`]));
    });
  });
  channel.unsubscribe(subscribers as never);
  assert.equal(open.size, 0);
});
