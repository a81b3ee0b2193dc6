// `await using`: what was not sent is told, whatever ends the wait for it, and no other error is
// hidden by that.

import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";
import { rejection } from "../virtual.ts";

const { CancelledError, createTask, moveOnAfter, run, sleep, timeout, TimeoutError } = asyncio;

const MUCH = new Uint8Array(20_000_000);

/** A WritableStream that takes its first chunk no sooner than it is aborted. */
const stuckSink = () =>
  new WritableStream({
    write(_chunk, controller) {
      const { signal } = controller as unknown as { signal: AbortSignal }; // Node's types lack it
      return new Promise((_resolve, reject) => signal.addEventListener("abort", reject));
    },
  });

/** A connection by TCP to a peer that does not read; `body` runs on the real loop. */
async function toSilentPeer(body: (open: () => Promise<asyncio.Connection>) => Promise<void>) {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket.pause());
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await run(() => body(() => asyncio.openConnection("127.0.0.1", port)), { signals: false });
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
}

type Open = () => { thing: AsyncDisposable; send: () => void };

/** Everything that is closed by `await using` while it has something to send. */
const things: Record<string, Open> = {
  "a connection"() {
    const [near] = asyncio.connectionPair();
    return {
      thing: near,
      send: () => void near.writer.write(MUCH),
    };
  },
  "a writer"() {
    const [near] = asyncio.connectionPair();
    return {
      thing: near.writer,
      send: () => void near.writer.write("x"),
    };
  },
  "the reader of a connection"() {
    const [near] = asyncio.connectionPair();
    return {
      thing: near.reader,
      send: () => void near.writer.write("x"),
    };
  },
  "a writer to a web stream"() {
    const writer = asyncio.writerFrom(stuckSink());
    return {
      thing: writer,
      send: () => void writer.write("x").catch(() => {}),
    };
  },
};

/** Opens, sends, and leaves the block with `end`. */
async function use(open: Open, end: () => unknown): Promise<string> {
  const { thing, send } = open();
  await using used = thing;
  void used;
  send();
  await end();
  return "sent";
}

for (const [name, open] of Object.entries(things))
  describe(`what ${name} has not sent is told`, () => {
    const inTime = (body: () => Promise<void>) => () => testing.runTest(async () => await body());

    test(
      "when a deadline comes while it is closed",
      inTime(async () => {
        await assert.rejects(
          timeout(1, () => use(open, () => {})),
          TimeoutError,
        );
        assert.deepEqual(await moveOnAfter(1, () => use(open, () => {})), { cancelled: true });
      }),
    );

    test(
      "when its task is cancelled while it is closed",
      inTime(async () => {
        const task = createTask(() => use(open, () => {}));
        await sleep(1);
        task.cancel("enough");

        const error = await rejection(task);

        assert.ok(error instanceof CancelledError);
        assert.equal(error.reason, "enough");
      }),
    );

    test(
      "when a cancellation is pending that has met no wait",
      inTime(async () => {
        const task = createTask(() => use(open, () => asyncio.currentTask()?.cancel()));

        assert.ok((await rejection(task)) instanceof CancelledError);
      }),
    );

    test(
      "and a cancellation that leaves the block is told as it is, also past its grace",
      inTime(async () => {
        const scoped = async () => {
          const scope = new asyncio.CancelScope({ cancelGrace: 2 });
          const result = await scope.run(() =>
            use(open, () => {
              scope.cancel();
              return sleep(3600);
            }),
          );
          return [result, scope.cancelled];
        };

        assert.deepEqual(await timeout(3, scoped), [undefined, true]);
      }),
    );

    test(
      "and of two deadlines the outer one is told, which comes while the inner one is at work",
      inTime(async () => {
        const inner = () => moveOnAfter(1, () => use(open, () => sleep(3600)));

        await assert.rejects(timeout(2, inner), TimeoutError);
      }),
    );

    test(
      "and the error that leaves the block is told with it",
      inTime(async () => {
        const failure = new Error("mine");
        const error = await rejection(
          timeout(1, () =>
            use(open, () => {
              throw failure;
            }),
          ),
        );

        assert.equal((error as { suppressed?: unknown }).suppressed, failure);
        assert.ok((error as { error?: unknown }).error instanceof CancelledError);
      }),
    );
  });

test("two connections of one block make one TimeoutError", () =>
  testing.runTest(async () => {
    const body = async () => {
      await using first = asyncio.connectionPair()[0];
      await using second = asyncio.connectionPair()[0];
      void first.writer.write("x");
      void second.writer.write("x");
      return "sent";
    };

    await assert.rejects(timeout(1, body), TimeoutError);
  }));

