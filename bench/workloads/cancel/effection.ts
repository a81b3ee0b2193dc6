// The same with Effection: tasks, halted one by one. A task that was halted has no outcome of its
// own, so what is counted is how many halts have ended.

import { createScope, type Operation, type Scope, suspend, type Task } from "effection";
import { mix, type Workload } from "../../workload.ts";

export const workload: Workload = ({ tasks }) => {
  let checksum = 0;
  function* block(task: number): Operation<void> {
    try {
      yield* suspend();
    } finally {
      checksum = (checksum + task) | 0;
    }
  }
  const [scope, destroy]: [Scope, () => PromiseLike<void>] = createScope();
  const blocked: Task<void>[] = [];
  for (let task = 0; task < tasks; task++) {
    const started = scope.run(() => block(task));
    started.catch(() => {}); // a halted task rejects for whoever awaits it
    blocked.push(started);
  }

  return async () => {
    const halts = await Promise.all(blocked.map((task) => task.halt()));
    await destroy();
    return mix(checksum, halts.length);
  };
};
