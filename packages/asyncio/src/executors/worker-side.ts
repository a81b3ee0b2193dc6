/**
 * The other side of a pool: what a thread does. It takes jobs in the order in which they come, one
 * at a time, and each is a task on the loop of this thread. A job has ended when its task has, and
 * all tasks that it has started.
 *
 *     message ──▶ handle ──▶ line ──▶ start ──▶ task ──▶ outcome to the ring or the port ──▶ next
 *
 * The thread may be interrupted at any point of a job (`Runtime.terminateExecution`): no `finally`
 * runs then, and microtasks are dropped. So the loop that the job ran on is given up with it, and
 * `isInCall` tells that it was the job's own code that was cut off.
 */

import type { MessagePort } from "node:worker_threads";
import { CancelledError } from "../errors/errors.ts";
import { enterScope } from "../kernel/context.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { completed, here } from "../kernel/operation.ts";
import { reportUnobserved } from "../kernel/reports.ts";
import { park, type Scope } from "../kernel/scope.ts";
import { Task } from "../kernel/task.ts";
import { WaitList } from "../kernel/wait.ts";
import { Context } from "../structures/context-values.ts";
import { setDeadline } from "../tasks/deadlines.ts";
import { HostLoop } from "../tasks/host-loop.ts";
import { setSharedValues } from "./carried-variables.ts";
import { tableOf } from "./error-table.ts";
import { type AnyCall, LoadedFunctions } from "./functions.ts";
import { Inbox } from "./inbox.ts";
import { type RunningJob, setOnlyJob } from "./job-context.ts";
import { SharedMemory, wordOf } from "./memory.ts";
import { loadFunction, loadModule } from "./modules.ts";
import {
  type FromWorker,
  fromWorker,
  type JobMessage,
  type ToWorker,
  toWorker,
  type WorkerSetup,
} from "./protocol.ts";
import { refusal, transferOf, unpack } from "./sending.ts";
import type { ThreadWire } from "./wire.ts";
import { CallbackCalls } from "./worker-callbacks.ts";
import { endLeftovers } from "./worker-leftovers.ts";

/** Milliseconds between two looks at the memory in use. */
const MEMORY_EVERY_MS = 100;
/** How a thread hears of its pool, and answers. */
export interface Channel {
  readonly port: MessagePort;
  readonly memory: SharedMemory;
  /** Takes a message without a turn of the loop. */
  readonly receive: (port: MessagePort) => { message: unknown } | undefined;
  /** Whether it is the thread of a worker process. */
  readonly isInProcess: boolean;
  /** Undefined where jobs come by the port. */
  readonly wire: ThreadWire | undefined;
}

interface Running extends RunningJob {
  readonly seq: number;
  readonly slot: number;
  readonly startedAt: number;
  /** Undefined until it has started: its module may still be loading. */
  task: Task<unknown> | undefined;
  /** True while code of the job runs that was called and has not returned. */
  isInCall: boolean;
  /** How many items may be sent, and who waits until one may. */
  credit: number;
  readonly room: WaitList;
  /** True once something was sent that has to arrive before the outcome. */
  hasSent: boolean;
  /** True from the moment in which the outcome is about to be sent. */
  isSettling: boolean;
}

export class WorkerSide {
  readonly #channel: Channel;
  readonly #port: MessagePort;
  readonly #memory: SharedMemory;
  readonly #functions: LoadedFunctions = new LoadedFunctions();
  readonly #inbox: Inbox = new Inbox();
  #pool = "";
  #loop: EventLoop = new HostLoop();
  #current: Running | undefined = undefined;
  readonly #calls: CallbackCalls;
  #lookedAt = 0;
  /** What the host is to call, and the port by which it is made to. */
  readonly #due: (() => void)[] = [];
  #bell: { postMessage(message: null): void } | undefined = undefined;
  /** True while the code that runs was called by the host with a message. */
  #isInHandler = false;