describe("to a peer that does not read, on the real loop", () => {
  test("a connection under a deadline", () =>
    toSilentPeer(async (open) => {
      const send = async () => {
        await using connection = await open();
        void connection.writer.write(MUCH);
        return "sent";
      };

      await assert.rejects(timeout(0.02, send), TimeoutError);
    }));

  test("a connection whose deadline passes before it is closed", () =>
    toSilentPeer(async (open) => {
      const connection = await open();
      const send = async () => {
        await using own = connection;
        void own.writer.write(MUCH);
        asyncio.currentTask()?.cancel();
        return "sent";
      };

      assert.ok((await rejection(createTask(send))) instanceof CancelledError);
      assert.equal(connection.reader.stream.unsent, 0, "it is still at it");
    }));

  test("closed by hand, with a cancellation pending", () =>
    toSilentPeer(async (open) => {
      const connection = await open();
      const send = async () => {
        void connection.writer.write(MUCH);
        connection.writer.close();
        asyncio.currentTask()?.cancel();
        await connection.writer.waitClosed();
        return "sent";
      };

      assert.ok((await rejection(createTask(send))) instanceof CancelledError);
      connection.writer.abort();
    }));
});

describe("what was lost is told also by a block that a cancellation has been delivered to", () => {
  const lost = (end: (error: unknown) => string) => async () => {
    await using near = asyncio.connectionPair()[0];
    void near.writer.write(MUCH);
    try {
      await sleep(3600);
    } catch (error) {
      return end(error);
    }
    return "sent";
  };
  const rethrow = (error: unknown): never => {
    throw error;
  };
  const inTime = (body: () => Promise<void>) => () =>
    run(body, { loop: new testing.VirtualLoop({ cancelGrace: 1 }) });

  for (const [how, end] of [
    ["swallowed", () => "sent"],
    ["passed on", rethrow],
    ["wrapped", (error: unknown) => rethrow(new Error("no answer", { cause: error }))],
  ] as const) {
    test(
      `and that has ${how} it: by a deadline`,
      inTime(() => assert.rejects(timeout(1, lost(end)), TimeoutError)),
    );

    test(
      `and that has ${how} it: by moveOnAfter`,
      inTime(async () => assert.deepEqual(await moveOnAfter(1, lost(end)), { cancelled: true })),
    );

    test(
      `and that has ${how} it: by the cancellation of its task`,
      inTime(async () => {
        const task = createTask(lost(end));
        await sleep(1);
        task.cancel();
        await asyncio.wait([task]);
        assert.ok(task.cancelled());
      }),
    );
  }
});

describe("a block that is left by a cancellation, and whose disposer is cut off by one, was cancelled", () => {
  const slow: AsyncDisposable = { [Symbol.asyncDispose]: () => sleep(3600) };
  const use = async () => {
    await using _ = slow;
    await sleep(3600);
  };
  const inTime = (body: () => Promise<void>) => () =>
    run(body, { loop: new testing.VirtualLoop({ cancelGrace: 1 }) });

  test(
    "by a deadline",
    inTime(async () => {
      const error = await rejection(timeout(1, use));

      assert.ok(error instanceof TimeoutError);
      assert.ok((error.cause as Error).cause instanceof SuppressedError);
    }),
  );

  test(
    "by moveOnAfter",
    inTime(async () => assert.deepEqual(await moveOnAfter(1, use), { cancelled: true })),
  );

  test(
    "by two deadlines",
    inTime(async () => {
      await assert.rejects(
        timeout(1.5, () => moveOnAfter(1, use)),
        TimeoutError,
      );
    }),
  );

  test(
    "by its group",
    inTime(async () => {
      await asyncio.taskGroup(async (group) => {
        const task = group.createTask(use);
        await sleep(1);
        group.cancel();
        task.addDoneCallback(() => assert.ok(task.cancelled()));
      });
    }),
  );
});

test("what has sent everything is closed, and not aborted, in a scope that was cancelled", () =>
  testing.runTest(async () => {
    const [near, far] = asyncio.connectionPair();
    const task = createTask(async () => {
      await using own = near;
      asyncio.currentTask()?.cancel();
      return own.writer.isClosing();
    });

    assert.equal(await task, false);
    assert.equal((await far.reader.read()).length, 0);
    far.writer.close();
  }));

test("an endpoint tells when the system has not taken its datagrams", () =>
  run(async () => {
    const endpoint = await asyncio.createDatagramEndpoint({ local: { host: "127.0.0.1" } });
    const { port } = endpoint.address;
    const sending = createTask(() => endpoint.send("x", { host: "localhost", port }), {
      eagerStart: true,
    });
    const use = async () => {
      await using own = endpoint;
      asyncio.currentTask()?.cancel();
      return own.isClosing();
    };

    assert.ok((await rejection(createTask(use, { eagerStart: true }))) instanceof CancelledError);
    await assert.rejects(sending, asyncio.InvalidStateError);
  }));
