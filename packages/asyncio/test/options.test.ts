// Options: whatever takes an object of options refuses one that it does not know, and says which
// one was meant. The list of what takes options is read from the types of the public doors, so that
// nothing new can be forgotten: it has to be put into `calls` or, with a reason, into `others`.

import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as executors from "../src/executors.ts";
import * as asyncio from "../src/index.ts";
import * as patterns from "../src/patterns.ts";
import * as testing from "../src/testing.ts";
import * as worker from "../src/worker.ts";
import { readTypes } from "./public-types.ts";

type Call = (options: never) => unknown;

const five = async () => 5;
const controller = new AbortController();
const network = new testing.SimulatedNetwork();
const { reader, writer } = asyncio.connectionPair()[0];
const server = Object.create(asyncio.Server.prototype) as asyncio.Server;

const inline = new executors.InlineExecutor();
const path = executors.module<typeof import("node:path")>("node:path");

/** How each of them is called. Nothing of it goes beyond the look at the options. */
const calls: Record<string, Call> = {
  asCompleted: (options) => asyncio.asCompleted([five], options),
  cancellable: (options) => asyncio.cancellable(five, options),
  connectionFrom: (options) => asyncio.connectionFrom(pairOfWebStreams(), options),
  connectionPair: (options) => asyncio.connectionPair(options),
  createDatagramEndpoint: (options) => asyncio.createDatagramEndpoint(options),
  createSubprocessExec: (options) => asyncio.createSubprocessExec("true", [], options),
  createSubprocessShell: (options) => asyncio.createSubprocessShell("true", options),
  createTask: (options) => asyncio.createTask(five, options),
  gather: (options) => asyncio.gather([five], options),
  joined: (options) => asyncio.joined(five, options),
  forEachConcurrent: (options) => asyncio.forEachConcurrent([1], five, options),
  mapAll: (options) => asyncio.mapAll([1], five, options),
  mapConcurrent: (options) => asyncio.mapConcurrent([1], five, options),
  moveOnAfter: (options) => asyncio.moveOnAfter(1, five, options),
  openConnection: (options) =>
    "hosst" in Object(options) || "porrt" in Object(options)
      ? asyncio.openConnection(options)
      : asyncio.openConnection("127.0.0.1", 1, options),
  openUnixConnection: (options) => asyncio.openUnixConnection("/no/such/socket", options),
  readerFrom: (options) => asyncio.readerFrom("text", options),
  race: (options) => asyncio.race([five], options),
  requestScope: (options) => asyncio.requestScope(controller.signal, five, options),
  run: (options) => asyncio.run(five, options),
  runProcess: (options) => asyncio.runProcess("true", [], options),
  select: (options) => asyncio.select([1], options),
  startServer: (options) => asyncio.startServer(() => {}, "127.0.0.1", 0, options),
  startUnixServer: (options) => asyncio.startUnixServer(() => {}, "/no/such/folder/s", options),
  taskGroup: (options) => asyncio.taskGroup(five, options),
  timeout: (options) => asyncio.timeout(1, five, options),
  timeoutAt: (options) => asyncio.timeoutAt(1, five, options),
  wait: (options) => asyncio.wait([new asyncio.Future()], options),
  writerFrom: (options) => asyncio.writerFrom(pairOfWebStreams().writable, options),
  "Future.addDoneCallback": (options) => new asyncio.Future().addDoneCallback(() => {}, options),
  "ParserInput.readExactly": (options) => parse((input) => input.readExactly(1, options)),
  "ParserInput.readLine": (options) => parse((input) => input.readLine(options)),
  "ParserInput.readUntil": (options) => parse((input) => input.readUntil("x", options)),
  "Queue.shutdown": (options) => new asyncio.Queue().shutdown(options),
  "Rendezvous.shutdown": (options) => new asyncio.Rendezvous().shutdown(options),
  "Server.serveForever": (options) => server.serveForever(options),
  "StreamReader.chunks": (options) => reader.chunks(options),
  "StreamReader.lines": (options) => reader.lines(options),
  "StreamReader.parse": (options) => reader.parse(() => 5, options),
  "StreamReader.readLine": (options) => reader.readLine(options),
  "StreamReader.readUntil": (options) => reader.readUntil("x", options),
  "StreamReader.waitEof": (options) => reader.waitEof(options),
  "StreamWriter.startTls": (options) => writer.startTls(options),
  "TaskGroup.createTask": (options) => inGroup((group) => group.createTask(five, options)),
  "TaskGroup.start": (options) => inGroup((group) => group.start(five, options)),
  "new Barrier": (options) => new asyncio.Barrier(1, options),
  "new BoundedSemaphore": (options) => new asyncio.BoundedSemaphore(1, options),
  "new CancelScope": (options) => new asyncio.CancelScope(options),
  "new Condition": (options) => new asyncio.Condition(undefined, options),
  "new ContextVar": (options) => new asyncio.ContextVar("name", options),
  "new Event": (options) => new asyncio.Event(options),
  "new EventLoop": (options) => new asyncio.EventLoop({} as never, options),
  "new Future": (options) => new asyncio.Future(options),
  "new HostLoop": (options) => new asyncio.HostLoop(options),
  "new LifoQueue": (options) => new asyncio.LifoQueue(1, options),
  "new Lock": (options) => new asyncio.Lock(options),
  "new PriorityQueue": (options) => new asyncio.PriorityQueue(1, options),
  "new Queue": (options) => new asyncio.Queue(1, options),
  "new Rendezvous": (options) => new asyncio.Rendezvous(options),
  "new Runner": (options) => new asyncio.Runner(options),
  "new Semaphore": (options) => new asyncio.Semaphore(1, options),
  "new StreamReader": (options) => new asyncio.StreamReader({} as never, options),
  "new StreamWriter": (options) => new asyncio.StreamWriter({} as never, options),
  // asyncio-ts/patterns
  "CapacityLimiter.acquire": (options) => new patterns.CapacityLimiter(1).acquire(options),
  "CapacityLimiter.run": (options) => new patterns.CapacityLimiter(1).run(five, options),
  "CapacityLimiter.tryAcquire": (options) => new patterns.CapacityLimiter(1).tryAcquire(options),
  "RateLimiter.run": (options) => new patterns.RateLimiter({ rate: 1 }).run(five, options),
  "new CapacityLimiter": (options) => new patterns.CapacityLimiter(1, options),
  "new Keyed": (options) => new patterns.Keyed(() => new asyncio.Lock(), options),
  "new RateLimiter": (options) => new patterns.RateLimiter(options),
  resource: (options) => patterns.resource(five, five, options),
  resources: (options) => patterns.resources(five, options),
  "ResourceScope.defer": (options) => patterns.resources((scope) => scope.defer(five, options)),
  supervise: (options) => patterns.supervise([], options),
  withDeadlineOf: (options) => patterns.withDeadlineOf({}, five, options),
  singleFlight: (options) => patterns.singleFlight(five, options),
  "new Shared": (options) => new patterns.Shared(patterns.resource(five, five), options),
  "new Pool": (options) => new patterns.Pool(patterns.resource(five, five), options),
  "Pool.acquire": (options) =>
    new patterns.Pool(patterns.resource(five, five), { max: 1 }).acquire(options),
  exponential: (options) => patterns.exponential(1, options),
  hedge: (options) => patterns.hedge(1, five, options),
  interval: (options) => patterns.interval(1, options),
  repeat: (options) => patterns.repeat([], five, options),
  retry: (options) => patterns.retry([], five, options),
  "new CircuitBreaker": (options) => new patterns.CircuitBreaker(options),
  "new RetryBudget": (options) => new patterns.RetryBudget(options),
  channel: (options) => patterns.channel(1, options),
  "new Broadcast": (options) => new patterns.Broadcast(options),
  stream: (options) => patterns.stream([1], options),
  events: (options) => patterns.events(new EventTarget(), "x", options),
  "TaskQueue.add": (options) => new patterns.TaskQueue().add(five, options),
  "new TaskQueue": (options) => new patterns.TaskQueue(options),
  "new Watch": (options) => new patterns.Watch(1, options),
  // asyncio-ts/executors, asyncio-ts/worker
  callback: (options) => executors.callback(five, options),
  sharedContextVar: (options) => worker.sharedContextVar("of the options", options),
  "Executor.map": (options) => inline.map(path.basename, [], options),
  "Executor.shutdown": (options) => inline.shutdown(options),
  "Sendable.with": (options) => path.basename.with(options),
  "new InlineExecutor": (options) => new executors.InlineExecutor(options),
  "new ProcessPoolExecutor": (options) => new executors.ProcessPoolExecutor(options),
  "new ThreadPoolExecutor": (options) => new executors.ThreadPoolExecutor(options),
  // asyncio-ts/testing
  cancelSweep: (options) => testing.cancelSweep(five, options),
  explore: (options) => testing.explore(five, options),
  explored: (options) => testing.explored(five, options),
  faultSweep: (options) => testing.faultSweep(five, options),
  memoryStreamPair: (options) => testing.memoryStreamPair(options),
  runTest: (options) => testing.runTest(five, options),
  tracked: (options) => testing.tracked({}, options),
  "SimulatedHost.listen": (options) => network.host("name").listen(options),
  "new SimulatedNetwork": (options) => new testing.SimulatedNetwork(options),
  "new VirtualLoop": (options) => new testing.VirtualLoop(options),
};

