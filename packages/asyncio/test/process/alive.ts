// Which processes are left, as the system sees it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { run } from "../../src/index.ts";

/**
 * A test body with real processes, as main of a run of its own. After it no process, pipe, timer or
 * listener is left.
 */
export function real(body: () => Promise<void>): () => Promise<void> {
  return async () => {
    const before = await openResources();
    await run(body);
    assert.deepEqual(await openResources(), before);
  };
}

/**
 * What keeps this process busy, and its listeners, once the host has had its time to close what was
 * closed.
 */
async function openResources(): Promise<string[]> {
  for (let hops = 0; hops < 3; hops++) await new Promise((resolve) => setImmediate(resolve));
  const kinds = process.getActiveResourcesInfo().filter((kind) => kind !== "Immediate");
  const listeners = ["exit", "SIGTERM"].map((name) => `${name} ${process.listenerCount(name)}`);
  return [...kinds.sort(), ...listeners];
}

/** Whether the process runs. One that has ended, and that nobody has asked for yet, does not. */
export function isAlive(pid: number): boolean {
  try {
    const [, state] = /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
    return state !== "Z" && state !== "X";
  } catch {
    return false;
  }
}

/**
 * Waits until the system has taken the processes away that it was told to kill: it does that in its
 * own time.
 */
export async function allGone(...pids: number[]): Promise<void> {
  for (let looks = 0; pids.some(isAlive); looks++) {
    // Looks, and no seconds: on a busy machine the system takes longer, and so do they.
    if (looks === 2000) throw new Error(`still alive: ${pids.filter(isAlive)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The id of the process group. */
export function groupOf(pid: number): number {
  const [, group = ""] = /\) \S \d+ (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
  return Number(group);
}
