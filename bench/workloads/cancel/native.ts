// The same with one AbortController for each async function: the way to cancel them one by one.
// (One signal for all of them would be quadratic: the host looks through its listeners when one is
// added.)

import { mix, type Workload } from "../../workload.ts";

/** Waits for something that never comes. */
function nothing(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

export const workload: Workload = ({ tasks, repeats }) => {
  let checksum = 0;
  const block = async (task: number, signal: AbortSignal): Promise<void> => {
    try {
      await nothing(signal);
    } finally {
      checksum = (checksum + task) | 0;
    }
  };
  const rounds = Array.from({ length: repeats }, () => {
    const controllers = Array.from({ length: tasks }, () => new AbortController());
    return { controllers, blocked: controllers.map(({ signal }, task) => block(task, signal)) };
  });

  return async () => {
    let cancelled = 0;
    for (const { controllers, blocked } of rounds) {
      for (const controller of controllers) controller.abort();
      const outcomes = await Promise.allSettled(blocked);
      cancelled += outcomes.filter(
        ({ status, reason }: { status: string; reason?: unknown }) =>
          status === "rejected" && reason instanceof DOMException && reason.name === "AbortError",
      ).length;
    }
    return mix(checksum, cancelled);
  };
};
