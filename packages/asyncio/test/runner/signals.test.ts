// Signals as an async iterable. Most tests raise them inside the process (`process.emit`), in
// virtual time; that the system's own arrive, and what they do to a run, is tested with programs of
// their own.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import {
  CancelledError,
  createTask,
  moveOnAfter,
  type SignalName,
  type Signals,
  signals,
  sleep,
  timeout,
} from "../../src/index.ts";
import { runFixture } from "../child.ts";
import { conforms } from "../conformance.ts";
import { rejection, virtual } from "../virtual.ts";

const raise = (name: SignalName): boolean => process.emit(name, name);
const listeners = (): number => process.listenerCount("SIGWINCH");

describe("signals", () => {
  test(
    "gives the signals in the order in which they come",
    virtual(async () => {
      using received = signals(["SIGWINCH", "SIGHUP"]);
      for (const name of ["SIGHUP", "SIGWINCH", "SIGHUP"] as const) raise(name);

      const names = [];
      for (let count = 0; count < 3; count++) names.push((await received.next()).value);

      assert.deepEqual(names, ["SIGHUP", "SIGWINCH", "SIGHUP"]);
    }),
  );

  test(
    "loses nothing that comes between two reads",
    virtual(async () => {
      const seen: string[] = [];
      const reader = createTask(async () => {
        for await (const name of signals(["SIGWINCH"])) {
          seen.push(name);
          await sleep(10);
          if (seen.length === 3) break;
        }
      });
      await sleep(1);
      raise("SIGWINCH");
      await sleep(1);
      raise("SIGWINCH");
      raise("SIGWINCH");
      await reader;

      assert.deepEqual(seen, ["SIGWINCH", "SIGWINCH", "SIGWINCH"]);
      assert.equal(listeners(), 0);
    }),
  );

  test(
    "listens from the call on, before the first read",
    virtual(async () => {
      using received = signals(["SIGWINCH"]);
      raise("SIGWINCH");
      await sleep(5);

      assert.deepEqual(await received.next(), { done: false, value: "SIGWINCH" });
    }),
  );

  test(
    "a signal in the step of a cancellation is not lost",
    virtual(async () => {
      using received = signals(["SIGWINCH"]);
      const reader = createTask(() => received.next());
      await sleep(1);
      reader.cancel();
      raise("SIGWINCH");

      await rejection(reader);
      assert.deepEqual(await received.next(), { done: false, value: "SIGWINCH" });
    }),
  );

  test(
    "several readers get signals in turn, several iterables the same one each",
    virtual(async () => {
      using first = signals(["SIGWINCH"]);
      using second = signals(["SIGWINCH", "SIGHUP"]);
      const got: unknown[] = [];
      const read = (from: Signals, who: string) =>
        createTask(async () => got.push([who, (await from.next()).value]));
      const tasks = [read(first, "a"), read(first, "b"), read(second, "c")];
      await sleep(1);
      raise("SIGWINCH");
      await sleep(1);
      raise("SIGWINCH");
      await Promise.all(tasks);

      assert.deepEqual(got, [
        ["a", "SIGWINCH"],
        ["c", "SIGWINCH"],
        ["b", "SIGWINCH"],
      ]);
      assert.equal(listeners(), 1);
    }),
  );
});

describe("the listeners are taken away (S172)", () => {
  test(
    "by `break`, `using`, `await using` and `close`",
    virtual(async () => {
      const counts: number[] = [];
      {
        using _ = signals(["SIGWINCH"]);
        await using __ = signals(["SIGWINCH", "SIGWINCH"]);
        counts.push(listeners());
      }
      counts.push(listeners());
      const received = signals(["SIGWINCH"]);
      raise("SIGWINCH");
      for await (const _name of received) break;
      counts.push(listeners());
      received.close();

      assert.deepEqual(counts, [1, 0, 0]);
      assert.deepEqual(await received.next(), { done: true, value: undefined });
    }),
  );

  test(
    "when the scope ends, also for a reader in another task",
    virtual(async () => {
      let reader: Promise<unknown> | undefined;
      await timeout(5, async () => {
        const received = signals(["SIGWINCH"]);
        setReader(received);
        await sleep(1);
      });
      function setReader(received: Signals): void {
        reader = readElsewhere(received);
      }

      assert.equal(listeners(), 0);
      assert.deepEqual(await reader, { done: true, value: undefined });
    }),
  );

  test(
    "when the scope is cancelled, at once; its reader gets the CancelledError",
    virtual(async () => {
      let during = -1;
      const moved = await moveOnAfter(1, async () => {
        try {
          for await (const _name of signals(["SIGWINCH"]));
        } catch (error) {
          assert.ok(error instanceof CancelledError);
          during = listeners();
          throw error;
        }
      });

      assert.deepEqual([moved.cancelled, during], [true, 0]);
    }),
  );

  test(
    "a scope keeps nothing of the iterables that were closed in it",
    virtual(async () => {
      for (let count = 0; count < 1000; count++) signals(["SIGWINCH"]).close();

      assert.equal(listeners(), 0);
    }),
  );
});

