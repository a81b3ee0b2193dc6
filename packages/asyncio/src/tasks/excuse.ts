/**
 * Errors that a call throws into code that may be foreign: an emitter, a timer of the host. If
 * nothing catches one, the library reports it and the process lives.
 */

interface HostProcess {
  nextTick(run: () => void): void;
  on(event: string, listener: (error: unknown) => void): void;
  off(event: string, listener: (error: unknown) => void): void;
  listenerCount(event: string): number;
}

const { process, setImmediate } = globalThis as unknown as {
  readonly process?: HostProcess;
  setImmediate(run: () => void): unknown; // taken at load: fake timers must not reach it
};

/** What was thrown since the host had its last turn, and its report. */
const excused: Map<unknown, () => void> = new Map();

/** Gives `error`, which is about to be thrown. If nothing catches it, `report` is called. */
export function excuse<E extends Error>(error: E, report: () => void): E {
  if (process === undefined) return error;
  if (excused.size === 0) {
    process.on("uncaughtException", uncaught);
    setImmediate(() => {
      excused.clear();
      process.off("uncaughtException", uncaught);
    });
  }
  excused.set(error, report);
  return error;
}

const uncaught = (error: unknown): void => {
  const report = excused.get(error);
  if (report !== undefined) report();
  else if (process !== undefined && process.listenerCount("uncaughtException") === 1) {
    process.off("uncaughtException", uncaught);
    process.nextTick(() => {
      throw error;
    });
  }
};
