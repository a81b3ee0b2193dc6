// Arguments: whatever takes a number refuses one that means nothing, whatever takes a function
// refuses a promise, and whatever takes a name, a list or a thing refuses what is none, in the same
// way everywhere. The lists are held against the types of the public
// doors, so that nothing new can be forgotten: it has to be put into one of them or, with a reason,
// into `exempt`. Options that are numbers are looked at in options.test.ts.

import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as executors from "../src/executors.ts";
import * as asyncio from "../src/index.ts";
import * as patterns from "../src/patterns.ts";
import * as testing from "../src/testing.ts";
import * as worker from "../src/worker.ts";
import { readTypes } from "./public-types.ts";

type Call = (value: never) => unknown;

const five = async () => 5;
const text = () => asyncio.readerFrom("text");
const parse = (parser: (input: asyncio.ParserInput) => unknown) => text().parse(parser);
const loop = () => new testing.VirtualLoop();
const semaphore = () => new asyncio.Semaphore(1);
const rate = () => new patterns.RateLimiter({ rate: 1, burst: 9 });
const item = patterns.resource(five, () => {});
const pool = () => new patterns.Pool(item, { max: 1 });
const spaced = patterns.spaced(1);
const items = () => patterns.stream([1]);
const writer = () => asyncio.connectionPair()[0].writer;
const network = () => new testing.SimulatedNetwork();
const inline = new executors.InlineExecutor();
const path = executors.module<typeof import("node:path")>("node:path");
const inTest = (use: (t: testing.TestContext) => unknown) => testing.runTest(async (t) => use(t));
const inGroup = (use: (group: asyncio.TaskGroup) => unknown) =>
  asyncio.taskGroup<unknown>(async (group) => use(group as asyncio.TaskGroup), { onError: "bare" });

/** What a number may not be. NaN, a text, a promise and null are never one. */
const kinds = {
  "a count": [-1, 0, 1.5],
  "a count, or 0": [-1, 1.5],
  "a finite count": [-1, 0, 1.5, Number.POSITIVE_INFINITY],
  "a finite count, or 0": [-1, 1.5, Number.POSITIVE_INFINITY],
  "a size, 0 or less: no limit": [1.5],
  "a whole number": [1.5],
  "an amount": [-1, 0, Number.POSITIVE_INFINITY],
  "a share": [-1, 1.5],
  "a position": [-1, 1.5, Number.POSITIVE_INFINITY],
  "a port": [-1, 1.5, 65536, Number.POSITIVE_INFINITY],
  seconds: [],
  "seconds, not below 0": [-1],
  "finite seconds": [Number.POSITIVE_INFINITY],
} satisfies Record<string, readonly number[]>;