/** What takes an object that has its rules from somewhere else. */
const others: Record<string, string> = {
  fetch: "`init` is the host's, and goes to it as it is",
  "ByteStream.startTls": "for streams of one's own: `writer.startTls` has looked at the options",
  "Connection.toLocaleString": "an array's",
  "InlineExecutor.map": "inherited",
  "InlineExecutor.shutdown": "inherited",
  "ProcessPoolExecutor.map": "inherited",
  "ProcessPoolExecutor.shutdown": "inherited",
  "ThreadPoolExecutor.map": "inherited",
  "ThreadPoolExecutor.shutdown": "inherited",
  "Network.connect": "for networks of one's own: `openConnection` has looked at the options",
  "Network.listen": "for networks of one's own: `startServer` has looked at the options",
  "Network.openDatagramPort": "for networks of one's own: `createDatagramEndpoint` has looked",
  "SimulatedHost.openDatagramPort": "`createDatagramEndpoint` has looked at the options",
  "new Resource": "made by `resource` alone",
  "new Server": "made by `startServer` alone",
  "new Task": "made by `createTask` alone",
  "new TaskGroup": "made by `taskGroup` alone",
};

/** Objects of options that stand among options, and how they are given. */
const nested: Record<string, Call> = {
  "createDatagramEndpoint.local": (local) => asyncio.createDatagramEndpoint({ local }),
  "openConnection.localAddress": (localAddress) =>
    asyncio.openConnection("127.0.0.1", 1, { localAddress }),
  "openConnection.tls": (tls) => asyncio.openConnection("127.0.0.1", 1, { tls }),
  "openUnixConnection.tls": (tls) => asyncio.openUnixConnection("/no/such/socket", { tls }),
  "startServer.tls": (tls) => asyncio.startServer(() => {}, { tls }),
  "startUnixServer.tls": (tls) => asyncio.startUnixServer(() => {}, "/no/such/folder/s", { tls }),
  "cancelSweep.bubble": (bubble) => testing.cancelSweep(five, { bubble }),
  "explore.bubble": (bubble) => testing.explore(five, { bubble }),
  "explored.bubble": (bubble) => testing.explored(five, { bubble })(),
  "faultSweep.bubble": (bubble) => testing.faultSweep(five, { bubble }),
  "runTest.bubble": (bubble) => testing.runTest(five, { bubble }),
};