  constructor(channel: Channel) {
    const { port, memory } = channel;
    this.#channel = channel;
    this.#port = port;
    this.#memory = memory;
    this.#calls = new CallbackCalls(port, memory, this.#hear, () => this.#current);
  }

  /** Loads what the worker is set up with, and begins to listen. */
  async begin({ pool, warm, initializer }: WorkerSetup): Promise<void> {
    this.#pool = pool;
    try {
      for (const url of warm) await loadModule(url);
      if (initializer !== undefined) {
        const [url, name] = initializer;
        const initialize = await loadFunction(url, name);
        await new Task(this.#loop, () => initialize(), { name });
      }
    } catch (error) {
      this.#post([fromWorker.broken, tableOf(error)]);
      return;
    }
    this.#port.on("message", (message) => {
      this.#enter();
      this.#handle(message as ToWorker); // from our own pool
      this.#isInHandler = false;
    });
    const threads = process.getBuiltinModule("node:worker_threads");
    const { port1, port2 } = new threads.MessageChannel();
    port1.on("message", () => {
      this.#enter();
      for (const run of this.#due.splice(0)) run();
      this.#isInHandler = false;
    });
    this.#bell = port2;
    this.#channel.wire?.listen((message) => {
      this.#enter();
      this.#isInHandler = false; // a pipe has hooks
      this.#handle(message as ToWorker); // from our own pool
    });
    this.#post([fromWorker.ready]);
  }

  /**
   * The host calls. Where a job was cut off in such a call, its scope was left behind: that is no
   * place to begin in. Not by `runInRoot`, which is a hook, too.
   */
  #enter(): void {
    this.#isInHandler = true;
    enterScope(undefined as unknown as Scope); // outside of every scope
  }

  #handle(message: ToWorker): void {
    switch (message[0]) {
      case toWorker.plainJobs:
        this.#functions.define(message[1]);
        this.#inbox.addPlain(message[2]);
        this.#next();
        return;
      case toWorker.job:
        this.#functions.define(message[1]);
        this.#inbox.add(message[2]);
        this.#next();
        return;
      case toWorker.cancel: {
        const [, seq, source, reason, requestedBy] = message;
        const running = this.#current;
        if (running?.seq !== seq) return;
        if (running.task !== undefined) running.task.cancelFor(source, reason, requestedBy);
        else this.#end(running, [fromWorker.cancelled, seq, 0, source]); // it never begins
        return;
      }
      case toWorker.reply:
        this.#calls.answered(message[2], message[3]);
        return;
      case toWorker.credit:
        if (this.#current?.seq !== message[1]) return;
        this.#current.credit += message[2];
        this.#current.room.resumeAll(undefined);
        return;
      case toWorker.ping:
        void this.#answer(message[1], message[2]);
        return;
    }
  }

  /** Takes in what has come while this thread was busy. It still is, so a ping is not answered. */
  readonly #hear = (): void => {
    for (;;) {
      const received = this.#channel.receive(this.#port);
      if (received === undefined) return;
      const message = received.message as ToWorker;
      if (message[0] !== toWorker.ping) this.#handle(message);
    }
  };

  // --- one job after the other

  #next(): void {
    while (this.#current === undefined) {
      const job = this.#inbox.take();
      if (job === undefined) return;
      if (this.#memory.start(job[0])) this.#start(job);
    }
  }

  #start(job: JobMessage): void {
    const [seq, fn, number, , extras] = job;
    const id = `${this.#pool}-${number}`;
    const running: Running = {
      seq,
      slot: wordOf(seq),
      id,
      attempt: extras?.attempt ?? 1,
      startedAt: performance.now(),
      task: undefined,
      isInCall: false,
      credit: extras?.credit ?? 0,
      room: new WaitList(),
      hasSent: false,
      isSettling: false,
      progress: (value) => this.#send(running, fromWorker.progress, value, "progress"),
    };
    this.#current = running;
    const asked = SharedMemory.asked(seq);
    const { slot } = running;
    setOnlyJob(running, { words: this.#memory.words, slot, asked, hear: this.#hear });
    const known = this.#functions.get(fn);
    if (typeof known === "function") return void this.#run(running, known, job);
    known.then(
      (loaded) => this.#run(running, loaded, job),
      (error) => this.#end(running, [fromWorker.failed, seq, secondsOf(running), tableOf(error)]),
    );
  }

  /**
   * What may be interrupted is called by the host itself, with a message, and by nothing that has
   * hooks of JavaScript around it: those are not undone when it is cut off, and the host aborts the
   * process for that. Timers, immediates and AsyncResources have such hooks everywhere, microtasks
   * where contexts follow promises (Node 20 and 22).
   */
  #run(running: Running, fn: AnyCall, job: JobMessage): void {
    const [seq, , , plainArgs, extras] = job;
    if (this.#current !== running) return; // it was dropped while its module was loading
    if (extras?.isInterruptible === true && !this.#isInHandler) {
      this.#fromHost(() => this.#run(running, fn, job));
      return;
    }
    const { callbacks, left, variables, credit } = extras ?? {};
    const args =
      callbacks === undefined
        ? plainArgs
        : unpack(plainArgs, callbacks, (callback, isSync) =>
            this.#calls.callback(seq, callback, isSync),
          );
    const isInterruptible = extras?.isInterruptible === true;
    const context = new Context();
    if (variables !== undefined) setSharedValues(context, variables);
    const call = (): unknown => {
      running.isInCall = true;
      if (isInterruptible) this.#memory.setInCall(seq);
      try {
        return fn(...args);
      } finally {
        running.isInCall = false;
        if (isInterruptible) this.#memory.setInCall(0);
      }
    };
    const body = credit === undefined ? call : () => this.#sendItems(running, call);
    const called = isInterruptible ? new Called() : undefined;
    const options = { context, name: running.id, eagerStart: isInterruptible };
    const task = new Task<unknown>(this.#loop, called?.outcome ?? body, options);
    running.task = task;
    if (left !== undefined) setDeadline(task.scope, this.#loop.time() + left);
    const { words } = this.#memory;
    if (Atomics.load(words, running.slot) === SharedMemory.asked(seq)) this.#hear(); // while it was loading
    task.listen({ futureDone: () => this.#ended(running, task) });
    if (called === undefined) return;
    enterScope(task.scope); // a task would begin its body inside of hooks
    called.call(body);
  }

  /** By a message: timers and immediates have hooks around them, which would not be undone. */
  #fromHost(run: () => void): void {
    this.#due.push(run);
    this.#bell?.postMessage(null);
  }

  #ended(running: Running, task: Task<unknown>): void {
    task.observe();
    if (this.#loop.tasks.size === 0) this.#settle(running, task);
    else void endLeftovers(this.#loop).then(() => this.#settle(running, task));
  }

  #settle(running: Running, task: Task<unknown>): void {
    if (this.#current !== running) return;
    running.isSettling = true;
    const { seq } = running;
    if (this.#loop.unobserved.size > 0) reportUnobserved(this.#loop);
    const seconds = secondsOf(running);
    if (task.state === "fulfilled") {
      this.#sendResult(running, seconds, task.value);
      this.#over();
      return;
    }
    const error = task.failure;
    const isOwn = error instanceof CancelledError && error.scope === task.scope;
    this.#end(
      running,
      isOwn
        ? [fromWorker.cancelled, seq, seconds, error.source]
        : [fromWorker.failed, seq, seconds, tableOf(error)],
    );
  }

  #sendResult({ seq, hasSent }: Running, seconds: number, value: unknown): void {
    const message: FromWorker = [fromWorker.done, seq, seconds, value];
    if (!hasSent) {
      // In a burst the main thread sends many at a time, while this one goes on with the next job.
      const isAlone = this.#inbox.isEmpty && this.#memory.isQuiet;
      if (isAlone && this.#channel.wire?.send(message) === true) return;
      const wakes = this.#memory.publish(seq, seconds, value);
      if (wakes === true) this.#post([fromWorker.wake]);
      if (wakes !== undefined) return;
    }
    try {
      this.#port.postMessage(message, transferOf(value) as never);
    } catch (error) {
      const table = tableOf(refusal("result", value, error));
      this.#post([fromWorker.failed, seq, seconds, table]);
    }
  }

  #end(running: Running, message: FromWorker): void {
    if (this.#current !== running) return;
    this.#post(message);
    this.#over();
  }

  #over(): void {
    this.#current = undefined;
    setOnlyJob(undefined, undefined);
    const now = performance.now();
    if (now - this.#lookedAt > MEMORY_EVERY_MS) {
      this.#lookedAt = now;
      this.#tellMemory();
    }
    this.#next();
  }

  #tellMemory(): void {
    if (this.#channel.isInProcess) {
      this.#post([fromWorker.memory, process.memoryUsage.rss() / 1_048_576]);
      return;
    }
    const { heapTotal, external } = process.memoryUsage();
    this.#memory.setMegabytes((heapTotal + external) / 1_048_576);
  }

  // --- streams

  async #sendItems(running: Running, call: () => unknown): Promise<void> {
    const items = await call();
    if (!isIterable(items)) {
      throw Object.assign(
        new TypeError("`stream` expects a function that gives an iterable: use `run` for others"),
        { code: "ERR_ASYNCIO_INVALID_ARGUMENT" },
      );
    }
    for await (const item of items) {
      this.#send(running, fromWorker.item, item, "item");
      running.credit--;
      const scope = here();
      const stop = scope.interruption("room for another item");
      if (stop !== undefined) await stop;
      else if (running.credit > 0) await completed(scope, "a stream", undefined);
      while (running.credit <= 0) {
        const wait = park<void>(here(), "room for another item");
        running.room.add(wait);
        await wait.promise;
      }
    }
  }

  #send(running: Running, kind: 4 | 5, value: unknown, name: string): void {
    running.hasSent = true;
    try {
      this.#port.postMessage([kind, running.seq, value], transferOf(value) as never);
    } catch (error) {
      throw refusal(name, value, error);
    }
  }

  // --- interruptions

  /**
   * The pool has seen no turn of this thread, and may have interrupted it. If it was the job's own
   * code that was cut off, the job is dropped, and the thread shows on a new loop that it can go
   * on. The same if the job had ended, and what was cut off is the sending of its outcome: that may
   * lie in the ring, and nobody was woken up.
   */
  async #answer(epoch: number, seq: number): Promise<void> {
    const running = this.#current;
    const isDropped = running?.seq === seq && (running.isInCall || running.isSettling);
    if (isDropped) {
      if (running.isSettling) this.#post([fromWorker.wake]);
      this.#memory.setInCall(0);
      this.#current = undefined;
      setOnlyJob(undefined, undefined);
      this.#calls.clear();
      this.#loop = new HostLoop();
      const waiting = new Task(this.#loop, () => park<void>(here(), "nothing").promise);
      await new Promise<void>((resolve) => {
        waiting.listen({ futureDone: () => resolve() });
        this.#loop.callSoon(() => void waiting.cancel());
      });
    }
    this.#post([fromWorker.pong, epoch, isDropped]);
    if (isDropped) this.#next();
  }

  #post(message: FromWorker): void {
    this.#port.postMessage(message);
  }
}

/** A call whose outcome is that of a task which began before it. */
class Called {
  #resolve: (value: unknown) => void = () => {};
  readonly #promise: Promise<unknown> = new Promise((resolve) => {
    this.#resolve = resolve;
  });

  readonly outcome = (): Promise<unknown> => this.#promise;

  call(body: () => unknown): void {
    try {
      this.#resolve(body());
    } catch (error) {
      this.#resolve(Promise.reject(error));
    }
  }
}

function secondsOf({ startedAt }: Running): number {
  return (performance.now() - startedAt) / 1000;
}

function isIterable(value: unknown): value is Iterable<unknown> | AsyncIterable<unknown> {
  return (
    typeof value === "object" &&
    value !== null &&
    (Symbol.asyncIterator in value || Symbol.iterator in value)
  );
}
