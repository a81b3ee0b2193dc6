/**
 * Passes on the signals of the process. They end the runs, even if other code listens to them: the
 * first signal cancels the mains, a second one ends the process at once. While a program receives a
 * signal with `signals` (signal-stream.ts), the signal goes there alone.
 *
 * Other listeners do not keep a signal from us. Node has many where Python has one handler, and
 * most of them are there to clean up at the end: without our listener nothing would end the
 * process.
 *
 * Invariants: a signal has one listener of ours for all its receivers, which is there as long as
 * there is a receiver; and one for all runs, which is there as long as one of them has that signal.
 * Which of them gets a signal is decided when it comes.
 */

import { advice, argumentError } from "../errors/errors.ts";
import { deathListeners, killDependents } from "../interop/dependents.ts";
import { realHost } from "../kernel/host.ts";
import { runInRoot } from "../ports/context-storage.ts";
import { turnOf } from "./shutdown.ts";

/** The signals that a program can answer. */
export type SignalName =
  | "SIGINT"
  | "SIGTERM"
  | "SIGHUP"
  | "SIGQUIT"
  | "SIGBREAK"
  | "SIGUSR1"
  | "SIGUSR2"
  | "SIGALRM"
  | "SIGCONT"
  | "SIGPIPE"
  | "SIGTSTP"
  | "SIGWINCH";

/**
 * Seconds in which one Ctrl-C may come twice: from the terminal, and from a runner of scripts that
 * passes it on.
 */
const TWICE_SECONDS = 0.5;
/**
 * Seconds in which one Ctrl-C may come any number of times, through several runners of scripts. No
 * hand is so fast.
 */
const BURST_SECONDS = 0.1;

/** Seconds without a turn of the host that a run knows of, after which its end waits for one. */
const UNHEARD_SECONDS = 0.01;

/** As shells tell it. Numbers differ between systems, and not every system has all of them. */
const exitCodeOf = (name: SignalName): number =>
  128 + process.getBuiltinModule("node:os").constants.signals[name];

const KNOWN: readonly SignalName[] = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGUSR1",
  "SIGUSR2",
  "SIGPIPE",
  "SIGALRM",
  "SIGTERM",
  "SIGCONT",
  "SIGTSTP",
  "SIGBREAK",
  "SIGWINCH",
];

/**
 * @throws TypeError unless `names` is an array of signals that a process can listen to; `expected`
 * names the argument.
 */
export function checkSignalNames(api: string, expected: string, names: unknown): void {
  const all: SignalName[] = Array.isArray(names) ? names : [names];
  const place = all.findIndex((name) => !KNOWN.includes(name));
  if (place === -1 && Array.isArray(names)) return;
  const wrong: unknown = all.at(place); // -1: a name alone, without an array
  const cure =
    wrong === "SIGKILL" || wrong === "SIGSTOP" ? advice("No process can catch that one") : "";
  throw argumentError(api, `${expected} of ${KNOWN.join(", ")}`, wrong, cure);
}

/** A signal that came. */
export interface Delivery {
  readonly name: SignalName;
  /** Those of its name that were not read yet: reading one takes it out. */
  readonly unread: Set<Delivery>;
}

/** What receives signals with `signals`. */
export interface SignalReceiver {
  received(delivery: Delivery): void;
}

interface Reception {
  readonly receivers: Set<SignalReceiver>;
  readonly unread: Set<Delivery>;
  readonly listener: () => void;
}

const receptions: Map<SignalName, Reception> = new Map();

/** From now on `receiver` is told of each of the signals `names`. */
export function receiveSignals(names: readonly SignalName[], receiver: SignalReceiver): void {
  for (const name of names) {
    const reception = receptions.get(name) ?? listenTo(name);
    reception.receivers.add(receiver);
  }
}

/**
 * Stops telling `receiver`. When the last receiver is gone, signals that none of them has read go
 * to the runs, if these listen to them.
 */
export function stopReceiving(names: readonly SignalName[], receiver: SignalReceiver): void {
  for (const name of names) {
    const reception = receptions.get(name);
    reception?.receivers.delete(receiver);
    if (reception === undefined || reception.receivers.size > 0) continue;
    receptions.delete(name);
    process.off(name, reception.listener);
    if (reception.unread.size > 0) take(name);
  }
}

function listenTo(name: SignalName): Reception {
  const receivers = new Set<SignalReceiver>();
  const unread = new Set<Delivery>();
  const listener = (): void => {
    const delivery: Delivery = { name, unread };
    unread.add(delivery);
    for (const receiver of [...receivers]) receiver.received(delivery);
  };
  // The handle that the host makes for it keeps the context it is made in.
  runInRoot(() => process.on(name, listener));
  const reception = { receivers, unread, listener };
  receptions.set(name, reception);
  return reception;
}

/** The runs that have signals, and have not ended. */
const watches: Set<SignalWatch> = new Set();
/** For each signal that one of them has. */
const listeners: Map<SignalName, () => void> = new Map();

/**
 * The signal that came, as long as a run that was told of it has not ended, or the process is to
 * end by it.
 */
interface Ending {
  readonly name: SignalName;
  readonly at: number;
  /** True once it has come a second time, as one Ctrl-C does under a runner of scripts. */
  cameTwice: boolean;
}

let ending: Ending | undefined;
/** When a run has waited for a turn of the host last. */
let turnedAt: number = /* @__PURE__ */ realHost.now();
/** True once a run has ended by it. */
let isDying = false;