const numbers: Record<string, readonly [kind: keyof typeof kinds, call: Call]> = {
  "sleep(delay)": ["seconds", (delay) => asyncio.sleep(delay)],
  "sleepUntil(when)": ["seconds", (when) => asyncio.sleepUntil(when)],
  "waitFor(seconds)": ["seconds", (seconds) => asyncio.waitFor(five, seconds)],
  "cleanup(seconds)": ["seconds", (seconds) => asyncio.cleanup(seconds, five)],
  "moveOnAfter(seconds)": ["seconds", (seconds) => asyncio.moveOnAfter(seconds, five)],
  "timeout(seconds)": ["seconds", (seconds) => asyncio.timeout(seconds, five)],
  "timeoutAt(when)": ["seconds", (when) => asyncio.timeoutAt(when, five)],
  "Timeout.reschedule(when)": [
    "seconds",
    (when) => asyncio.timeout(1, async (scope) => scope.reschedule(when)),
  ],
  "staggeredRace(delay)": ["seconds", (delay) => asyncio.staggeredRace([five], delay)],
  "acquiring(count)": [
    "a finite count",
    (count) => asyncio.select([asyncio.acquiring(semaphore(), count)]),
  ],
  "TaskGroup.limit": [
    "a count",
    (limit) =>
      inGroup((group) => {
        group.limit = limit;
      }),
  ],
  "CancelScope.deadline": [
    "seconds",
    (when) => {
      new asyncio.CancelScope().deadline = when;
    },
  ],
  "Condition.notify(count)": [
    "a count, or 0",
    (count) => {
      const condition = new asyncio.Condition();
      return condition.run(async () => condition.notify(count));
    },
  ],
  "new Semaphore(value)": ["a finite count, or 0", (value) => new asyncio.Semaphore(value)],
  "new BoundedSemaphore(value)": [
    "a finite count, or 0",
    (value) => new asyncio.BoundedSemaphore(value),
  ],
  "Semaphore.acquire(count)": ["a finite count", (count) => semaphore().acquire(count)],
  "Semaphore.tryAcquire(count)": ["a finite count", (count) => semaphore().tryAcquire(count)],
  "Semaphore.release(count)": ["a finite count", (count) => semaphore().release(count)],
  "Semaphore.resize(permits)": ["a finite count, or 0", (count) => semaphore().resize(count)],
  "BoundedSemaphore.release(count)": [
    "a finite count",
    (count) => new asyncio.BoundedSemaphore(1).release(count),
  ],
  "new Barrier(parties)": ["a finite count", (parties) => new asyncio.Barrier(parties)],
  "new Queue(maxsize)": ["a size, 0 or less: no limit", (size) => new asyncio.Queue(size)],
  "new LifoQueue(maxsize)": ["a size, 0 or less: no limit", (size) => new asyncio.LifoQueue(size)],
  "new PriorityQueue(maxsize)": [
    "a size, 0 or less: no limit",
    (size) => new asyncio.PriorityQueue(size),
  ],
  "StreamReader.read(most)": ["a whole number", (most) => text().read(most)],
  "StreamReader.readExactly(count)": ["a finite count, or 0", (count) => text().readExactly(count)],
  "ParserInput.readExactly(count)": [
    "a finite count, or 0",
    (count) => parse((input) => input.readExactly(count)),
  ],
  "ParserInput.skip(count)": [
    "a finite count, or 0",
    (count) => parse((input) => input.skip(count)),
  ],
  "openConnection(port)": ["a port", (port) => asyncio.openConnection("127.0.0.1", port)],
  "startServer(port)": ["a port", (port) => asyncio.startServer(() => {}, "127.0.0.1", port)],
  "Server.shutdown(seconds)": [
    "seconds",
    (seconds) => (Object.create(asyncio.Server.prototype) as asyncio.Server).shutdown(seconds),
  ],
  "EventLoop.callLater(delay)": ["seconds", (delay) => loop().callLater(delay, () => {})],
  "EventLoop.callAt(when)": ["seconds", (when) => loop().callAt(when, () => {})],
  // asyncio-ts/patterns
  "TaskQueue.limit": [
    "a count, or 0",
    (limit) => {
      new patterns.TaskQueue().limit = limit;
    },
  ],
  "TaskQueue.whenBelow(size)": ["a count", (size) => new patterns.TaskQueue().whenBelow(size)],
  "new CapacityLimiter(limit)": ["a count, or 0", (limit) => new patterns.CapacityLimiter(limit)],
  "CapacityLimiter.limit": [
    "a count, or 0",
    (limit) => {
      new patterns.CapacityLimiter(1).limit = limit;
    },
  ],
  "RateLimiter.take(weight)": ["a finite count", (weight) => rate().take(weight)],
  "RateLimiter.tryTake(weight)": ["a finite count", (weight) => rate().tryTake(weight)],
  "RateLimiter.delay(weight)": ["a finite count", (weight) => rate().delay(weight)],
  "RateLimiter.penalize(seconds)": ["finite seconds", (seconds) => rate().penalize(seconds)],
  "RateLimiter.setRate(rate)": ["an amount", (value) => rate().setRate(value)],
  "RateLimiter.setRate(per)": ["an amount", (per) => rate().setRate(1, per)],
  "hedge(after)": ["seconds", (after) => patterns.hedge(after, five)],
  "interval(seconds)": ["an amount", (seconds) => patterns.interval(seconds)],
  "exponential(first)": ["an amount", (first) => patterns.exponential(first)],
  "fibonacci(first)": ["an amount", (first) => patterns.fibonacci(first)],
  "spaced(seconds)": ["seconds", (seconds) => patterns.spaced(seconds)],
  "Schedule.times(count)": ["a count, or 0", (count) => spaced.times(count)],
  "Schedule.upTo(seconds)": ["seconds", (seconds) => spaced.upTo(seconds)],
  "Schedule.capped(seconds)": ["seconds", (seconds) => spaced.capped(seconds)],
  "Schedule.jittered(share)": ["a share", (share) => spaced.jittered(share)],
  "channel(capacity)": ["a count, or 0", (capacity) => patterns.channel(capacity)],
  "Stream.take(count)": ["a count, or 0", (count) => items().take(count)],
  "Stream.buffer(count)": ["a count", (count) => items().buffer(count)],
  "Stream.debounce(seconds)": ["seconds", (seconds) => items().debounce(seconds)],
  "Stream.throttle(seconds)": ["seconds", (seconds) => items().throttle(seconds)],
  "Pool.max": [
    "a count",
    (max) => {
      pool().max = max;
    },
  ],
  // asyncio-ts/testing
  "TestContext.advance(seconds)": [
    "seconds, not below 0",
    (seconds) => inTest((t) => t.advance(seconds)),
  ],
  "TestContext.choose(count)": ["a finite count", (count) => inTest((t) => t.choose(count))],
  "Sequencer.run(position)": [
    "a position",
    (position) => new testing.Sequencer().run(position, five),
  ],
};