const found = readTypes().takers;

test("everything that takes options is in the list", () => {
  assert.deepEqual(
    [...found.keys()].sort(),
    [...Object.keys(calls), ...Object.keys(others).filter((name) => name !== "fetch")].sort(),
  );
});

test("every object of options that stands among options is in the list", () => {
  const inside = [...found].flatMap(([name, { parts }]) =>
    name in calls ? parts.map((part) => `${name}.${part}`) : [],
  );

  assert.deepEqual(inside.sort(), Object.keys(nested).sort());
});

suite("an option that is not known is refused, with the one that was meant", () => {
  for (const [name, call] of Object.entries(calls)) {
    test(name, async () => {
      const { options, isOperation } = found.get(name) ?? assert.fail();
      assert.ok(options.length > 0);
      for (const option of options) {
        const misspelt = misspell(option);

        const error = await refusal(call, { [misspelt]: undefined }, isOperation);

        assert.equal(
          error.message.replace(/^`[^`]+`/, "..."),
          `... has no option \`${misspelt}\`. Did you mean \`${option}\`?`,
        );
      }
    });
  }

  for (const [name, call] of Object.entries(nested)) {
    test(name, async () => {
      const misspelt = { dat: 1, hots: 1, rejectUnauthorised: 1 };
      const [option, meant] = name.endsWith("bubble")
        ? ["dat", "date"]
        : name.endsWith("tls")
          ? ["rejectUnauthorised", "rejectUnauthorized"]
          : ["hots", "host"];
      const given = { [option as keyof typeof misspelt]: 1 };

      const error = await refusal(call, given, name !== "explored.bubble");

      const [outer, inner] = name.split(".");
      assert.equal(
        error.message,
        `\`${inner}\` of \`${outer}\` has no option \`${option}\`. Did you mean \`${meant}\`?`,
      );
    });
  }

  test("a certificate in `certificates`", async () => {
    const certificates = { "example.org": { cert: "", key: "", pasphrase: "secret" } } as never;

    const error = await refusal(
      () => asyncio.startServer(() => {}, { tls: { certificates } }),
      undefined,
      true,
    );

    assert.equal(
      error.message,
      '`certificates["example.org"]` of `startServer` has no option `pasphrase`. Did you mean `passphrase`?',
    );
  });
});

