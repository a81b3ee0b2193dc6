/** The signals that end a run: the first cancels main, a second ends the process at once. */

import { argumentError } from "../kernel/errors.ts";
import { realHost } from "../kernel/host.ts";

export type SignalName =
  | "SIGINT"
  | "SIGTERM"
  | "SIGHUP"
  | "SIGQUIT"
  | "SIGBREAK"
  | "SIGUSR1"
  | "SIGUSR2";

/** What shells add to the number of the signal that ended a process. */
const SIGNAL_EXIT_BASE = 128;
const SIGNAL_NUMBERS: Record<SignalName, number> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGUSR1: 10,
  SIGUSR2: 12,
  SIGTERM: 15,
  SIGBREAK: 21,
};

/** @throws TypeError unless `names` is an array of signals that a process can listen to. */
export function checkSignalNames(api: string, names: unknown): void {
  const all = Array.isArray(names) ? names : [names];
  const wrong = all.find((name) => typeof name !== "string" || !(name in SIGNAL_NUMBERS));
  if (wrong === undefined && Array.isArray(names)) return;
  const known = Object.keys(SIGNAL_NUMBERS).join(", ");
  throw argumentError(api, `\`signals\` to be false or an array of ${known}`, wrong ?? names);
}

/** Listens to `names` until it is stopped. A signal that the program listens to itself is the program's. */
export class SignalWatch {
  readonly #listeners: Map<SignalName, () => void> = new Map();
  #received: SignalName | undefined = undefined;

  constructor(names: readonly SignalName[], onSignal: (name: SignalName) => void) {
    if (typeof process === "undefined") return;
    for (const name of names) {
      if (process.listenerCount(name) > 0) continue;
      const listener = (): void => {
        if (this.#received !== undefined) this.#die(name);
        else {
          this.#received = name;
          onSignal(name);
        }
      };
      this.#listeners.set(name, listener);
      process.on(name, listener);
    }
  }

  stop(): void {
    for (const [name, listener] of this.#listeners) process.off(name, listener);
    this.#listeners.clear();
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
    process.exitCode = SIGNAL_EXIT_BASE + SIGNAL_NUMBERS[name];
    process.kill(process.pid, name);
    // Where a process cannot kill itself by that signal, the code has to do.
    realHost.setTimer(realHost.now() + 0.1, () => process.exit());
  }
}