/** Whatever takes a function: how it is called. */
const functions: Record<string, Call> = {
  "run(main)": (main) => asyncio.run(main),
  "Runner.run(main)": (main) => new asyncio.Runner().run(main),
  "createTask(coroutine)": (body) => asyncio.createTask(body),
  "Future.addDoneCallback(callback)": (fn) => new asyncio.Future().addDoneCallback(fn),
  "mapConcurrent(fn)": (fn) => asyncio.mapConcurrent([1], fn, { limit: 1 }),
  "forEachConcurrent(fn)": (fn) => asyncio.forEachConcurrent([1], fn, { limit: 1 }),
  "ConcurrentMap.forEach(use)": (use) =>
    asyncio.mapConcurrent([1], five, { limit: 1 }).forEach(use),
  "mapAll(fn)": (fn) => asyncio.mapAll([1], fn, { limit: 1 }),
  "TaskGroup.createTask(coroutine)": (body) => inGroup((group) => group.createTask(body)),
  "TaskGroup.start(body)": (body) => inGroup((group) => group.start(body)),
  "taskGroup(body)": (body) => asyncio.taskGroup(body),
  "CancelScope.run(body)": (body) => new asyncio.CancelScope().run(body),
  "cleanup(body)": (body) => asyncio.cleanup(1, body),
  "moveOnAfter(body)": (body) => asyncio.moveOnAfter(1, body),
  "timeout(body)": (body) => asyncio.timeout(1, body),
  "timeoutAt(body)": (body) => asyncio.timeoutAt(1, body),
  "Lock.run(body)": (body) => new asyncio.Lock().run(body),
  "Condition.run(body)": (body) => new asyncio.Condition().run(body),
  "Condition.waitFor(predicate)": (fn) => {
    const condition = new asyncio.Condition();
    return condition.run(() => condition.waitFor(fn));
  },
  "Semaphore.run(body)": (body) => semaphore().run(body),
  "StreamReader.parse(parser)": (parser) => text().parse(parser),
  "ParserInput.all(parser)": (parser) => parse((input) => input.all(parser)),
  "startServer(handler)": (handler) => asyncio.startServer(handler, "127.0.0.1", 0),
  "startUnixServer(handler)": (handler) => asyncio.startUnixServer(handler, "/no/such/folder/s"),
  "EventLoop.setExceptionHandler(handler)": (handler) => loop().setExceptionHandler(handler),
  "EventLoop.callSoon(callback)": (fn) => loop().callSoon(fn),
  "EventLoop.callLater(callback)": (fn) => loop().callLater(1, fn),
  "EventLoop.callAt(callback)": (fn) => loop().callAt(1, fn),
  "cancellable(start)": (start) => asyncio.cancellable(start),
  "joined(start)": (start) => asyncio.joined(start, { grace: 1 }),
  "requestScope(body)": (body) => asyncio.requestScope(new AbortController().signal, body),
  "ExceptionGroup.split(matcher)": (matcher) => new asyncio.ExceptionGroup("x", []).split(matcher),
  "ExceptionGroup.subgroup(matcher)": (matcher) =>
    new asyncio.ExceptionGroup("x", []).subgroup(matcher),
  "callback(fn)": (fn) => executors.callback(fn),
  // asyncio-ts/patterns
  "TaskQueue.add(job)": (job) => new patterns.TaskQueue().add(job),
  "CapacityLimiter.run(body)": (body) => new patterns.CapacityLimiter(1).run(body),
  "new Keyed(make)": (make) => new patterns.Keyed(make),
  "RateLimiter.run(body)": (body) => rate().run(body),
  "CircuitBreaker.run(body)": (body) => new patterns.CircuitBreaker().run(body),
  "hedge(body)": (body) => patterns.hedge(1, body),
  "repeat(delays)": (delays) => patterns.repeat(delays, five),
  "repeat(body)": (body) => patterns.repeat([], body),
  "retry(delays)": (delays) => patterns.retry(delays, five),
  "retry(body)": (body) => patterns.retry([], body),
  "new Schedule(delay)": (delay) => new patterns.Schedule(delay),
  "Schedule.whileError(matcher)": (matcher) => spaced.whileError(matcher),
  "Schedule.retryAfter(seconds)": (fn) => spaced.retryAfter(fn),
  "Watch.update(change)": (change) => new patterns.Watch(1).update(change),
  "Watch.until(predicate)": (predicate) => new patterns.Watch(1).until(predicate),
  "Stream.map(fn)": (fn) => items().map(fn),
  "Stream.filter(predicate)": (predicate) => items().filter(predicate),
  "stream(source)": (source) => patterns.stream(source),
  "Resource.use(body)": (body) => item.use(body),
  "resource(acquire)": (acquire) => patterns.resource(acquire, () => {}),
  "resource(release)": (release) => patterns.resource(five, release),
  "ResourceScope.defer(release)": (fn) => patterns.resources((scope) => scope.defer(fn)),
  "resources(body)": (body) => patterns.resources(body),
  "Pool.run(body)": (body) => pool().run(body),
  "Shared.run(body)": (body) => new patterns.Shared(item).run(body),
  "withDeadlineOf(body)": (body) => patterns.withDeadlineOf({}, body),
  "singleFlight(fn)": (fn) => patterns.singleFlight(fn),
  // asyncio-ts/testing
  "explore(body)": (body) => testing.explore(body),
  "explored(body)": (body) => testing.explored(body),
  "runTest(body)": (body) => testing.runTest(body),
  "cancelSweep(body)": (body) => testing.cancelSweep(body),
  "faultSweep(body)": (body) => testing.faultSweep(body),
  "Sequencer.run(body)": (body) => new testing.Sequencer().run(0, body),
};

