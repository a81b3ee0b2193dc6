// The same with the cancellation of Bluebird. A cancelled promise of Bluebird never settles; that
// it is done is known when its `finally` has run.

import Bluebird from "bluebird";
import { mix, type Workload } from "../../workload.ts";

Bluebird.config({ cancellation: true });

export const workload: Workload = ({ tasks }) => {
  let checksum = 0;
  let left = tasks;
  const joined = Promise.withResolvers<void>();
  const block = (task: number): Bluebird<never> =>
    new Bluebird<never>((_resolve, _reject, onCancel) => {
      onCancel?.(() => {}); // where the program would withdraw what it waits for
    }).finally(() => {
      checksum = (checksum + task) | 0;
      if (--left === 0) joined.resolve();
    });
  const blocked = Array.from({ length: tasks }, (_, task) => block(task));

  return async () => {
    for (const promise of blocked) promise.cancel();
    await joined.promise;
    return mix(checksum, blocked.filter((promise) => promise.isCancelled()).length);
  };
};
