/**
 * Who gets the signals of the process. They end a run: the first cancels main, a second ends the process at once. A signal
 * that somebody receives with `signals` (signal-stream.ts) is theirs alone for as long as they do.
 *
 * Invariant: a signal has one listener of ours for all its receivers, and it is there iff there is a receiver.
 */

import { runInRoot } from "../kernel/context.ts";
import { killDependents } from "../kernel/dependents.ts";
import { argumentError } from "../kernel/errors.ts";
import { realHost } from "../kernel/host.ts";

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
  const wrong = all.find((name) => typeof name !== "string" || !(name in SIGNAL_NUMBERS));
  if (wrong === undefined && Array.isArray(names)) return;
  const known = Object.keys(SIGNAL_NUMBERS).join(", ");
  const cure =
    wrong === "SIGKILL" || wrong === "SIGSTOP" ? "No process can catch that one" : undefined;
  throw argumentError(api, `${expected} of ${known}`, wrong ?? names, cure);
}

/** Whoever receives signals with `signals`. */
export interface SignalReceiver {
  received(name: SignalName): void;
}

interface Reception {
  readonly receivers: Set<SignalReceiver>;
  readonly listener: () => void;
}

const receptions: Map<SignalName, Reception> = new Map();
/** The watch of the outermost run. */
let watching: SignalWatch | undefined;

/** From now on `receiver` is told of each of the signals `names`. */
export function receiveSignals(names: readonly SignalName[], receiver: SignalReceiver): void {
  for (const name of names) {
    const reception = receptions.get(name) ?? listenTo(name);
    reception.receivers.add(receiver);
  }
}

/** Ends that. `unread` are signals it was told of and nobody looked at: they go to `run`, if it would have had them. */
export function stopReceiving(
  names: readonly SignalName[],
  receiver: SignalReceiver,
  unread: readonly SignalName[],
): void {
  for (const name of names) {
    const reception = receptions.get(name);
    reception?.receivers.delete(receiver);
    if (reception === undefined || reception.receivers.size > 0) continue;
    receptions.delete(name);
    process.off(name, reception.listener);
    if (unread.includes(name)) watching?.take(name);
  }
}

function listenTo(name: SignalName): Reception {
  const receivers = new Set<SignalReceiver>();
  const listener = (): void => {
    for (const receiver of [...receivers]) receiver.received(name);
  };
  // The handle that the host makes for it keeps the context it is made in.
  runInRoot(() => process.on(name, listener));
  const reception = { receivers, listener };
  receptions.set(name, reception);
  return reception;
}

/**
 * Listens to `names` until it is stopped. A signal that the program listens to itself is the program's; one that it receives
 * with `signals` is so for that long.
 */
export class SignalWatch {
  readonly #listeners: Map<SignalName, () => void> = new Map();
  readonly #onSignal: (name: SignalName) => void;
  #received: SignalName | undefined = undefined;

  constructor(names: readonly SignalName[], onSignal: (name: SignalName) => void) {
    this.#onSignal = onSignal;
    if (typeof process === "undefined") return;
    for (const name of names) {
      const ours = receptions.has(name) ? 1 : 0;
      if (process.listenerCount(name) > ours) continue;
      const listener = (): void => {
        // While the run is ending, nobody else decides what a second signal means.
        if (this.#received !== undefined || !receptions.has(name)) this.take(name);
      };
      this.#listeners.set(name, listener);
      process.on(name, listener);
    }
    if (names.length > 0) watching = this;
  }

  /** Acts on a signal, if it is one of this watch. */
  take(name: SignalName): void {
    if (!this.#listeners.has(name)) return;
    if (this.#received !== undefined) this.#die(name);
    else {
      this.#received = name;
      this.#onSignal(name);
    }
  }

  stop(): void {
    for (const [name, listener] of this.#listeners) process.off(name, listener);
    this.#listeners.clear();
    if (watching === this) watching = undefined;
  }

  /** Ends the process by the signal that came, if one came; then it never returns. */
  async endProcess(): Promise<void> {
    if (this.#received === undefined) return;
    this.#die(this.#received);
    await new Promise<never>(() => {});
  }

  /** Dies by the signal itself, not by an exit code that looks like it: shells and supervisors tell the difference. */
  #die(name: SignalName): void {
    this.stop();
    killDependents();
    const reception = receptions.get(name);
    if (reception !== undefined) process.off(name, reception.listener); // else it would be caught
    process.exitCode = SIGNAL_EXIT_BASE + SIGNAL_NUMBERS[name];
    process.kill(process.pid, name);
    // Where a process cannot kill itself by that signal, the code has to do.
    realHost.setTimer(realHost.now() + 0.1, () => process.exit());
  }
}