/** What takes neither: how it is called, and which of the `wrong` ones it takes after all. */
const others: Record<string, readonly [call: Call, taken?: "a promise" | "true" | "null"]> = {
  "signals(names)": [(names) => asyncio.signals(names)],
  "gather(awaitables)": [(all) => asyncio.gather(all), "a promise"],
  "asCompleted(work)": [(work) => asyncio.asCompleted(work)],
  "wait(futures)": [(futures) => asyncio.wait(futures)],
  "mapConcurrent(items)": [(items) => asyncio.mapConcurrent(items, five, { limit: 1 })],
  "forEachConcurrent(items)": [(items) => asyncio.forEachConcurrent(items, five, { limit: 1 })],
  "mapAll(items)": [(items) => asyncio.mapAll(items, five, { limit: 1 })],
  "select(cases)": [(cases) => asyncio.select(cases)],
  "race(thunks)": [(thunks) => asyncio.race(thunks)],
  "staggeredRace(thunks)": [(thunks) => asyncio.staggeredRace(thunks, 1)],
  "acquiring(target)": [(target) => asyncio.acquiring(target, 1)],
  "next(source)": [(source) => asyncio.next(source)],
  "putting(target)": [(target) => asyncio.putting(target, 1 as never)],
  "new Condition(lock)": [(lock) => new asyncio.Condition(lock)],
  "new StreamReader(stream)": [(stream) => new asyncio.StreamReader(stream)],
  "new StreamWriter(stream)": [(stream) => new asyncio.StreamWriter(stream)],
  "StreamReader.readUntil(separator)": [(separator) => text().readUntil(separator)],
  "ParserInput.readUntil(separator)": [(one) => parse((input) => input.readUntil(one))],
  "StreamWriter.write(bytes)": [(bytes) => writer().write(bytes)],
  "StreamWriter.writeLines(lines)": [(lines) => writer().writeLines(lines)],
  "connectionFrom(source)": [(source) => asyncio.connectionFrom(source)],
  "readerFrom(source)": [(source) => asyncio.readerFrom(source)],
  "writerFrom(target)": [(target) => asyncio.writerFrom(target)],
  "toNodeStream(reader)": [(reader) => asyncio.toNodeStream(reader)],
  "toNodeStream(writer)": [(one) => asyncio.toNodeStream(one as asyncio.StreamWriter)],
  "toNodeStream(connection)": [(both) => asyncio.toNodeStream(both as asyncio.Connection)],
  "toWebStream(reader)": [(reader) => asyncio.toWebStream(reader)],
  "toWebStream(writer)": [(one) => asyncio.toWebStream(one as asyncio.StreamWriter)],
  "toWebStream(connection)": [(both) => asyncio.toWebStream(both as asyncio.Connection)],
  "openConnection(host)": [(host) => asyncio.openConnection(host, 1)],
  "openUnixConnection(path)": [(path) => asyncio.openUnixConnection(path)],
  "startServer(host)": [(host) => asyncio.startServer(() => {}, host, 0)],
  "startUnixServer(path)": [(path) => asyncio.startUnixServer(() => {}, path)],
  "createSubprocessExec(program)": [(program) => asyncio.createSubprocessExec(program, [])],
  "createSubprocessExec(args)": [(args) => asyncio.createSubprocessExec("true", args)],
  "createSubprocessShell(command)": [(command) => asyncio.createSubprocessShell(command)],
  "runProcess(program)": [(program) => asyncio.runProcess(program, [])],
  "runProcess(args)": [(args) => asyncio.runProcess("true", args)],
  "new ContextVar(name)": [(name) => new asyncio.ContextVar(name)],
  "ContextVar.reset(token)": [(token) => new asyncio.ContextVar("v").reset(token)],
  "EventLoop.setDebug(enabled)": [(enabled) => loop().setDebug(enabled), "true"],
  "EventLoop.runInExecutor(executor)": [
    (one) => loop().runInExecutor(one, path.basename, "a"),
    "null",
  ],
  "EventLoop.runInExecutor(fn)": [(fn) => loop().runInExecutor(inline as never, fn)],
  "requestScope(source)": [(source) => asyncio.requestScope(source, five)],
  // asyncio-ts/executors, asyncio-ts/worker
  "module(url)": [(url) => executors.module(url)],
  "toThread(fn)": [(fn) => executors.toThread(fn)],
  "Executor.run(fn)": [(fn) => inline.run(fn)],
  "Executor.submit(fn)": [(fn) => inline.submit(fn)],
  "Executor.map(fn)": [(fn) => inline.map(fn, [])],
  "Executor.map(items)": [(items) => inline.map(path.basename, items)],
  "Executor.stream(fn)": [(fn) => inline.stream(fn)],
  "sharedContextVar(name)": [(name) => worker.sharedContextVar(name)],
  "transfer(value)": [(value) => worker.transfer(value, []), "a promise"],
  "transfer(list)": [(list) => worker.transfer({}, list)],
  // asyncio-ts/patterns
  "fallback(thunks)": [(thunks) => patterns.fallback(thunks)],
  "events(target)": [(target) => patterns.events(target, "x")],
  "events(emitter)": [(emitter) => patterns.events(emitter as EventTarget, "x")],
  "events(name)": [(name) => patterns.events(new EventTarget(), name)],
  "once(target)": [(target) => patterns.once(target, "x")],
  "once(emitter)": [(emitter) => patterns.once(emitter as EventTarget, "x")],
  "once(name)": [(name) => patterns.once(new EventTarget(), name)],
  "Stream.merge(others)": [(other) => items().merge(other)],
  "ResourceScope.open(resource)": [(one) => patterns.resources((scope) => scope.open(one))],
  "new Pool(resource)": [(resource) => new patterns.Pool(resource, { max: 1 })],
  "new Shared(resource)": [(resource) => new patterns.Shared(resource)],
  "supervise(children)": [(children) => patterns.supervise(children)],
  "withDeadlineOf(headers)": [(headers) => patterns.withDeadlineOf(headers, five)],
  // asyncio-ts/testing
  "SimulatedNetwork.host(name)": [(name) => network().host(name)],
  "SimulatedNetwork.alias(name)": [(name) => network().alias(name, [])],
  "SimulatedNetwork.alias(hosts)": [(hosts) => network().alias("name", hosts)],
  "SimulatedNetwork.partition(a)": [(a) => network().partition(a, "b")],
  "SimulatedNetwork.partition(b)": [(b) => network().partition("a", b)],
  "SimulatedNetwork.hold(a)": [(a) => network().hold(a, "b")],
  "SimulatedNetwork.hold(b)": [(b) => network().hold("a", b)],
  "SimulatedNetwork.heal(a)": [(a) => network().heal(a, "b")],
  "SimulatedNetwork.heal(b)": [(b) => network().heal("a", b)],
  "SimulatedNetwork.reset(a)": [(a) => network().reset(a, "b")],
  "SimulatedNetwork.reset(b)": [(b) => network().reset("a", b)],
  "SimulatedNetwork.crash(name)": [(name) => network().crash(name)],
  "SimulatedNetwork.restart(name)": [(name) => network().restart(name)],
  "tracked(target)": [(target) => testing.tracked(target), "a promise"],
  "cell(name)": [(name) => testing.cell(1, name)],
  "fault(site)": [(site) => testing.fault(site)],
  "TestContext.note(text)": [(note) => inTest((t) => t.note(note))],
};

