// Which processes are left, as the system sees it.

import { readFileSync } from "node:fs";

/** Whether the process runs. One that has ended, and that nobody has asked for yet, does not. */
export function isAlive(pid: number): boolean {
  try {
    const [, state] = /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
    return state !== "Z" && state !== "X";
  } catch {
    return false;
  }
}

/** Waits until the system has taken the processes away that it was told to kill: it does that in its own time. */
export async function allGone(...pids: number[]): Promise<void> {
  const giveUp = performance.now() + 3000;
  while (pids.some(isAlive)) {
    if (performance.now() > giveUp) throw new Error(`still alive: ${pids.filter(isAlive)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The id of the process group. */
export function groupOf(pid: number): number {
  const [, group = ""] = /\) \S \d+ (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
  return Number(group);
}
