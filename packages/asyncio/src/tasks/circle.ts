/** Circles of tasks that wait for each other, as far as their waits know whom they depend on. */

import type { Task } from "../kernel/task.ts";

/**
 * Tasks each of which waits for the next one, the first of them again at the end; empty if there is
 * no such circle.
 */
export function circleAmong(tasks: readonly Task<unknown>[]): Task<unknown>[] {
  const places = new Map<Task<unknown>, number>(); // in the path; -1 once all that a task waits for was followed
  for (const start of tasks) {
    const path = places.has(start) ? [] : [{ task: start, rest: holdersOf(start) }];
    places.set(start, places.get(start) ?? 0);
    for (let step = path.at(-1); step !== undefined; step = path.at(-1)) {
      const next = step.rest.pop();
      const place = next === undefined ? undefined : places.get(next);
      if (next === undefined) {
        places.set(step.task, -1);
        path.pop();
      } else if (place === undefined) {
        places.set(next, path.length);
        path.push({ task: next, rest: holdersOf(next) });
      } else if (place >= 0) return [...path.slice(place).map(({ task }) => task), next];
    }
  }
  return [];
}

/** The line of a report; none of a task that waits for itself, which is described so already. */
export function circleInWords(names: readonly string[]): string[] {
  return names.length > 2 ? [`They wait for each other in a circle: ${names.join(" -> ")}`] : [];
}

/** Last first: the walk takes them from the end. */
function holdersOf(task: Task<unknown>): Task<unknown>[] {
  const waits = task.scope.parkedWaits();
  return waits.flatMap((wait) => [...wait.waitsOn()]).reverse();
}