/** What is not looked at, and why: whole names, or the beginnings of some. */
const exempt: Record<string, string> = {
  "ByteStream.": "for streams of one's own: readers and writers have looked at it",
  "Connection.": "an array's",
  "Host.": "for hosts of one's own: the loop has looked at it",
  "Network.": "for networks of one's own: what opens connections has looked at it",
  "Process.sendSignal": "a name as well: goes to the host, which looks at it",
  "SimulatedHost.": "a testing tool: the servers that it runs look at it",
  "new Process(": "made by `createSubprocessExec`",
  "new Executor(": "for executors of one's own",
  // functions
  "ChildSpec.run(": "what the program writes",
  "ResponseSource.": "an emitter, by its shape",
  "TargetLike.": "an event target, by its shape",
  "Context.run(": "calls it at once: the engine's own TypeError",
  "shield(": "takes whatever can be awaited",
  "waitFor(work)": "takes a future, too",
  "Future.then(": "as every promise: what is no function is left out",
  "Future.catch(": "the same",
  "Task.catch(": "the same",
  "Job.catch(": "the same",
  "ExecutorJob.catch(": "the same",
  "Future.finally(": "the same",
  "Future.removeDoneCallback(": "what was never added is not there",
  "fault(makeError)": "called only where a test injects a failure",
  "park(": "of the low-level door, which looks at nothing",
  "WaitList.": "the same",
  "new Wait(": "the same",
  "new Handle(": "made by the loop",
  "new Task(": "made by `createTask`",
  "new Server(": "made by `startServer`",
  "new Job(": "made by a task queue",
  "new Resource(": "made by `resource`",
  "new Receiver(": "made by `channel`",
  "Context.get(": "as of a map: what is not in it is not there",
  "Context.has(": "the same",
  "ContextVar.get(": "takes any value",
  "TaskGroup.cancel(": "takes any value",
  "ResourceScope.use(": "takes what can be disposed of, and a promise of nothing is not",
  "DatagramEndpoint.send(": "needs a socket: datagram.test.ts",
  "Process.communicate(": "needs a process: process.test.ts",
  "EventLoop.callExceptionHandler(": "a report, which has to be shown whatever it is",
  "EventLoop.defaultExceptionHandler(": "the same",
  "InlineExecutor.": "inherited",
  "ProcessPoolExecutor.": "inherited",
  "ThreadPoolExecutor.": "inherited",
  "ItemStore.": "for queues of one's own",
  "Operation.": "the same",
  "Scope.isInside(": "of the low-level door, which looks at nothing",
  "Schedule.delay(": "what `retry` calls, with a step of its own",
  "StreamWriter.getExtraInfo(": "any name: one that is not known gives undefined",
  "Task.setName(": "any name becomes text, as in asyncio",
  "belongToRun(": "of the low-level door, which looks at nothing",
  "complete(": "the same",
  "interruption(": "the same",
  "refuse(": "the same",
  "taskPath(": "the same",
  "watchHeld(": "the same",
  "DatagramSocket.": "for networks of one's own: `createDatagramEndpoint` has looked at it",
  "fetch(": "goes to the host, which looks at it",
  "new Queue(items)": "a store of one's own",
  "new StreamWriter(reader)": "for `startTls` alone",
  "new EventLoop(": "for hosts of one's own",
  "new Stream(": "made by `stream`",
  "new Signals(": "made by `signals`",
  "new ParserInput(": "made by a reader",
  "new DatagramEndpoint(": "made by `createDatagramEndpoint`",
  "new ExecutorJob(": "made by an executor",
  "new Sender(": "made by `channel`",
  "new Timeout(": "made by `timeout`",
  "new Token(": "made by a variable",
  "new Context(": "made by `copyContext`",
  "new Cell(": "made by `cell`",
  "new SimulatedHost(": "made by a network",
  "new TestContext(": "made by a run of a test",
};

