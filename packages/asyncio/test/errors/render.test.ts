import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { runInNewContext } from "node:vm";
import { formatThrown, render, summary } from "../../src/errors/render.ts";
import {
  createTask,
  gather,
  run,
  sleep,
  TimeoutError,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { collectReports, rejection } from "../virtual.ts";

const boom = (): never => {
  throw new Error("of a getter");
};
const traps: ProxyHandler<object> = { get: boom, has: boom, getPrototypeOf: boom, ownKeys: boom };
const circle = new AggregateError([], "a circle");
circle.errors.push(circle);
circle.cause = circle;

/** What somebody may throw. */
const thrown: Record<string, unknown> = {
  "an object without a prototype": Object.create(null),
  "a plain object": { code: 5 },
  "an object that turns into no text": { toString: boom },
  "an object whose JSON fails": { toJSON: boom, self: undefined },
  "a proxy whose traps throw": new Proxy({}, traps),
  "a proxy of an error": new Proxy(new Error("behind"), traps),
  "a proxy that was revoked": revoked(),
  "an error whose stack throws": Object.defineProperty(new Error("hidden"), "stack", { get: boom }),
  "an error whose stack is a number": Object.assign(new Error("numbered"), { stack: 5 }),
  "an error whose message throws": Object.defineProperty(new Error(), "message", { get: boom }),
  "an error whose cause throws": Object.defineProperty(new Error("x"), "cause", { get: boom }),
  "an aggregate whose errors are none": Object.assign(new AggregateError([]), { errors: 5 }),
  "an error that contains itself": circle,
  "an error of another realm": runInNewContext("new RangeError('far away')"),
  "a symbol": Symbol("thrown"),
  "a function": () => {},
  "a class with a bad name": Object.defineProperty(() => {}, "name", { get: boom }),
  undefined,
  null: null,
  "a big number": 10n,
  // biome-ignore lint/suspicious/noThenProperty: that is the point
  "a promise-like whose then throws": Object.defineProperty({}, "then", { get: boom }),
};

/** What `promise` rejects with, in a box: an async function would ask it for its \`then\`. */
async function caught(promise: PromiseLike<unknown>): Promise<{ error: unknown }> {
  try {
    await promise;
  } catch (error) {
    return { error };
  }
  throw new Error("expected a rejection");
}

test("a value is called by its class, and an object where that has no name", () => {
  const named = [new Map(), {}, Object.create(null), new (class {})(), (function* () {})()];

  const texts = ["an instance of Map", "an object", "an object", "an object", "an object"];
  assert.deepEqual(named.map(render), texts);
});

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

describe("whatever is thrown can be reported", () => {
  for (const [what, value] of Object.entries(thrown)) {
    test(`${what}: its texts can be made`, () => {
      for (const text of [render(value), summary(value), formatThrown(value)])
        assert.ok(typeof text === "string" && text.length > 0 && text.length < 100_000);
    });

    test(`${what}, by a task that nobody awaits: reported, and main's value stands`, async () => {
      for (const makeLoop of [() => undefined, () => new VirtualLoop()]) {
        const texts: string[] = [];
        const loop = makeLoop();
        const gave = await run(
          async () => {
            const { loop } = createTask(() => Promise.resolve()).scope;
            loop.setExceptionHandler((_loop, context) =>
              texts.push(formatThrown(context.exception)),
            );
            createTask(() => Promise.reject(value), { name: "careless" });
            loop.callSoon(() => {
              throw value;
            });
            await sleep(0);
            return "value";
          },
          { loop },
        );

        assert.deepEqual([gave, texts.length], ["value", 2]);
      }
    });

    test(`${what}: comes through tasks, groups, deadlines and gather as it is`, async () => {
      const fail = () => Promise.reject(value);
      await run(
        async () => {
          for (const failing of [createTask(fail), timeout(1, fail), gather(fail)])
            assert.ok((await caught(failing)).error === value);
          const group = taskGroup(async (group) => void group.createTask(fail));
          assert.ok(((await caught(group)).error as AggregateError).errors[0] === value);
        },
        { loop: new VirtualLoop() },
      );
    });

    test(`${what}: may be the reason of a cancellation`, async () => {
      const error = await rejection(
        run(
          async () => {
            const task = createTask(() => sleep(1));
            await sleep(0);
            task.cancel(value);
            await task;
          },
          { loop: new VirtualLoop() },
        ),
      );

      assert.ok(Object.is((error as { reason?: unknown }).reason, value));
    });
  }

  test("the handler of the loop may throw it as well", async () => {
    const loop = new VirtualLoop();
    const printed: string[] = [];
    loop.defaultExceptionHandler = ({ exception }) => printed.push(formatThrown(exception));
    loop.setExceptionHandler(() => {
      throw thrown["a proxy whose traps throw"];
    });

    await run(async () => void createTask(() => Promise.reject(new Error("expected"))), { loop });

    assert.equal(printed.length, 2);
  });

  test("an error shows its stack, its parts and its cause", () => {
    const error = new AggregateError([new Error("one"), { two: 2 }], "both", {
      cause: new TimeoutError("late"),
    });

    const text = formatThrown(error);

    assert.match(text, /AggregateError: both\n.*render\.test\.ts[\s\S]*\[1\]\n\s+Error: one/);
    assert.match(text, /\[2\]\n\s+\{"two":2\}\n\s+caused by\n\s+TimeoutError: late/);
  });

  test("one of another realm too", () => {
    assert.match(formatThrown(thrown["an error of another realm"]), /RangeError: far away\n\s+at /);
  });
});

describe("R26: the report of what would not end is short, however many there are", () => {
  test("20,000 alike and 30 of other kinds", async () => {
    const loop = new VirtualLoop();
    const reports = collectReports(loop);

    await run(
      async () => {
        for (let count = 0; count < 20_000; count++) createTask(() => new Promise(() => {}));
        for (const name of "abcdefghijklmnopqrstuvwxyzABCD")
          createTask(() => new Promise(() => {}), { name });
        await sleep(0);
      },
      { loop, shutdownDelay: 0.5 },
    );

    const [first, ...lines] = (reports[0]?.message ?? "").split("\n");
    assert.equal(reports.length, 1);
    assert.match(first ?? "", /^20030 tasks have not ended 0\.5 s after being cancelled/);
    assert.equal(lines.length, 21);
    assert.equal(lines[0], '  task "Task-1" sits in a foreign await (and 19999 more like it)');
    assert.equal(lines[1], '  task "a" sits in a foreign await');
    assert.equal(lines[20], "  and 11 more");
  });

  test("so is the message of a deadlock, and of the watchdog", async () => {
    const crowd = (work: () => Promise<unknown>) => async () => {
      for (let count = 0; count < 1000; count++) createTask(work);
      await work();
    };

    const [deadlock, late] = await Promise.all([
      rejection(
        run(
          crowd(() => sleep(Number.POSITIVE_INFINITY)),
          { loop: new VirtualLoop() },
        ),
      ),
      rejection(
        run(
          crowd(() => new Promise<never>(() => {})),
          {
            loop: new VirtualLoop({ watchdog: 0.01 }),
            shutdownDelay: 0,
          },
        ),
      ),
    ]);

    for (const error of [deadlock, late]) {
      const { message } = error as Error;
      assert.match(message, /task "main"/);
      assert.match(message, /task "Task-1" .* \(and 999 more like it\)/);
      assert.ok(message.split("\n").length <= 4, message);
    }
    assert.match((deadlock as Error).message, /1001 are still waiting/);
  });
});
