/**
 * What a program holds outside its loop that must not outlive its run: child processes, sockets. A
 * run ends what is left on its loop when its tasks have ended; a process that dies by a second
 * signal has no time for that, and kills.
 */

export interface Dependent {
  /** The loop of its run: an object to compare with, nothing more. */
  readonly loop: object;
  /** What reports call it. */
  describe(): string;
  /** Ends it by force; resolves when it is gone. Never rejects. */
  end(): Promise<void>;
  /** Ends it in the call, as well as that goes: nothing runs any more after it. */
  kill?(): void;
}

/**
 * All that have not ended, of all loops. The code that opens one adds it, and takes it out when it
 * is gone.
 */
export const dependents: Set<Dependent> = new Set();

/** Those of one loop. */
export function dependentsOf(loop: object): Dependent[] {
  return [...dependents].filter((dependent) => dependent.loop === loop);
}

/** Our listeners that kill children on a fatal signal. They do not count as the program's own. */
export const deathListeners: WeakSet<object> = new WeakSet();

/** Before the process dies. */
export function killDependents(): void {
  for (const dependent of dependents) dependent.kill?.();
}