const found = readTypes();

function listed(names: ReadonlySet<string>): string[] {
  const isExempt = (name: string) => Object.keys(exempt).some((start) => name.startsWith(start));
  return [...names].filter((name) => !isExempt(name) && !isOfError(name)).sort();
}

/** Of an error: the library makes it, and what it has no use for goes to the host's Error. */
function isOfError(name: string): boolean {
  const [, type = ""] = /^new (\w+)/.exec(name) ?? [];
  const found: unknown = Reflect.get({ ...asyncio, ...executors, ...patterns, ...testing }, type);
  return typeof found === "function" && found.prototype instanceof Error;
}

test("whatever takes a number is in the list", () => {
  assert.deepEqual(listed(found.numbers), Object.keys(numbers).sort());
});

test("whatever takes a function is in the list", () => {
  assert.deepEqual(listed(found.functions), Object.keys(functions).sort());
});

test("whatever takes anything else is in the list", () => {
  assert.deepEqual(listed(found.others), Object.keys(others).sort());
});

suite("a number that means nothing is refused", () => {
  for (const [name, [kind, call]] of Object.entries(numbers)) {
    for (const value of [Number.NaN, "5", Promise.resolve(5), ...kinds[kind]]) {
      test(`${name}: ${value}`, async () => {
        const error = await refusal(call, value);

        const words = typeof value === "number" ? `, got ${value}` : ", got ";
        assert.ok(error.message.includes(words), error.message);
      });
    }
  }
});

