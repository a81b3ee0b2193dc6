/**
 * Knots: everyone who could end a wait waits for somebody who cannot go on either. A circle is the
 * simplest one. Where any one of several holders could end the wait, as in a pool, a circle through
 * one of them is not enough: all of them have to be stuck.
 *
 * A knot is only claimed of tasks that have exactly one wait and have never had branches side by
 * side: with two, one branch may give back what the other waits for. A branch in a bare foreign
 * await cannot be seen.
 */

import type { Scope } from "../kernel/scope.ts";
import type { Task } from "../kernel/task.ts";
import type { Wait } from "../kernel/wait.ts";

type AnyTask = Task<unknown>;

/** A subject of waits that any one of its `waitsOn` can end. Others need all of theirs. */
export interface AnyHolder {
  readonly needsOne: true;
  waitsOn(): AnyTask[];
}

/** What a task waits for. */
interface Need {
  readonly needsOne: boolean;
  readonly on: readonly AnyTask[];
}

/** The task whose only branch is the running code of `scope`: others can tie no knot. */
export function onlyBranchOf(scope: Scope): AnyTask | undefined {
  const { task } = scope;
  if (task === undefined || task.scope.parkedWaits(1).length > 0) return undefined;
  return hasBranches(scope) ? undefined : task;
}

/** Whether `task` can go on, or that cannot be known. */
export const canGoOn = (task: AnyTask): boolean => needOf(task) === undefined;

/**
 * The tasks of the knot that is tied when `task`, with its only branch, waits for one of `holders`,
 * itself first; undefined if somebody can go on.
 */
export function knotWith(task: AnyTask, holders: readonly AnyTask[]): AnyTask[] | undefined {
  const needs = new Map<AnyTask, Need>([[task, { needsOne: true, on: holders }]]);
  const found: AnyTask[] = [...holders];
  for (const one of found) {
    if (needs.has(one)) continue;
    const need = needOf(one);
    if (need !== undefined) {
      needs.set(one, need);
      found.push(...need.on);
    } else if (holders.includes(one)) return undefined;
  }
  // Whoever can go on lets others go on, until that changes nothing more.
  for (let before = -1; before !== needs.size; ) {
    before = needs.size;
    for (const [one, { needsOne, on }] of needs) {
      const isStuck = needsOne ? on.every((it) => needs.has(it)) : on.some((it) => needs.has(it));
      if (!isStuck || on.length === 0) needs.delete(one);
    }
  }
  return needs.has(task) ? [...needs.keys()] : undefined;
}

/** What `task` waits for, if that is one thing whose holders are known. */
function needOf(task: AnyTask): Need | undefined {
  if (task.done()) return undefined;
  const [wait, second] = task.scope.parkedWaits(2);
  if (wait === undefined || second !== undefined || !isParked(wait)) return undefined;
  if (hasBranches(wait.scope)) return undefined;
  const { needsOne } = wait.subject as Partial<AnyHolder>;
  return { needsOne: needsOne === true, on: [...wait.waitsOn()] };
}

function isParked(wait: Wait): boolean {
  return wait.state === "parked" && !wait.isForeign && typeof wait.subject !== "string";
}

/** Whether one of the scopes up to that of the task has had two branches at a time. */
function hasBranches(scope: Scope): boolean {
  for (let one: Scope | undefined = scope; one !== undefined; one = one.parent)
    if (one.cancelState?.hasBranches === true) return true;
  return false;
}
