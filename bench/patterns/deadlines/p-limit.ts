// p-limit knows no deadlines and no cancellation. By hand: each job has a signal, which aborts when
// all are to end, or when its own time is up, and its result is not waited for any longer.

import pLimit from "p-limit";
import { checksumOf, itemsOf, job, limit } from "../jobs/stage.ts";
import type { Work } from "../measure.ts";
import { seconds } from "./stage.ts";

async function underSignal<T>(all: AbortSignal, start: (signal: AbortSignal) => Promise<T>) {
  const controller = new AbortController();
  const { signal } = controller;
  const forward = (): void => controller.abort(all.reason);
  all.addEventListener("abort", forward, { once: true });
  const timer = setTimeout(() => controller.abort(new Error("too late")), seconds * 1000);
  try {
    return await new Promise<T>((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      start(signal).then(resolve, reject);
    });
  } finally {
    clearTimeout(timer);
    all.removeEventListener("abort", forward);
  }
}

export const work: Work = async (count) => {
  const { signal } = new AbortController();
  const limited = pLimit(limit);
  const start = (item: number) => limited(() => underSignal(signal, () => job(item)));
  return checksumOf(await Promise.all(itemsOf(count).map(start)));
};
