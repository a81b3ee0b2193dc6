import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import {
  CancelledError,
  CancelScope,
  cleanup,
  createTask,
  DeadlockError,
  ExceptionGroup,
  gather,
  InvalidStateError,
  moveOnAfter,
  Queue,
  QueueEmpty,
  QueueFull,
  QueueShutDown,
  run,
  sleep,
  TimeoutError,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { rejection, virtual } from "../virtual.ts";

const classes = {
  CancelledError: [new CancelledError(), "ERR_ASYNCIO_CANCELLED"],
  TimeoutError: [new TimeoutError("late"), "ERR_ASYNCIO_TIMEOUT"],
  DeadlockError: [new DeadlockError([], []), "ERR_ASYNCIO_DEADLOCK"],
  InvalidStateError: [new InvalidStateError("wrong"), "ERR_ASYNCIO_INVALID_STATE"],
  QueueEmpty: [new QueueEmpty("empty"), "ERR_ASYNCIO_QUEUE_EMPTY"],
  QueueFull: [new QueueFull("full"), "ERR_ASYNCIO_QUEUE_FULL"],
  QueueShutDown: [new QueueShutDown("down"), "ERR_ASYNCIO_QUEUE_SHUT_DOWN"],
  ExceptionGroup: [new ExceptionGroup("failed", []), "ERR_ASYNCIO_EXCEPTION_GROUP"],
} as const;

describe("section 6: errors", () => {
  for (const [name, [error, code]] of Object.entries(classes)) {
    test(`${name} has its name, its permanent code, and is an Error`, () => {
      assert.deepEqual([error.name, error.code], [name, code]);
      assert.ok(error instanceof Error);
      assert.equal(Object.keys(error).includes("name"), false);
      assert.match(error.stack ?? "", RegExp(`^${name}: `));
    });
  }

  test("instanceof works across two copies of the package", async () => {
    // The query makes the host load the module once more.
    const copy: typeof import("../../src/errors/errors.ts") = await import(
      `../../src/errors/errors.ts?copy=${1}`
    );
    const error = new copy.CancelledError();

    assert.notEqual(copy.CancelledError, CancelledError);
    assert.ok(error instanceof CancelledError);
    assert.equal(error instanceof TimeoutError, false);
  });

  test("instanceof of a subclass looks at the prototype chain", () => {
    class MyTimeout extends TimeoutError {}

    assert.ok(new MyTimeout("x") instanceof TimeoutError);
    assert.equal(new TimeoutError("x") instanceof MyTimeout, false);
    assert.equal((null as unknown) instanceof TimeoutError, false);
  });

  test("printing a CancelledError does not print the scope", () => {
    const error = new CancelledError({ scope: { secret: "internals" }, reason: "enough" });

    assert.doesNotMatch(inspect(error), /internals/);
    assert.equal(error.message, 'cancelled: "enough"');
  });

  test("a reason is shown without running code of its own", () => {
    const reason = {
      toString: () => assert.fail("not called"),
      get name() {
        return assert.fail("not called");
      },
    };

    assert.equal(new CancelledError({ reason }).message, "cancelled: an object");
    assert.equal(new CancelledError({ reason: new Error("why") }).message, "cancelled: why");
  });

  test(
    "the TimeoutError of a deadline has the CancelledError as its cause (F24)",
    virtual(async () => {
      const error = (await rejection(timeout(1.5, () => sleep(10)))) as TimeoutError;

      assert.ok(error.cause instanceof CancelledError);
      assert.equal(error.cause.source, "deadline");
      assert.match(error.message, /1\.5 s/);
    }),
  );
});

describe("ExceptionGroup", () => {
  const range = new RangeError("range");
  const type = new TypeError("type");
  const plain = new Error("plain");
  const nested = new ExceptionGroup("inner", [range, plain]);
  const group = new ExceptionGroup("outer", [type, nested], { cause: "the cause" });

  test("its message names the first error, and counts the others, those in groups included", () => {
    assert.equal(group.message, "outer: TypeError: type (and 2 more)");
    assert.equal(new ExceptionGroup("alone", [plain]).message, "alone: Error: plain");
    assert.ok(group instanceof AggregateError);
  });

  test("its message is short and in one line, whatever was thrown", () => {
    const bare = Object.create(null);
    const hostile = new Proxy(new Error("x"), {
      get: () => {
        throw new Error("no");
      },
    });
    const messages = [undefined, Symbol("s"), bare, hostile, new Error(`${"x".repeat(1000)}\nmore`)]
      .map((thrown) => new ExceptionGroup("failed", [thrown]).message)
      .map((message) => [message.slice(0, 8), message.length < 300, message.includes("\n")]);

    assert.deepEqual(messages, new Array(5).fill(["failed: ", true, false]));
  });

  test("takes a message and then an array of errors, and not as an AggregateError", () => {
    const make = (...args: unknown[]) => Reflect.construct(ExceptionGroup, args);
    const wrong: [args: unknown[], message: RegExp][] = [
      [[[plain], "failed"], /expects a message, and then the errors, got an array of 1$/],
      [["failed"], /expects an array of errors, got undefined$/],
      [["failed", "plain"], /expects an array of errors, got "plain"$/],
      [["failed", plain], /expects an array of errors, got an instance of Error$/],
    ];

    for (const [args, message] of wrong)
      assert.throws(() => make(...args), { code: "ERR_ASYNCIO_INVALID_ARGUMENT", message });
  });

  test("flatten gives the leaves from left to right", () => {
    assert.deepEqual(group.flatten(), [type, range, plain]);
  });

  test("split gives the matching ones and the rest, in groups of the same shape", () => {
    const [matching, rest] = group.split(RangeError);

    assert.deepEqual(matching?.flatten(), [range]);
    assert.deepEqual(rest?.flatten(), [type, plain]);
    assert.ok(matching?.errors[0] instanceof ExceptionGroup);
    assert.deepEqual([matching?.cause, rest?.cause], ["the cause", "the cause"]);
    assert.equal(rest?.message, "outer: TypeError: type (and 1 more)");
  });

  test("split gives undefined for what there is none of", () => {
    assert.deepEqual(group.split(SyntaxError), [undefined, group.split(SyntaxError)[1]]);
    assert.deepEqual(group.split(Error), [group, undefined]);
  });

  test("subgroup takes a predicate as well", () => {
    const subgroup = group.subgroup((error) => error instanceof Error && error.message === "plain");

    assert.deepEqual(subgroup?.flatten(), [plain]);
  });

  test("split refuses what is neither a class nor a predicate", () => {
    assert.throws(() => group.split("TypeError" as unknown as typeof Error), TypeError);
  });
});

describe("F25: operations reject wrong arguments, and never throw", () => {
  const nan = Number.NaN;
  const text = "1" as unknown as number;
  const body = async (): Promise<void> => {};
  const noFunction = undefined as unknown as () => Promise<void>;
  const promise = Promise.resolve() as unknown as () => Promise<void>;
  const wrong: Record<string, [call: () => Promise<unknown>, expected: object]> = {
    "sleep(NaN)": [() => sleep(nan), RangeError],
    "sleep of text": [() => sleep(text), TypeError],
    "timeout(NaN)": [() => timeout(nan, body), RangeError],
    "timeout of text": [() => timeout(text, body), TypeError],
    "timeout without a body": [() => timeout(1, noFunction), TypeError],
    "timeout of a promise": [() => timeout(1, promise), /timeout\(\(\) => work\(\)\)|() => work/],
    "moveOnAfter(NaN)": [() => moveOnAfter(nan, body), RangeError],
    "cleanup(NaN)": [() => cleanup(nan, body), RangeError],
    "cleanup without a body": [() => cleanup(1, noFunction), TypeError],
    "taskGroup without a body": [() => taskGroup(noFunction), TypeError],
    "taskGroup with a limit of 0": [() => taskGroup(body, { limit: 0 }), RangeError],
    "CancelScope.run without a body": [() => new CancelScope().run(noFunction), TypeError],
    "gather of a number": [() => gather(1 as unknown as Promise<void>), TypeError],
    "run of a promise": [() => run(promise), TypeError],
    "run with a grace of NaN": [() => run(body, { cancelGrace: nan }), RangeError],
    "run with signals that are none": [
      () => run(body, { signals: ["SIGNOTHING"] as unknown as ["SIGINT"] }),
      TypeError,
    ],
  };
  for (const [name, [call, expected]] of Object.entries(wrong)) {
    test(`${name} rejects`, async () => {
      const promised = call();

      await assert.rejects(promised, expected);
    });
  }

  test("a wrong argument has a code, and the message says what came", async () => {
    await assert.rejects(sleep("5" as unknown as number), {
      code: "ERR_ASYNCIO_INVALID_ARGUMENT",
      message: '`sleep` expects a delay in seconds, got "5"',
    });
  });

  test(
    "a sleep that is negative is one of 0, an endless one lasts until it is cancelled",
    virtual(async (loop) => {
      await sleep(-1);
      const result = await moveOnAfter(1e6, () => sleep(Number.POSITIVE_INFINITY));

      assert.deepEqual([loop.time(), result], [1e6, { cancelled: true }]);
    }),
  );

  test("functions that do not wait throw: queues and createTask", () => {
    assert.throws(() => new Queue(Number.NaN), RangeError);
    assert.throws(() => new Queue<number>().getNowait(), QueueEmpty);
    assert.throws(() => new Queue<number>().taskDone(), InvalidStateError);
    assert.throws(() => createTask(noFunction), TypeError);
    assert.throws(() => new CancelScope({ deadline: nan }), RangeError);
  });
});
