// The time of those who have none of their own: the host's, or one that is moved by hand, by a
// millisecond at a time, as test frameworks do it.

import { mock } from "node:test";
import { setImmediate } from "node:timers/promises";

/** Runs `body` in the host's time, or in one that passes at once. `now` is in seconds. */
export async function inTime<T>(
  isVirtual: boolean,
  body: (now: () => number) => Promise<T>,
): Promise<T> {
  if (!isVirtual) return await body(() => performance.now() / 1000);
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  let isOver = false;
  const running = body(() => Date.now() / 1000).finally(() => {
    isOver = true;
  });
  while (!isOver) {
    await setImmediate(); // of before, so it is not mocked
    mock.timers.tick(1);
  }
  return await running;
}
