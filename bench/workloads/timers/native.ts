// The timeout that most programs carry along: it rejects in time, and leaves the body running. One
// that tells the body through an AbortController costs several times as much.

import { mix, type Workload } from "../../workload.ts";

const delayMs = 60_000;

function withTimeout<T>(body: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("the body took too long")), delayMs);
    body().then(
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