/** What has the signals of a run, or of a `Runner`. */
export interface SignalTarget {
  signalled(name: SignalName): void;
  /** True while it runs nothing: then a signal with other listeners is left to them. */
  readonly isAtRest: boolean;
}

/** The signals of one run, or of a `Runner` from its first run on. */
export class SignalWatch {
  readonly names: ReadonlySet<SignalName>;
  /** True once it was told of a signal. */
  isTold = false;
  readonly #target: SignalTarget;

  constructor(names: readonly SignalName[], target: SignalTarget) {
    this.names = new Set(typeof process === "undefined" ? [] : names);
    this.#target = target;
    if (this.names.size === 0) return;
    watches.add(this);
    for (const name of this.names) {
      if (listeners.has(name)) continue;
      const listener = (): void => heard(name);
      listeners.set(name, listener);
      // First: whatever the others do, the runs are told.
      runInRoot(() => process.prependListener(name, listener));
    }
  }

  /**
   * The process may be about to end, and would not wait for a run that begins now and does not
   * know.
   */
  catchUp(): void {
    if (isDying && ending !== undefined && this.names.has(ending.name)) this.tell(ending.name);
  }

  /** Whether a signal that has come is for it. */
  wants(name: SignalName): boolean {
    return this.names.has(name) && !(this.#target.isAtRest && isOfProgram(name));
  }

  tell(name: SignalName): void {
    this.isTold = true;
    this.#target.signalled(name);
  }

  /**
   * Lets a signal come that was sent while the program computed. The host tells of signals between
   * turns, and only those that still listen. Without this a program of many runs that compute, and
   * wait for nothing, could not be stopped by Ctrl-C. Two turns: in the first one the host may be
   * busy with what had come before the signal.
   */
  async hear(): Promise<void> {
    if (this.names.size === 0 || realHost.now() - turnedAt < UNHEARD_SECONDS) return;
    for (let turn = 0; turn < 2; turn++) await turnOf(realHost);
    turnedAt = realHost.now();
  }

  /** A run has ended although it was told of a signal, and its `Runner` goes on. */
  survive(): void {
    this.isTold = false;
    endedOne();
  }

  /**
   * The run has ended: by the signal, if it `isEnded`. Then this never resolves: the process ends
   * by it, too, when the other runs that were told have ended.
   */
  async stop(isEnded: boolean): Promise<void> {
    if (!watches.delete(this)) return;
    for (const [name, listener] of listeners) {
      if (isWatched(name)) continue;
      listeners.delete(name);
      process.off(name, listener);
    }
    const isEndedByIt = this.isTold && isEnded;
    isDying ||= isEndedByIt;
    endedOne();
    if (isEndedByIt) await new Promise<never>(() => {});
  }
}

/**
 * One that was told has ended; the last one ends the process, if one of them has ended by the
 * signal.
 */
function endedOne(): void {
  if (ending === undefined || [...watches].some(({ isTold }) => isTold)) return;
  if (isDying) endBy(ending.name);
  else ending = undefined;
}

function isWatched(name: SignalName): boolean {
  return [...watches].some(({ names }) => names.has(name));
}

/** True if the program listens to it by its own means, or what it has loaded does. */
function isOfProgram(name: SignalName): boolean {
  const ours = new Set<unknown>([receptions.get(name)?.listener, listeners.get(name)]);
  return process
    .listeners(name)
    .some((listener) => !deathListeners.has(listener) && !ours.has(listener));
}

function heard(name: SignalName): void {
  // While runs are ending, no receiver decides what a second signal means.
  if (ending !== undefined || !receptions.has(name)) take(name);
}

/** The first signal ends the runs that have it, the second one the process. */
function take(name: SignalName): void {
  if (ending === undefined) {
    const wanting = [...watches].filter((watch) => watch.wants(name));
    if (wanting.length === 0) return;
    ending = { name, at: realHost.now(), cameTwice: false };
    for (const watch of wanting) watch.tell(name);
  } else if (isWatched(name) && !isSameAgain(ending, name)) {
    realHost.report(
      `asyncio: ended at once by a second ${name}${advice("Not everything was cleaned up")}`,
    );
    die(name);
  }
}

/** Whether a signal that comes while the first one ends the program is that one once more. */
function isSameAgain(first: Ending, name: SignalName): boolean {
  const seconds = realHost.now() - first.at;
  if (name !== first.name || seconds > TWICE_SECONDS) return false;
  if (seconds > BURST_SECONDS && first.cameTwice) return false;
  first.cameTwice = true;
  return true;
}

/**
 * Everything has been cleaned up. Where others listen, too, they have had the signal, and would
 * keep it from ending the process.
 */
function endBy(name: SignalName): void {
  if (isOfProgram(name)) process.exit(exitCodeOf(name));
  die(name);
}

/**
 * Dies by the signal itself, not by an exit code that looks like it: shells and supervisors tell
 * the difference.
 */
function die(name: SignalName): void {
  killDependents();
  // Else it would be caught. One by one: Deno forgets its own part of a listener in no other way.
  for (const listener of process.listeners(name)) process.off(name, listener);
  process.exitCode = exitCodeOf(name);
  process.kill(process.pid, name);
  // Where a process cannot kill itself by that signal, the code has to do.
  realHost.setTimer(realHost.now() + 0.1, () => process.exit());
}
