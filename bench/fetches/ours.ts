// With asyncio-ts: a bounded map, a timeout around each, a scope around all of it.

import { CancelledError, CancelScope, fetch, mapConcurrent, run, timeout } from "asyncio-ts";
import { deadlineSeconds, limit, perform } from "./stage.ts";

await run(() =>
  perform((urls, tally) => {
    const load = async (url: string): Promise<void> => {
      try {
        await timeout(deadlineSeconds, async () => {
          const response = await fetch(url);
          await response.text();
          if (!response.ok) throw new Error(`status ${response.status}`);
        });
        tally.fetched();
      } catch (error) {
        if (error instanceof CancelledError) throw error;
        tally.failed();
      }
    };
    const scope = new CancelScope();
    const ended = scope.run(async () => {
      for await (const _ of mapConcurrent(urls, load, { limit }));
    });
    return { cancel: () => scope.cancel(), ended };
  }),
);
