import assert from "node:assert/strict";
import { createServer, type IncomingMessage } from "node:http";
import { describe, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import { createTask, run, sleep, TimeoutError, timeout } from "../../src/index.ts";
import { deadlineHeaders, withDeadlineOf } from "../../src/patterns.ts";
import { explore } from "../../src/testing.ts";
import { conformsJoin } from "../conformance.ts";
import { rejection, virtual } from "../virtual.ts";

conformsJoin("withDeadlineOf", (work) => withDeadlineOf({ "time-left": "3600" }, work), {
  runsInCaller: true,
});

describe("what is sent", () => {
  test(
    "is the time until the nearest deadline, and nothing without one",
    virtual(async () => {
      assert.deepEqual(deadlineHeaders(), {});
      await timeout(9, () =>
        timeout(5.0009, async () => {
          await sleep(1.25);
          assert.deepEqual(deadlineHeaders(), { "time-left": "3.750" });
        }),
      );
    }),
  );

  test(
    "is 0 once it has passed, or a cancellation is due",
    virtual(async () => {
      const task = createTask(async () => {
        await timeout(1, async () => {
          await sleep(2).catch(() => {});
          return deadlineHeaders();
        }).then((headers) => assert.deepEqual(headers, { "time-left": "0.000" }));
      });
      await task;
    }),
  );
});

describe("what comes", () => {
  /** Seconds after which the body is cancelled; undefined if it is not within an hour. */
  async function cutAt(headers: Parameters<typeof withDeadlineOf>[0], max?: number) {
    const { loop } = { loop: asyncio.getRunningLoop() };
    const started = loop.time();
    try {
      await withDeadlineOf(headers, () => sleep(3600), { max });
      return undefined;
    } catch (error) {
      assert.ok(error instanceof TimeoutError);
      return loop.time() - started;
    }
  }

  const cases: readonly [string, Parameters<typeof withDeadlineOf>[0], number | undefined][] = [
    ["Node's headers", { "time-left": "1.5" }, 1.5],
    ["web headers", new Headers({ "Time-Left": "2" }), 2],
    ["none", {}, undefined],
    ["no time", { "time-left": "0" }, 0],
    ["several, of which the least counts", { "time-left": "3, 2.5" }, 2.5],
    ["several lines", { "time-left": ["4", "3"] }, 3],
    ["what is no number of seconds", { "time-left": "soon" }, undefined],
    ["a negative number", { "time-left": "-1" }, undefined],
    ["an exponent", { "time-left": "1e-9" }, undefined],
    ["nothing at all", { "time-left": "" }, undefined],
  ];
  for (const [name, headers, seconds] of cases)
    test(
      name,
      virtual(async () => {
        assert.equal(await cutAt(headers), seconds);
      }),
    );

  test(
    "max is more than the caller may ask for",
    virtual(async () => {
      assert.equal(await cutAt({ "time-left": "100" }, 30), 30);
      assert.equal(await cutAt({}, 30), 30);
      assert.equal(await cutAt({ "time-left": "1" }, 30), 1);
    }),
  );

  test("wrong arguments", async () => {
    await assert.rejects(
      withDeadlineOf(undefined as never, () => 1),
      /the headers of a request/,
    );
    await assert.rejects(
      withDeadlineOf({}, () => 1, { max: Number.NaN }),
      /`max` in seconds/,
    );
  });
});

test("a chain of calls ends at the deadline of the first, whatever comes when", async () => {
  await explore(async () => {
    const serve = (headers: Record<string, string>, depth: number): Promise<unknown> =>
      withDeadlineOf(headers, async () => {
        await sleep(1);
        return depth === 0 ? await sleep(100) : await serve(deadlineHeaders(), depth - 1);
      });
    const { loop } = { loop: asyncio.getRunningLoop() };

    await rejection(timeout(5, () => serve(deadlineHeaders(), 3)));

    assert.equal(loop.time(), 5);
  });
});

test("over a real wire, through requestScope and fetch", async () => {
  await run(async () => {
    const seen: string[] = [];
    let cut: unknown;
    const handle = async (request: IncomingMessage) => {
      seen.push(String(request.headers["time-left"]));
      await withDeadlineOf(request.headers, async () => {
        seen.push(deadlineHeaders()["time-left"] ?? "none");
        await sleep(3600).catch((error) => {
          cut = error;
          throw error;
        });
      });
    };
    const handled = new asyncio.Future<void>();
    const server = createServer((request, response) => {
      asyncio
        .requestScope({ request, response }, () => handle(request))
        .catch(() => {})
        .finally(() => {
          handled.setResult(undefined);
          response.end();
        });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };

    const answer = rejection(
      timeout(0.3, () =>
        asyncio.fetch(`http://127.0.0.1:${port}/`, { headers: deadlineHeaders() }),
      ),
    );

    assert.ok((await answer) instanceof TimeoutError);
    await handled;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    const [sent, left] = seen.map(Number) as [number, number];
    assert.ok(sent > 0 && sent <= 0.3 && left <= sent, seen.join());
    assert.ok(cut instanceof asyncio.CancelledError);
  });
});
