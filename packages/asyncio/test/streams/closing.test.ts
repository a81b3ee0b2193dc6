// Leaving a source from which nothing comes, or nothing but empty chunks.

import assert from "node:assert/strict";
import { PassThrough, Readable } from "node:stream";
import { describe, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";
import { limitOnceWaiting } from "../limit-once-waiting.ts";
import { collectReports, rejection } from "../virtual.ts";

const { moveOnAfter, readerFrom, run, sleep, timeout, TimeoutError } = asyncio;
const { runTest } = testing;

const never = (): Promise<never> => new Promise(() => {});

async function* silence(): AsyncGenerator<string> {
  await never();
  yield "";
}

describe("a source that is silent can be left at once, and is closed", () => {
  interface Silent {
    readonly source: asyncio.ReadSource;
    isGone(): boolean;
  }
  const ofNode = (source: Readable): Silent => ({ source, isGone: () => source.destroyed });
  const sources: Record<string, () => Silent> = {
    "a Readable": () => ofNode(new PassThrough()),
    "a Readable with an encoding": () => ofNode(new PassThrough().setEncoding("utf8")),
    "a Readable of objects": () => ofNode(new PassThrough({ objectMode: true })),
    "a Readable of objects that emits no close": () =>
      ofNode(new Readable({ objectMode: true, emitClose: false, read() {} })),
    "a ReadableStream"() {
      let isGone = false;
      const source = new ReadableStream({
        pull: never,
        cancel() {
          isGone = true;
        },
      });
      return { source, isGone: () => isGone };
    },
    "an iterable whose `return` answers"() {
      let isGone = false;
      const source: AsyncIterable<string> = {
        [Symbol.asyncIterator]: () => ({
          next: never,
          async return() {
            isGone = true;
            return { done: true, value: undefined };
          },
        }),
      };
      return { source, isGone: () => isGone };
    },
    "a generator that waits in an operation of the library"() {
      let isGone = false;
      const source = (async function* () {
        try {
          await sleep(3600);
          yield "never";
        } finally {
          isGone = true;
        }
      })();
      return { source, isGone: () => isGone };
    },
  };

  for (const [name, make] of Object.entries(sources)) {
    const leave = async (): Promise<void> => {
      const { source, isGone } = make();
      const moved = await limitOnceWaiting(async (begins) => {
        await using reader = readerFrom(source);
        await moveOnAfter(0, () => sleep(0).then(() => reader.read(1)));
        begins();
        await reader.read(1);
      });

      assert.deepEqual([moved.cancelled, isGone()], [true, true]);
    };
    test(`${name}, in virtual time`, () => runTest(leave));
    test(`${name}, in real time`, () => run(leave));
  }
});

test("a source that fails when it is destroyed is reported", async () => {
  for (const objectMode of [true, false]) {
    const loop = new asyncio.HostLoop();
    const reports = collectReports(loop);
    const source = new Readable({
      objectMode,
      read() {},
      destroy: (_error, callback) => callback(new Error("stuck")),
    });
    await run(
      async () => {
        const reader = readerFrom(source);
        await moveOnAfter(0.001, () => reader.read(1));
        await reader[Symbol.asyncDispose]().catch((error) =>
          reports.push({ message: "told", exception: error }),
        );
      },
      { loop },
    );

    assert.deepEqual(
      reports.map(({ exception }) => String(exception)),
      objectMode ? ["Error: stuck"] : [],
    );
  }
});

describe("a source that does not answer", () => {
  const sources: Record<string, () => asyncio.ReadSource> = {
    "a Readable of Node": () => new Readable({ read() {}, destroy() {} }),
    "a Readable of Node, of objects": () =>
      new Readable({ objectMode: true, read() {}, destroy() {} }),
    "a Readable of Node, over a generator": () => Readable.from(silence()),
    "a ReadableStream": () => new ReadableStream({ pull: never, cancel: never }),
    "an iterable, of a generator": silence,
    "an iterable, by its `return`": () => ({
      [Symbol.asyncIterator]: () => ({ next: never, return: never }),
    }),
  };

  for (const [name, make] of Object.entries(sources)) {
    const expected = new RegExp(
      `^${name.split(",")[0]} was closed, and has not answered for 5 s\\. It is left behind`,
    );

    test(`is left behind after 5 s, and reported: ${name}`, async () => {
      const loop = new testing.VirtualLoop();
      const reports = collectReports(loop);
      await run(
        async () => {
          const reader = readerFrom(make());
          await moveOnAfter(1, () => reader.read(1));
          await reader[Symbol.asyncDispose]();
          assert.equal(loop.time(), 6);
          await reader[Symbol.asyncDispose]();
          assert.equal(loop.time(), 6);
        },
        { loop },
      );

      assert.equal(reports.length, 1);
      assert.match(reports[0]?.message ?? "", expected);
      assert.equal(loop.statistics().timers, 0);
    });

    test(`is left by a deadline, in real time: ${name}`, () =>
      run(async () => {
        const reader = readerFrom(make());
        await limitOnceWaiting(() => reader.read(1));

        const scope = new asyncio.CancelScope();
        const leaving = scope.run(() => reader[Symbol.asyncDispose]());
        await sleep(0); // it waits, however slow the machine is
        scope.deadline = asyncio.getRunningLoop().time() + 0.005;
        await leaving;

        assert.ok(scope.cancelled);
      }));

    test(`is reported also when the grace period of whoever waits is over first: ${name}`, async () => {
      const loop = new testing.VirtualLoop({ cancelGrace: 2 });
      const reports = collectReports(loop);
      await run(
        async () => {
          const reading = timeout(1, async () => {
            await using reader = readerFrom(make());
            await reader.read(1);
          });
          await assert.rejects(reading, TimeoutError);
          assert.equal(loop.time(), 3);
        },
        { loop },
      );

      assert.equal(reports.length, 1);
      assert.match(reports[0]?.message ?? "", / was closed, and has not answered for 2 s\. It is/);
      assert.equal(loop.statistics().timers, 0);
    });

    test(`is not waited for by whoever only closes it: ${name}`, async () => {
      const loop = new testing.VirtualLoop();
      const reports = collectReports(loop);
      await run(
        async () => {
          const reader = readerFrom(make());
          await moveOnAfter(1, () => reader.read(1));
          reader.close();
          assert.equal((await reader.read(1)).length, 0);
        },
        { loop },
      );

      assert.deepEqual(reports, []);
    });
  }

  test("is cancelled when its time is over, if it waits in an operation of the library", async () => {
    const loop = new testing.VirtualLoop();
    const reports = collectReports(loop);
    const log: unknown[] = [];
    await run(
      async () => {
        const reader = readerFrom(
          (async function* () {
            try {
              yield "x";
            } finally {
              log.push(await rejection(sleep(3600)));
            }
          })(),
        );
        await reader.read(1);
        await reader[Symbol.asyncDispose]();
        await sleep(0);
        assert.equal(loop.time(), 5);
      },
      { loop },
    );

    assert.equal(reports.length, 1);
    assert.ok(log[0] instanceof asyncio.CancelledError);
  });

  test("is told from a sink that still takes what was written: that is waited for", () =>
    runTest(async (t) => {
      const writer = asyncio.writerFrom(
        new WritableStream({
          write: () => sleep(60),
          close: () => sleep(60),
        }),
      );
      writer.write("x");
      await writer[Symbol.asyncDispose]();

      assert.equal(t.now, 120);
    }));
});

describe("empty chunks without end do not keep the host, timers and deadlines from their turn", () => {
  let given = 0;
  const empty = <T>(chunk: T): T => {
    given++;
    return chunk;
  };
  const sources: Record<string, () => asyncio.ReadSource> = {
    "of an async generator": async function* () {
      for (;;) yield empty("");
    },
    "of a generator": function* () {
      for (;;) yield empty(new Uint8Array(0));
    },
    "of a ReadableStream": () =>
      new ReadableStream({ pull: (controller) => controller.enqueue(empty("")) }),
    "of a Readable of objects": () =>
      Readable.from(
        (function* () {
          for (;;) yield empty("");
        })(),
        { objectMode: true },
      ),
    "that begin a character and do not end it": function* () {
      yield "\ud83d";
      for (;;) yield empty("");
    },
  };

  for (const [name, make] of Object.entries(sources))
    test(name, () =>
      run(async () => {
        const loop = asyncio.getRunningLoop();
        const reader = readerFrom(make());

        const reading = timeout(null, (limit) => {
          setTimeout(() => limit.reschedule(loop.time() + 0.01), 1); // a timer of the host
          return reader.read(1);
        });
        await assert.rejects(reading, TimeoutError);

        await new Promise((resolve) => setImmediate(resolve));
        const then = given;
        for (let round = 0; round < 3; round++)
          await new Promise((resolve) => setImmediate(resolve));
        assert.ok(given - then < 20, "it is asked for more although nobody reads");
        await reader[Symbol.asyncDispose]();
      }),
    );

  test("in virtual time, where the bytes behind them come", () =>
    runTest(async () => {
      const reader = readerFrom(
        (function* () {
          for (let count = 0; count < 2000; count++) yield "";
          yield "x";
        })(),
      );

      assert.equal((await reader.read()).length, 1);
    }));
});
