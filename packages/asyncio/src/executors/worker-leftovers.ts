/** A job owns what it has started: its outcome is sent when all of that has ended. */

import type { EventLoop } from "../kernel/loop.ts";
import { cancelLeftover } from "../tasks/leftovers.ts";

/** Seconds that tasks which a job has left behind have to end. */
const LEFTOVER_SECONDS = 5;

/** Cancels the tasks of the loop, and those that they start then, until there are none. */
export async function endLeftovers(loop: EventLoop): Promise<void> {
  for (let left = loop.tasks.toArray(); left.length > 0; left = loop.tasks.toArray()) {
    const ended = new Promise<boolean>((resolve) => {
      let missing = left.length;
      const timer = loop.callLater(LEFTOVER_SECONDS, () => resolve(false));
      const futureDone = (): void => {
        if (--missing > 0) return;
        timer.cancel();
        resolve(true);
      };
      for (const task of left) {
        cancelLeftover(task);
        task.listen({ futureDone });
      }
    });
    if (await ended) continue;
    for (const task of loop.tasks.toArray()) {
      const message = `${task.describe()} has not ended ${LEFTOVER_SECONDS} s after the job that has started it, and is left behind`;
      loop.callExceptionHandler({ message, task });
      task.abandon();
    }
  }
}
