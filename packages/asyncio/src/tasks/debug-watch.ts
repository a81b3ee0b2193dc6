/**
 * What debug mode watches beside the loop, from the first run in debug mode to the end of the last.
 * What is to be watched says so when the program makes it: a program without it does not need the
 * code that watches.
 */

export interface Watch {
  start(): void;
  stop(): void;
}

const watches: Set<Watch> = new Set();
/** Runs in debug mode that have not ended. */
let runs = 0;

export function addWatch(watch: Watch): void {
  if (watches.has(watch)) return;
  watches.add(watch);
  if (runs > 0) watch.start();
}

/** Until the function that it gives is called. */
export function watchInDebugMode(): () => void {
  if (++runs === 1) for (const watch of watches) watch.start();
  return () => {
    if (--runs === 0) for (const watch of watches) watch.stop();
  };
}