/** What is asked for where there are no options, and some are needed. */
const required: Record<string, string> = {
  joined: "options with a `grace` in seconds, got null",
  forEachConcurrent: "`limit`, a whole number of 1 or more, got undefined",
  mapAll: "`limit`, a whole number of 1 or more, got undefined",
  mapConcurrent: "`limit`, a whole number of 1 or more, got undefined",
};

suite("options that are no object are refused", () => {
  const shapes: readonly [unknown, string][] = [
    ["text", '"text"'],
    [5, "5"],
    [null, "null"],
    [[], "an array of 0"],
    [() => {}, "a function"],
    [controller.signal, "an instance of AbortSignal"],
    [new Map(), "an instance of Map"],
    [Promise.resolve(), "a promise"],
  ];
  for (const [name, call] of Object.entries(calls)) {
    test(name, async () => {
      const { isOperation } = found.get(name) ?? assert.fail();
      for (const [shape, words] of shapes) {
        if (name === "SimulatedHost.listen" && shape === 5) continue; // a port

        const error = await refusal(call, shape, isOperation);

        const needed = shape === null ? required[name] : undefined;
        const expected = needed ?? `an object of options, got ${words}`;
        assert.ok(error.message.includes(` expects ${expected}`), error.message);
      }
    });
  }
});