suite("what is no function is refused", () => {
  for (const [name, call] of Object.entries(functions)) {
    test(name, async () => {
      for (const value of [5, null, Promise.resolve(), Promise.reject(new Error("unseen"))]) {
        if (value instanceof Promise) value.catch(() => {});

        const error = await refusal(call, value);

        assert.ok(error instanceof TypeError, String(error));
        assert.match(error.message, /expects .*, got /);
      }
    });
  }
});

suite("what is no name, list or thing of that kind is refused", () => {
  for (const [name, [call, taken]] of Object.entries(others)) {
    test(name, async () => {
      const wrong = { 5: 5, null: null, true: true, "a promise": Promise.resolve() };
      for (const [words, value] of Object.entries(wrong)) {
        if (words === taken) continue;

        const error = await refusal(call, value);

        assert.match(error.message, / expects .*, got /);
      }
    });
  }

  test("a hole in a list, where every item is looked at", async () => {
    const holes: [] = new Array(1) as [];
    for (const call of [
      () => asyncio.signals(holes),
      () => asyncio.gather(holes),
      () => asyncio.wait(holes),
      () => asyncio.race(holes),
      () => asyncio.asCompleted(holes),
      () => writer().writeLines(holes),
      () => asyncio.runProcess("true", holes),
      () => patterns.supervise(holes),
      () => network().alias("name", holes),
      () => testing.explore(five, { strategy: holes }),
    ]) {
      const error = await refusal(call as Call, undefined);

      assert.match(error.message, /, got undefined/);
    }
  });
});

async function refusal(call: Call, value: unknown): Promise<Error> {
  const error = await new Promise((_resolve, reject) => {
    Promise.resolve(call(value as never)).then(() => reject(undefined), reject);
  }).catch((error: unknown) => error);
  assert.ok(error instanceof Error, "the call was not refused");
  assert.equal((error as { code?: unknown }).code, "ERR_ASYNCIO_INVALID_ARGUMENT", error.stack);
  return error;
}
