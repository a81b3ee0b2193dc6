// The same with the cancellation of Bluebird. A cancelled promise of Bluebird never settles; that
// it is done is known when its `finally` has run.

import Bluebird from "bluebird";
import { mix, type Workload } from "../../workload.ts";

Bluebird.config({ cancellation: true });

export const workload: Workload = ({ tasks, repeats }) => {
  let checksum = 0;
  let left = 0;
  let joined = Promise.withResolvers<void>();
  const block = (task: number): Bluebird<never> =>
    new Bluebird<never>((_resolve, _reject, onCancel) => {
      onCancel?.(() => {}); // where the program would withdraw what it waits for
    }).finally(() => {
      checksum = (checksum + task) | 0;
      if (--left === 0) joined.resolve();
    });
  const rounds = Array.from({ length: repeats }, () => {
    return Array.from({ length: tasks }, (_, task) => block(task));
  });

  return async () => {
    let cancelled = 0;
    for (const blocked of rounds) {
      left = tasks;
      joined = Promise.withResolvers();
      for (const promise of blocked) promise.cancel();
      await joined.promise;
      cancelled += blocked.filter((promise) => promise.isCancelled()).length;
    }
    return mix(checksum, cancelled);
  };
};