test("what goes to the host is left to the host", async () => {
  const init = { method: "GET", nobodyKnowsThis: 1 } as RequestInit;

  const response = await asyncio.run(
    async () => await (await asyncio.fetch("data:,x", init)).text(),
  );

  assert.equal(response, "x");
  assert.equal(new asyncio.TimeoutError("x", { cause: 1, other: 2 } as ErrorOptions).cause, 1);
});

/** What a number may be. NaN is always refused. */
const kinds: Record<string, readonly number[]> = {
  "a count": [-1, 0, 1.5],
  "a count, or 0": [-1, 1.5],
  "a byte count": [-1],
  seconds: [],
  "seconds, not below 0": [-1],
  "finite seconds, not below 0": [-1, Number.POSITIVE_INFINITY],
  "an amount": [-1, 0, Number.POSITIVE_INFINITY],
  "a share": [-1, 1.5],
  "a whole number": [1.5, Number.POSITIVE_INFINITY],
};

/** By the name of an option, or of it and what takes it. */
const numbers: Record<string, keyof typeof kinds> = {
  intensity: "a count, or 0",
  period: "seconds",
  "withDeadlineOf.max": "seconds",
  highWaterMark: "a byte count",
  lowWaterMark: "a byte count",
  burst: "a count",
  depth: "a count",
  failures: "a count",
  iterations: "a count",
  limit: "a count",
  max: "a count",
  maxConnections: "a count",
  maxSteps: "a count",
  probes: "a count",
  queueSize: "a count",
  receiveBufferSize: "a count",
  schedules: "a count",
  sendBufferSize: "a count",
  weight: "a count",
  attempts: "a count",
  capacity: "a count",
  maxMemoryMb: "a count",
  maxQueue: "a count",
  maxTasksPerWorker: "a count",
  maxWorkers: "a count",
  ahead: "a count, or 0",
  replay: "a count, or 0",
  backlog: "a count, or 0",
  min: "a count, or 0",
  minWorkers: "a count, or 0",
  "new TaskQueue.limit": "a count, or 0",
  interleave: "a count, or 0",
  loss: "a share",
  ratio: "a share",
  seed: "a whole number",
  factor: "an amount",
  "new RetryBudget.ratio": "an amount",
  per: "an amount",
  rate: "an amount",
  cancelGrace: "seconds",
  checkAfter: "seconds",
  deadline: "seconds",
  delay: "seconds",
  grace: "seconds",
  happyEyeballsDelay: "seconds",
  idle: "seconds",
  killDelay: "seconds",
  lifetime: "seconds",
  latency: "finite seconds, not below 0",
  priority: "seconds",
  releaseDelay: "seconds",
  reset: "seconds",
  seconds: "seconds",
  timeout: "seconds",
  watchdog: "seconds",
  drain: "seconds, not below 0",
  shutdownDelay: "seconds, not below 0",
  stopDelay: "seconds",
};

/** What is not looked at here: options, what takes them, or one of both; and why. */
const exempt: Record<string, string> = {
  uid: "goes to the host, which looks at it",
  gid: "goes to the host, which looks at it",
  stdin: "a descriptor among words: a TypeError that names all of them",
  stdout: "a descriptor among words: a TypeError that names all of them",
  stderr: "a descriptor among words: a TypeError that names all of them",
  "openConnection.port": "the one that is given beside the options counts",
  "startServer.port": "the one that is given beside the options counts",
  "Server.serveForever": "needs a server that listens",
  "StreamReader.lines": "looked at by the first read",
  "StreamWriter.startTls": "needs a socket",
  "new StreamWriter": "needs a stream",
  "SimulatedHost.listen": "called by `startServer`, which has looked at it",
};

/** What is needed beside the option that is looked at. */
const base: Record<string, object> = {
  "new RateLimiter": { rate: 1 },
  "new Broadcast": { capacity: 1 },
  "new Pool": { max: 1 },
  joined: { grace: 1 },
  mapConcurrent: { limit: 1 },
};

