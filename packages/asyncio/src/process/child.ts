/**
 * One child process of the host, as `createSubprocessExec` and `runProcess` share it: it starts, is
 * sent signals, is waited for, and is ended so that nothing of it is left.
 *
 * A child with a session of its own (`setsid`) leads a process group. What it starts is in that
 * group, too, and can be ended with it; a Ctrl-C in the terminal does not reach it any more, so the
 * end of the run has to end it: a run does (`Dependent`), and so does the process when it exits.
 *
 * Ending takes real time, also on a virtual loop, and goes its way even if no task waits for it: no
 * cancellation stops it.
 */

import type { ChildProcess, SpawnOptions } from "node:child_process";
import type { Readable } from "node:stream";
import {
  type Dependent,
  deathListeners,
  dependents,
  killDependents,
} from "../interop/dependents.ts";
import { type HostTimer, realHost, type Watched } from "../kernel/host.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { completed, here, refused } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import { WaitList, type WaitSubject } from "../kernel/wait.ts";
import { runInRoot } from "../ports/context-storage.ts";
import { startError } from "./start-error.ts";

/** What a child is started with. */
export interface ChildSpec {
  /** The public function that starts it, for messages. */
  readonly api: string;
  /**
   * The program that the caller asked for, for messages. A shell may run first, and become that
   * program.
   */
  readonly asked: string;
  readonly program: string;
  readonly args: readonly string[];
  /** What reports call it: the program and its arguments as one would type them. */
  readonly command: string;
  readonly options: SpawnOptions;
}

/**
 * Once the process has ended, its output counts as ended after so many seconds without a byte.
 * Processes that it has left running may go on.
 */
const QUIET_SECONDS = 0.5;
/** A pipe holds fewer bytes than this. Further ones do not come from a process that has ended. */
const MOST_UNREAD = 1_048_576;
/**
 * Seconds to wait after a SIGKILL. A process in an uninterruptible system call is left to the
 * system then.
 */
const KILL_SECONDS = 1;

/**
 * The children that have not been reaped, or are being ended with all that they have started: they
 * die with this process.
 */
const living: Set<Child> = new Set();
const killLiving = (): void => {
  for (const child of living) child.kill();
};

/**
 * Signals that end a process without listeners, each with a listener of ours that ends it just the
 * same.
 */
const deadly = /* @__PURE__ */ (["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"] as const).map((name) => {
  const listener = (): void => dieWithChildren(name);
  deathListeners.add(listener);
  return { name, listener };
});

function dieWithChildren(name: NodeJS.Signals): void {
  if (process.listenerCount(name) > 1) return; // the program's own listener decides
  killDependents();
  for (const { listener } of deadly) process.off(name, listener);
  process.kill(process.pid, name);
}

function addLiving(child: Child): void {
  living.add(child);
  if (living.size > 1) return;
  process.on("exit", killLiving);
  if (process.platform === "win32") return; // closing a console ends all that is in it
  if (process.pid === 1) return; // the first process, as in a container, does not die by a signal
  // The handles that the host makes for them keep the context they are made in. First, to find who
  // listens once.
  for (const { name, listener } of deadly) runInRoot(() => process.prependListener(name, listener));
}

function deleteLiving(child: Child): void {
  if (!living.delete(child) || living.size > 0) return;
  process.off("exit", killLiving);
  for (const { name, listener } of deadly) process.off(name, listener);
}

export class Child implements Dependent, Watched {
  readonly loop: EventLoop;
  readonly pid: number;
  readonly command: string;
  /** True if it leads a process group of its own. */
  readonly leadsGroup: boolean;
  readonly host: ChildProcess;
  /** Undefined until it has ended; negative: the number of the signal that ended it. */
  returncode: number | undefined = undefined;
  /** The signal that ended it. */
  signal: string | undefined = undefined;
  readonly #exits: WaitList = new WaitList();
  readonly #subject: WaitSubject = { describeWait: () => `the end of ${this.describe()}` };
  /** Called once each, when the process has ended, or one of its outputs has. */
  readonly #watchers: Set<() => void> = new Set();
  /** Set once it is being ended: resolves when nothing more can be done. */
  #ending: Promise<void> | undefined = undefined;
  /**
   * True while it is being ended. The process itself may have gone already, and others of its group
   * go on.
   */
  #isBeingEnded = false;

