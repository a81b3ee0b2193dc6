// `run` and `next` of a stream are joins: a cancellation goes to the job, and the call ends when
// the job has. `map` calls `run` by `mapConcurrent`, and `submit` gives a task: both have this
// suite elsewhere. `shutdown` ends the executor also where it is cancelled (threads.test.ts).

import assert from "node:assert/strict";
import { InlineExecutor, module } from "../../src/executors.ts";
import { conforms, conformsJoin, Gate } from "../conformance.ts";
import { numberOf } from "./conformance-jobs.ts";
import "./leftovers.ts";

const jobs = module<typeof import("./conformance-jobs.ts")>(
  new URL("./conformance-jobs.ts", import.meta.url),
);
await InlineExecutor.load(jobs);

conformsJoin("executor.run", async (work) => {
  const executor = new InlineExecutor({ name: "inline" });
  let value: unknown; // what is copied on its way would not be the same
  const number = numberOf(async () => {
    value = await work();
  });
  await executor.run(jobs.perform, number);
  return value;
});

conforms("next of executor.stream", { wakes: "own", cancellationWins: true }, () => {
  const executor = new InlineExecutor({ name: "inline" });
  const gate = new Gate<void>();
  const items = executor.stream(
    jobs.performAndTell,
    numberOf(() => gate.pass()),
  );
  return {
    begin: () => items.next().then(({ value }) => value),
    complete() {
      gate.open(undefined);
      return "told";
    },
    untouched: () => assert.equal(executor.stats().running, 0),
  };
});