suite("an option that is no number, or an impossible one, is refused alike everywhere", () => {
  const used = new Set<string>();
  for (const [name, call] of Object.entries(calls)) {
    for (const option of found.get(name)?.numbers ?? []) {
      if (`${name}.${option}` in exempt || name in exempt || option in exempt) continue;
      const key = `${name}.${option}` in numbers ? `${name}.${option}` : option;
      used.add(key);
      test(`${name}: ${option}`, async () => {
        const { isOperation } = found.get(name) ?? assert.fail();
        const wrong = kinds[numbers[key] ?? assert.fail(`what is ${key}?`)] ?? [];
        for (const value of [Number.NaN, "5", null, Promise.resolve(5), ...wrong]) {
          const options = { ...base[name], [option]: value };

          const error = await refusal(call, options, isOperation, Error);

          const words = typeof value === "number" ? `, got ${value}` : ", got ";
          assert.ok(error.message.includes(words), error.message);
        }
      });
    }
  }

  test("nothing else is in the list", () => {
    assert.deepEqual(
      Object.keys(numbers).filter((key) => !used.has(key)),
      [],
    );
  });
});

/** Functions among options that are not looked at here, and why. */
const exemptFunctions: Record<string, string> = {
  "new CircuitBreaker.reset": "a number of seconds as well: looked at among the numbers",
};

suite("an option that is no function is refused alike everywhere", () => {
  for (const [name, call] of Object.entries(calls)) {
    for (const option of found.get(name)?.functions ?? []) {
      if (`${name}.${option}` in exemptFunctions || option in exemptFunctions) continue;
      test(`${name}: ${option}`, async () => {
        const { isOperation } = found.get(name) ?? assert.fail();
        for (const value of [5, Promise.resolve()]) {
          const error = await refusal(call, { ...base[name], [option]: value }, isOperation);

          assert.match(error.message, / expects .*, got /);
        }
      });
    }
  }
});

/** Of each kind that `checkOptions` knows, what is none. */
const noneOf: Record<string, readonly unknown[]> = {
  string: [5, null, {}, Promise.resolve("text")],
  boolean: ["false", 0, null, Promise.resolve(true)],
  AbortSignal: [5, null, "signal", new AbortController()],
  Context: [5, null, new Map(), Promise.resolve()],
};

/** Options that are looked at elsewhere, and what takes them; and why. */
const exemptKinds: Record<string, string> = {
  "openConnection.host": "where it is among the options, so is the port: arguments.test.ts",
  "createTask.name": "any name becomes text, as in asyncio",
  "TaskGroup.createTask.name": "the same",
  "TaskGroup.start.name": "the same",
};

suite("an option of another kind is refused alike everywhere", () => {
  for (const [name, call] of Object.entries(calls)) {
    for (const [option, kind] of Object.entries(found.get(name)?.kinds ?? {})) {
      if (`${name}.${option}` in exemptKinds) continue;
      test(`${name}: ${option}`, async () => {
        const { isOperation } = found.get(name) ?? assert.fail();
        for (const value of noneOf[kind] ?? assert.fail()) {
          const error = await refusal(call, { ...base[name], [option]: value }, isOperation);

          const expected = ` expects \`${option}\` of type ${kind}, got `;
          assert.ok(error.message.includes(expected), error.message);
        }
      });
    }
  }

  const lists: [string, Call, readonly unknown[]][] = [
    ["names", calls.connectionPair as Call, ["ab", ["a"], ["a", 5], new Array(2), null]],
    ["names", calls.memoryStreamPair as Call, ["ab", ["a"], ["a", 5], new Array(2), null]],
    ["latency", calls["new SimulatedNetwork"] as Call, [[], [1], [2, 1], [0, Number.NaN], "1", {}]],
    ["env", calls["new ThreadPoolExecutor"] as Call, ["A=1", 5, null, Promise.resolve({})]],
    ["env", calls.createSubprocessExec as Call, ["A=1", [], null, Promise.resolve({})]],
    ["execArgv", calls["new ProcessPoolExecutor"] as Call, ["--flag", [5], new Array(1), null]],
  ];
  for (const [option, call, wrong] of lists)
    test(`${option} of ${Object.keys(calls).find((name) => calls[name] === call)}`, async () => {
      for (const value of wrong) {
        const error = await refusal(call, { [option]: value }, false, Error);

        assert.match(error.message, new RegExp(` expects \`${option}\` .*, got `));
      }
    });

  test("the option of a future, a loop", async () => {
    for (const loop of [5, null, {}, { callSoon() {} }]) {
      const error = await refusal(() => new asyncio.Future({ loop } as never), undefined, false);

      assert.match(error.message, /`loop` of type EventLoop, got /);
    }
  });

  test("what an accessor gives, if it is the object's own", async () => {
    const options = {
      get name(): string {
        return 5 as never;
      },
    };

    const error = await refusal(() => new asyncio.Lock(options), undefined, false);

    assert.equal(error.message, "`new Lock` expects `name` of type string, got 5");
  });
});

