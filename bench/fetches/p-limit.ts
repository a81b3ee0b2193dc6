// With p-limit, an AbortController for all of it, and a signal for the deadline of each.

import pLimit from "p-limit";
import { deadlineSeconds, limit, perform } from "./stage.ts";

await perform((urls, tally) => {
  const controller = new AbortController();
  const load = async (url: string): Promise<void> => {
    const signal = AbortSignal.any([
      controller.signal,
      AbortSignal.timeout(deadlineSeconds * 1000),
    ]);
    try {
      const response = await fetch(url, { signal });
      await response.text();
      if (!response.ok) throw new Error(`status ${response.status}`);
      tally.fetched();
    } catch {
      controller.signal.throwIfAborted();
      tally.failed();
    }
  };
  const limited = pLimit(limit);
  const ended = Promise.allSettled(urls.map((url) => limited(load, url)));
  return { cancel: () => controller.abort(), ended };
});