describe("wrong names", () => {
  for (const [what, names, message] of [
    ["SIGKILL", ["SIGKILL"], /got "SIGKILL"\. No process can catch that one$/],
    ["an unknown name", ["SIGFOO"], /`signals` expects an array of SIGHUP, .*, got "SIGFOO"$/],
    ["the name of something else", ["toString"], /got "toString"$/],
    ["a bare name", "SIGHUP", /expects an array of .*, got "SIGHUP"$/],
    ["no name", [], /expects at least one name of a signal, got an array of 0$/],
  ] as const) {
    test(`${what} is a TypeError, in the call (S172)`, () => {
      assert.throws(() => signals(names as never), { name: "TypeError", message });
    });
  }
});

test("a worker, which gets no signals, is refused in the call", async () => {
  const source = JSON.stringify(new URL("../../src/index.ts", import.meta.url).href);
  const code = `import(${source}).then(({ signals }) => signals(["SIGHUP"]))`;
  const worker = new Worker(code, { eval: true });

  const error = await new Promise((resolve) => worker.once("error", resolve));

  assert.equal(
    String(error),
    'TypeError: `signals` expects a thread that gets signals, got "a worker". Call it in the main thread, and tell the worker by a message',
  );
});

describe("signals of the system", () => {
  test("arrive, keep the process alive while somebody waits, and do again what they did", async () => {
    const ended = await runFixture("signal-stream", "reload", {
      onOutput: (output, child) => {
        if (output === "ready\n" || output.endsWith("reload 1\n")) child.kill("SIGHUP");
        if (output.endsWith("reload 2\nclosed\n")) child.kill("SIGHUP");
      },
    });

    assert.deepEqual(
      [ended.signal, ended.stdout],
      ["SIGHUP", "ready\nreload 1\nreload 2\nclosed\n"],
    );
  });

  test("a signal that would cancel run goes to the iterable while it is open, and then to run", async () => {
    const ended = await runFixture("signal-stream", "own sigterm", {
      onOutput: (output, child) => {
        if (output === "ready\n" || output.endsWith("got SIGTERM\n")) child.kill("SIGTERM");
      },
    });

    assert.deepEqual(
      [ended.signal, ended.stdout],
      ["SIGTERM", "ready\ngot SIGTERM\nmain is cancelled\n"],
    );
  });

  test("an iterable that is opened before run leaves the signals to run when it closes", async () => {
    const ended = await runFixture("signal-stream", "opened before run", {
      onOutput: (output, child) => {
        if (output.endsWith("ready\n")) child.kill("SIGTERM");
      },
    });

    assert.deepEqual([ended.signal, ended.stdout], ["SIGTERM", "ready\nmain is cancelled\n"]);
  });

  test("one that came and was not read cancels run when the iterable closes", async () => {
    const ended = await runFixture("signal-stream", "unread", {
      onOutput: (output, child) => {
        if (output === "ready\n") child.kill("SIGTERM");
      },
    });

    assert.deepEqual(
      [ended.signal, ended.stdout],
      ["SIGTERM", "ready\nstill here\nmain is cancelled\n"],
    );
  });

  test("one that one of two iterables has given does not cancel run, one that neither has does", async () => {
    const [read, unread] = await Promise.all([
      runFixture("signal-stream", "read by one of two"),
      runFixture("signal-stream", "read by none of two"),
    ]);

    assert.deepEqual([read.code, read.stdout], [0, "still here\n"]);
    assert.deepEqual([unread.signal, unread.stdout], ["SIGTERM", "ready\nmain is cancelled\n"]);
  });

  test("a second signal ends the process although an iterable is open in the cleanup", async () => {
    const ended = await runFixture("signal-stream", "stuck cleanup", {
      onOutput: (output, child) => {
        if (output === "ready\n") child.kill("SIGINT");
        if (output.endsWith("cleaning up\n")) child.kill("SIGTERM"); // SIGINT again could be the same
      },
    });

    assert.deepEqual([ended.signal, ended.stdout], ["SIGTERM", "ready\ncleaning up\n"]);
  });
});

let received: Signals | undefined;
conforms(
  "Signals.next",
  {
    wakes: "one",
    hasFastPath: true,
    within: async (check) => {
      received = signals(["SIGWINCH"]);
      try {
        await check();
      } finally {
        received.close();
      }
    },
  },
  () => ({
    begin: async () => (await received?.next())?.value,
    complete() {
      raise("SIGWINCH");
      return "SIGWINCH";
    },
  }),
);

/** Reads in a task that outlives the scope it is started in. */
function readElsewhere(from: Signals): Promise<unknown> {
  return createTask(() => from.next());
}