suite("the words say how to write it", () => {
  const cures: [string, () => unknown, string][] = [
    ["a name", () => new asyncio.Lock("db" as never), 'Write `{ name: "db" }`'],
    ["the name of a task", () => asyncio.createTask(five, "a" as never), 'Write `{ name: "a" }`'],
    ["a signal", () => asyncio.timeout(1, five, controller.signal as never), "Write `{ signal }`"],
    [
      "a number of tasks",
      () => asyncio.mapConcurrent([1], five, 10 as never),
      "Write `{ limit: 10 }`",
    ],
    ["a flag", () => new asyncio.Queue().shutdown(true as never), "Write `{ immediate: true }`"],
    ["a port", () => asyncio.startServer(() => {}, 8080 as never), "Write `{ port: 8080 }`"],
    ["a default", () => new asyncio.ContextVar("v", 5 as never), "Write `{ default: ... }`"],
    ["nothing", () => asyncio.createTask(five, null as never), "Leave it out, or pass undefined"],
    [
      "an executor",
      () => new asyncio.Future((() => {}) as never),
      "an executor is for `new Promise`",
    ],
    [
      "Python's spelling",
      () => asyncio.gather([five], { return_exceptions: true } as never),
      "Did you mean `returnExceptions`?",
    ],
    ["swapped letters", () => new asyncio.Lock({ nmae: "db" } as never), "Did you mean `name`?"],
    [
      "something else altogether",
      () => asyncio.taskGroup(five, { concurrency: 5 } as never),
      "It has `limit`, `name`, `onError` and `signal`",
    ],
    ["the only one there is", () => new asyncio.Event({ label: "x" } as never), "It has `name`"],
    [
      "options behind the others",
      () => asyncio.gather(five, five, { returnExceptions: true } as never),
      "With options, put the others into an array: `gather([a, b], { returnExceptions: true })`",
    ],
    [
      "a list that is no array",
      () => asyncio.gather(new Set([five]) as never),
      "A list goes alone: `gather([...list])`",
    ],
    [
      "a promise as a body",
      () => new asyncio.Lock().run(Promise.resolve() as never),
      "() => work()",
    ],
    [
      "a promise under a semaphore",
      () => new asyncio.Semaphore().run(Promise.resolve() as never),
      "() => work()",
    ],
    [
      "a promise under a condition",
      () => new asyncio.Condition().run(Promise.resolve() as never),
      "() => work()",
    ],
    [
      "a task by its class",
      () => new (asyncio.Task as unknown as new (work: unknown) => unknown)(five),
      "Use `createTask(() => ...)`",
    ],
    [
      "a group by its class",
      () => new (asyncio.TaskGroup as unknown as new () => unknown)(),
      "Use `taskGroup(async (group) => ...)`",
    ],
  ];
  for (const [what, call, words] of cures) {
    test(what, async () => {
      const error = await refusal(call, undefined, false);

      assert.ok(error.message.includes(words), error.message);
    });
  }
});

