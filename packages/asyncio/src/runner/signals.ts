/**
 * Who gets the signals of the process. They end the runs: the first cancels the mains, a second ends the process at once. A
 * signal that somebody receives with `signals` (signal-stream.ts) is theirs alone for as long as they do.
 *
 * Invariants: a signal has one listener of ours for all its receivers, and it is there iff there is a receiver; and one for
 * all runs, which is there iff one of them has that signal. Whose it is is decided when it comes.
 */

import { runInRoot } from "../kernel/context.ts";
import { argumentError } from "../kernel/errors.ts";
import { realHost } from "../kernel/host.ts";
import { deathListeners, killDependents } from "../ports/dependents.ts";

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

/** What shells add to the number of the signal that ended a process. */
const SIGNAL_EXIT_BASE = 128;
const SIGNAL_NUMBERS: Record<SignalName, number> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGUSR1: 10,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGCONT: 18,
  SIGTSTP: 20,
  SIGBREAK: 21,
  SIGWINCH: 28,
};

/** @throws TypeError unless `names` is an array of signals that a process can listen to; `expected` names the argument. */
export function checkSignalNames(api: string, expected: string, names: unknown): void {
  const all = Array.isArray(names) ? names : [names];
  const wrong = all.find(
    (name) => typeof name !== "string" || !Object.hasOwn(SIGNAL_NUMBERS, name),
  );
  if (wrong === undefined && Array.isArray(names)) return;
  const known = Object.keys(SIGNAL_NUMBERS).join(", ");
  const cure =
    wrong === "SIGKILL" || wrong === "SIGSTOP" ? "No process can catch that one" : undefined;
  throw argumentError(api, `${expected} of ${known}`, wrong ?? names, cure);
}

/** A signal that came. */
export interface Delivery {
  readonly name: SignalName;
  /** Those of its name that nobody has read: whoever reads it takes it out. */
  readonly unread: Set<Delivery>;
}

/** Whoever receives signals with `signals`. */
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

/** Ends that. When the last is gone, signals that none of them has looked at go to the runs, if they would have had them. */
export function stopReceiving(names: readonly SignalName[], receiver: SignalReceiver): void {
  for (const name of names) {
    const reception = receptions.get(name);
    reception?.receivers.delete(receiver);
    if (reception === undefined || reception.receivers.size > 0) continue;
    receptions.delete(name);
    process.off(name, reception.listener);
    if (reception.unread.size > 0 && !isOfProgram(name)) take(name);
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
/** The signal that came, as long as a run that was told of it has not ended, or the process is to end by it. */
let ending: SignalName | undefined;
/** True once a run has ended by it. */
let isDying = false;

/** The signals of one run. */
export class SignalWatch {
  readonly names: ReadonlySet<SignalName>;
  /** True once it was told of a signal. */
  isTold = false;
  readonly #onSignal: (name: SignalName) => void;

  constructor(names: readonly SignalName[], onSignal: (name: SignalName) => void) {
    this.names = new Set(typeof process === "undefined" ? [] : names);
    this.#onSignal = onSignal;
    if (this.names.size === 0) return;
    watches.add(this);
    for (const name of this.names) {
      if (listeners.has(name)) continue;
      const listener = (): void => heard(name);
      listeners.set(name, listener);
      // First, to find the listeners of the program that listen once.
      runInRoot(() => process.prependListener(name, listener));
    }
    // The process is about to end, and would not wait for a run that does not know.
    if (isDying && ending !== undefined && this.names.has(ending)) this.tell(ending);
  }

  tell(name: SignalName): void {
    this.isTold = true;
    this.#onSignal(name);
  }

  /**
   * The run has ended: by the signal, if it `isEnded`. Then this never resolves: the process ends by it, too, when the other
   * runs that were told have ended.
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
    const isLast = ![...watches].some(({ isTold }) => isTold);
    if (isLast && isDying && ending !== undefined) die(ending);
    else if (isLast) ending = undefined;
    if (isEndedByIt) await new Promise<never>(() => {});
  }
}

function isWatched(name: SignalName): boolean {
  return [...watches].some(({ names }) => names.has(name));
}

/** True iff the program listens to it by its own means: then it is the program's. */
function isOfProgram(name: SignalName): boolean {
  const ours = [receptions, listeners].filter((known) => known.has(name));
  const all = process.listeners(name).filter((listener) => !deathListeners.has(listener));
  return all.length > ours.length;
}

function heard(name: SignalName): void {
  // While runs are ending, no receiver decides what a second signal means.
  const isReceived = ending === undefined && receptions.has(name);
  if (!isReceived && !isOfProgram(name)) take(name);
}

/** The first signal ends the runs that have it, the second one the process. */
function take(name: SignalName): void {
  if (!isWatched(name)) return;
  if (ending !== undefined) {
    die(name);
    return;
  }
  ending = name;
  for (const watch of [...watches]) if (watch.names.has(name)) watch.tell(name);
}

/** Dies by the signal itself, not by an exit code that looks like it: shells and supervisors tell the difference. */
function die(name: SignalName): void {
  killDependents();
  // Else it would be caught. One by one: Deno forgets its own part of a listener in no other way.
  for (const listener of process.listeners(name)) process.off(name, listener);
  process.exitCode = SIGNAL_EXIT_BASE + SIGNAL_NUMBERS[name];
  process.kill(process.pid, name);
  // Where a process cannot kill itself by that signal, the code has to do.
  realHost.setTimer(realHost.now() + 0.1, () => process.exit());
}