  constructor(loop: EventLoop, spec: ChildSpec, host: ChildProcess, pid: number) {
    this.loop = loop;
    this.pid = pid;
    this.command = spec.command;
    this.leadsGroup = spec.options.detached === true;
    this.host = host;
    host.on("exit", (code, signal) => this.#exited(code, signal));
    host.on("error", () => {}); // it could not be sent a signal: it has gone
    for (const output of this.#outputs) output.on("close", () => this.#tellWatchers());
    if (loop.isExact) loop.host.watch?.(this);
    dependents.add(this);
    addLiving(this);
  }

  /**
   * Starts a process. The start completes in the call. A cancellation that came before starts no
   * process. One that comes later finds a caller that has the process. So a cancelled start leaves
   * no child (S156). `setUp` is called with the child before it can have ended or put out anything;
   * the start gives what it returns.
   */
  static start<T>(spec: ChildSpec, setUp: (child: Child) => T): Promise<T> {
    const { api, asked, program, args, options } = spec;
    const scope = here();
    const stop = scope.interruption(api);
    if (stop !== undefined) return stop;
    const fail = (error: Error): Error => startError(api, asked, options, error);
    let host: ChildProcess;
    try {
      const { spawn } = process.getBuiltinModule("node:child_process");
      // Its handles keep the context that they are made in.
      host = runInRoot(() => spawn(program, args, options));
    } catch (error) {
      return refused(scope, api, fail(error as Error)); // the host throws some of its errors
    }
    if (host.pid !== undefined) {
      return completed(scope, api, setUp(new Child(scope.loop, spec, host, host.pid)));
    }
    const wait = park<T>(scope, api);
    wait.waitsOutside();
    host.once("error", (error) => wait.fail(fail(error)));
    return wait.promise;
  }

  describe(): string {
    return `process ${this.pid} (${this.command})`;
  }

  /** What tests that leave it running are told. */
  leftover(): string | undefined {
    return this.returncode === undefined ? `${this.describe()}, still running` : undefined;
  }

  /**
   * Waits until it has ended. Any number of tasks may; cancelling one does nothing to the process
   * (S155).
   */
  wait(): Promise<number> {
    const scope = here();
    const stop = scope.interruption(this.#subject);
    if (stop !== undefined) return stop;
    if (this.returncode !== undefined) return completed(scope, this.#subject, this.returncode);
    const wait = park<number>(scope, this.#subject);
    wait.waitsOutside();
    this.#exits.add(wait);
    return wait.promise;
  }

  /**
   * Sends it a signal, and no error if it has gone (S154). By its number, as long as its end was
   * not seen: Deno's own child takes one signal, and drops those that come after it.
   */
  send(signal: NodeJS.Signals | number): void {
    if (this.returncode !== undefined) return;
    try {
      process.kill(this.pid, signal);
    } catch (error) {
      const { code } = error as { code?: unknown };
      if (code !== "ESRCH" && code !== "EPERM") throw error;
    }
  }

  /** Sends it, and all that it has started in its group, a signal. */
  sendToAll(signal: NodeJS.Signals): void {
    if (!this.leadsGroup) this.send(signal);
    else if (this.returncode === undefined) this.#sendToGroup(signal);
  }

  /**
   * Kills it in the call, and what is left of its group if that is being ended. The system does the
   * rest.
   */
  kill(): void {
    if (this.#isBeingEnded) this.#sendToRest("SIGKILL");
    else this.sendToAll("SIGKILL");
  }

  /**
   * Calls back when it has ended, and each time that one of its outputs has; gives the way to stop
   * that.
   */
  watch(callback: () => void): () => void {
    this.#watchers.add(callback);
    return () => void this.#watchers.delete(callback);
  }

  /** True if no process can write to its outputs any more, and all was read. */
  get hasOutputEnded(): boolean {
    return this.#outputs.every((output) => output.closed);
  }

  /**
   * Resolves when the process and its output have ended. A process that it has started may have
   * inherited the output, and go on for days. So once the process has ended, its output counts as
   * ended when nothing has come for half a second.
   */
  drained(): Promise<void> {
    const scope = here();
    const stop = scope.interruption(this.#subject);
    if (stop !== undefined) return stop;
    const wait = park<void>(scope, this.#subject, () => {
      stopWatching();
      return true;
    });
    wait.waitsOutside();
    const stopWatching = whenDrained(this, () => wait.resume());
    return wait.promise;
  }

  /**
   * Asks it and its group to end, and kills what has not ended after `killDelay` seconds. If the
   * caller is cancelled, the wait goes on until the process has ended, which is soon.
   */
  stop(killDelay: number): Promise<void> {
    return this.#untilOver(this.#end(killDelay));
  }

  /**
   * Waits, in the same way, until what has arrived of its output is read: only a moment, if the
   * process has ended.
   */
  readRest(): Promise<void> {
    const most = bytesRead(this) + MOST_UNREAD;
    const isRead = new Promise<void>((resolve) => {
      const look = (seen: number): void => {
        const read = bytesRead(this);
        if (read === seen || read > most) resolve();
        else realHost.macrotask(() => look(read)); // in between the host reads what is there
      };
      realHost.macrotask(() => look(-1));
    });
    return this.#untilOver(isRead);
  }

  #untilOver(work: Promise<void>): Promise<void> {
    const wait = park<void>(here(), this.#subject, (_wait, _cancellation) => false);
    wait.waitsOutside();
    void work.then(() => wait.joined());
    return wait.promise;
  }

  /** The run is over: its output is not read any more. */
  async end(): Promise<void> {
    if (this.returncode !== undefined && !this.#isBeingEnded) {
      this.closeStreams();
      return;
    }
    for (const output of this.#outputs) output.removeAllListeners("data").resume();
    await this.#end(DEFAULT_KILL_DELAY);
    this.closeStreams();
  }

  /** Closes our ends of its pipes. */
  closeStreams(): void {
    this.host.stdin?.destroy();
    for (const output of this.#outputs) output.destroy();
  }

  get #outputs(): Readable[] {
    return [this.host.stdout, this.host.stderr].filter((output) => output !== null);
  }

  #end(killDelay: number): Promise<void> {
    if (this.#ending === undefined) {
      this.#isBeingEnded = true;
      this.#ending = new Promise((resolve) => runInRoot(() => this.#endGently(killDelay, resolve)));
    } else if (killDelay === 0) this.kill(); // the second caller is in more of a hurry than the first
    return this.#ending;
  }

  /**
   *     SIGTERM ──process and writers of its output gone──▶ SIGKILL to what is left of the group
   *        └─────killDelay────▶ SIGKILL ──it has gone, or KILL_SECONDS have passed──▶ over
   */
  #endGently(killDelay: number, resolve: () => void): void {
    let timer: HostTimer | undefined;
    let isKilled = killDelay <= 0;
    const isOver = (): boolean =>
      this.returncode !== undefined && (this.hasOutputEnded || isKilled || !this.leadsGroup);
    const finish = (): void => {
      stopWatching();
      timer?.clear();
      if (this.leadsGroup) this.#sendToGroup("SIGKILL"); // what has closed its output, and goes on
      this.#isBeingEnded = false;
      this.#release();
      resolve();
    };
    const stopWatching = this.watch(() => {
      if (isOver()) finish();
    });
    const kill = (): void => {
      isKilled = true;
      this.#sendToRest("SIGKILL");
      if (isOver()) finish();
      else timer = realHost.setTimer(realHost.now() + KILL_SECONDS, finish);
    };
    if (isOver()) finish();
    else if (isKilled) kill();
    else {
      this.#sendToRest("SIGTERM");
      timer = realHost.setTimer(realHost.now() + killDelay, kill);
    }
  }

  /** As `sendToAll`, also when the process itself has ended, and others of its group go on. */
  #sendToRest(signal: NodeJS.Signals): void {
    if (this.leadsGroup) this.#sendToGroup(signal);
    else this.send(signal);
  }

  #sendToGroup(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.pid, signal);
    } catch {
      this.send(signal); // the group is empty, or the host has no groups
    }
  }

  #exited(code: number | null, signal: NodeJS.Signals | null): void {
    if (this.returncode !== undefined) return;
    const { signals } = process.getBuiltinModule("node:os").constants;
    this.signal = signal ?? undefined;
    this.returncode = signal === null ? (code ?? 0) : -signals[signal];
    this.#exits.resumeAll(this.returncode);
    this.#tellWatchers();
  }

  #tellWatchers(): void {
    this.#release();
    for (const watcher of [...this.#watchers]) watcher();
  }

  /**
   * Nothing has to be done at the end of the run: it has ended, and its group is not just being
   * ended.
   */
  #release(): void {
    if (this.returncode === undefined || this.#isBeingEnded) return;
    deleteLiving(this);
    if (this.hasOutputEnded) dependents.delete(this);
  }
}

/**
 * Seconds between SIGTERM and SIGKILL. Less than the grace period of a cancellation, which is 5.
 */
export const DEFAULT_KILL_DELAY = 3;

/**
 * Calls back once, in a later step, when the process has ended and its output has, or is quiet;
 * gives the way to stop that.
 */
export function whenDrained(child: Child, callback: () => void): () => void {
  let timer: HostTimer | undefined;
  let seen = 0;
  let isStopped = false;
  const stop = (): void => {
    isStopped = true;
    stopWatching();
    timer?.clear();
  };
  const finish = (): void => {
    stop();
    callback();
  };
  const look = (): void => {
    // What has come while this thread was busy is read before the next macrotask.
    realHost.macrotask(() => {
      if (isStopped) return;
      const read = bytesRead(child);
      if (read === seen) finish();
      else arm(read);
    });
  };
  const arm = (read: number): void => {
    seen = read;
    timer = realHost.setTimer(realHost.now() + QUIET_SECONDS, look);
  };
  const check = (): void => {
    if (child.returncode === undefined || isStopped) return;
    if (child.hasOutputEnded) finish();
    else if (timer === undefined) arm(bytesRead(child));
  };
  const stopWatching = child.watch(check);
  if (child.returncode !== undefined) realHost.macrotask(check);
  return stop;
}

function bytesRead({ host: { stdout, stderr } }: Child): number {
  const read = (output: Readable | null): number =>
    (output as { bytesRead?: number } | null)?.bytesRead ?? 0; // pipes of children are sockets
  return read(stdout) + read(stderr);
}