suite("what is no mistake is taken", () => {
  test("options without a prototype, of a class, inherited, from another realm", async () => {
    const { runInNewContext } = await import("node:vm");
    class Config {
      name = "of a class";
    }
    class Getters {
      get name(): string {
        return "by a getter";
      }
    }
    const bare = Object.assign(Object.create(null), { name: "bare" });

    const names = [
      new asyncio.Lock(bare),
      new asyncio.Lock(new Config()),
      new asyncio.Lock(new Getters()),
      new asyncio.Lock(Object.create({ name: "inherited" })),
      new asyncio.Lock(runInNewContext("({ name: 'elsewhere' })")),
      new asyncio.Lock(runInNewContext("({})")),
    ].map(({ name }) => name);

    assert.deepEqual(names, [
      "bare",
      "of a class",
      "by a getter",
      "inherited",
      "elsewhere",
      undefined,
    ]);
  });

  test("options where somebody has extended Object.prototype", () => {
    Object.assign(Object.prototype, { extension: 1 });
    try {
      assert.equal(new asyncio.Lock({ name: "db" }).name, "db");
      assert.equal(new asyncio.Lock({}).name, undefined);
    } finally {
      delete (Object.prototype as { extension?: number }).extension;
    }
  });

  test("the names that every object has are no options", async () => {
    const error = await refusal(() => new asyncio.Lock({ toString: 1 } as never), undefined, false);

    assert.equal(error.message, "`new Lock` has no option `toString`. It has `name`");
  });

  test("a refused call has started nothing", async () => {
    await testing.runTest(async () => {
      const lock = new asyncio.Lock();
      let started = false;
      const start = async (): Promise<void> => {
        started = true;
      };

      await assert.rejects(async () => asyncio.createTask(start, { nmae: "x" } as never));
      await assert.rejects(asyncio.gather([start], { all: true } as never));
      await assert.rejects(asyncio.timeout(1, start, { signl: 1 } as never));
      await assert.rejects(asyncio.taskGroup(start, { limt: 1 } as never));
      await assert.rejects(lock.run(Promise.resolve() as never));

      assert.deepEqual([started, lock.locked()], [false, false]);
    });
  });
});

function pairOfWebStreams(): TransformStream<Uint8Array, Uint8Array> {
  return new TransformStream();
}

function parse(parser: (input: asyncio.ParserInput) => unknown): Promise<unknown> {
  return asyncio.readerFrom("text\n").parse(parser);
}

async function inGroup(use: (group: asyncio.TaskGroup) => unknown): Promise<unknown> {
  let error: unknown;
  await asyncio.taskGroup(async (group) => {
    try {
      await use(group as asyncio.TaskGroup);
    } catch (thrown) {
      error = thrown;
    }
  });
  throw error;
}

/** The TypeError of a call; an operation has to reject with it, and not to throw. */
async function refusal(
  call: Call,
  options: unknown,
  isOperation: boolean,
  kind: abstract new () => Error = TypeError,
): Promise<Error> {
  let result: unknown;
  try {
    result = call(options as never);
  } catch (error) {
    assert.ok(!isOperation, "an operation rejects, and does not throw");
    return checked(error, kind);
  }
  try {
    await result;
  } catch (error) {
    return checked(error, kind);
  }
  return assert.fail("the call was not refused");
}

function checked(error: unknown, kind: abstract new () => Error): Error {
  assert.ok(error instanceof kind, String(error));
  assert.equal((error as { code?: unknown }).code, "ERR_ASYNCIO_INVALID_ARGUMENT", error.stack);
  return error;
}

/** The last letter but one twice. */
function misspell(name: string): string {
  return name.slice(0, -1) + name.slice(-2);
}
