// The timeout that also tells the body: through the signal of an AbortController.

import { mix, type Workload } from "../../workload.ts";

const delayMs = 60_000;

function withTimeout<T>(body: (signal: AbortSignal) => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const controller = new AbortController();
    const { signal } = controller;
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    const timer = setTimeout(() => controller.abort(new Error("it took too long")), delayMs);
    body(signal).then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
}

export const workload: Workload =
  ({ tasks, repeats }) =>
  async () => {
    let checksum = 0;
    const hurry = async (): Promise<void> => {
      for (let turn = 0; turn < repeats; turn++) {
        const value = await withTimeout(async () => turn);
        checksum = mix(checksum, value);
      }
    };
    await Promise.all(Array.from({ length: tasks }, hurry));
    return checksum;
  };
