// A group whose children all wait for something that never comes; the scope around it is cancelled
// once, and the group joins them when each has run its `finally`. Starting them is not timed.

import { CancelledError, CancelScope, Event, sleep, taskGroup } from "asyncio-ts";
import { mix, type Workload } from "../../workload.ts";

export const workload: Workload = async ({ tasks }) => {
  let checksum = 0;
  let cancelled = 0;
  const never = new Event();
  const block = async (task: number): Promise<void> => {
    try {
      await never.wait();
    } catch (error) {
      if (error instanceof CancelledError) cancelled++;
      throw error;
    } finally {
      checksum = (checksum + task) | 0;
    }
  };
  const scope = new CancelScope();
  const joined = scope.run(() =>
    taskGroup(async (group) => {
      for (let task = 0; task < tasks; task++) group.createTask(() => block(task));
    }),
  );
  await sleep(0); // now each of them waits

  return async () => {
    scope.cancel();
    await joined;
    return mix(checksum, cancelled);
  };
};
