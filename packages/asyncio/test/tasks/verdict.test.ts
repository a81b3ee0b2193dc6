// Predicates that answer with a promise, which would always count as true; and lists of work whose
// results are of several kinds.

import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  asCompleted,
  Condition,
  requestScope,
  select,
  sleep,
  staggeredRace,
} from "../../src/index.ts";
import { retry, spaced, stream, Watch } from "../../src/patterns.ts";
import { onBothLoops } from "../both-loops.ts";

const refusal = {
  name: "TypeError",
  code: "ERR_ASYNCIO_INVALID_ARGUMENT",
  message: /expects a predicate that answers at once, got a promise\. A promise counts as true/,
};
const never = (async () => false) as unknown as () => boolean;
const fails = (async () => Promise.reject(new Error("of the predicate"))) as () => unknown;

describe("an async predicate is refused", () => {
  onBothLoops("by condition.waitFor, which gives the lock back", async () => {
    const condition = new Condition();

    await assert.rejects(
      condition.run(() => condition.waitFor(never)),
      refusal,
    );
    await assert.rejects(
      condition.run(() => condition.waitFor(fails)),
      refusal,
    );

    assert.equal(condition.locked(), false);
  });

  onBothLoops("by watch.until", async () => {
    await assert.rejects(new Watch(1).until(never), refusal);
  });

  onBothLoops("by schedule.whileError, and nothing is tried again", async () => {
    let calls = 0;
    const work = async () => {
      calls++;
      throw new Error("down");
    };

    await assert.rejects(retry(spaced(0).times(3).whileError(never), work), refusal);

    assert.equal(calls, 1);
  });
});

describe("what is given by mistake is refused in words that help", () => {
  onBothLoops("a predicate that is none", async () => {
    const condition = new Condition();
    const waiting = condition.run(() => condition.waitFor(5 as never));

    await assert.rejects(waiting, /`condition.waitFor` expects a predicate, got 5/);
  });

  onBothLoops("what a framework calls a request, in place of Node's", async () => {
    const reply = { raw: {} };
    const scope = requestScope({ request: {}, response: reply } as never, async () => 5);

    await assert.rejects(
      scope,
      /\. Pass Node's own: `\{ request: request\.raw, response: reply\.raw \}`/,
    );
  });

  onBothLoops("a function that makes no generator", async () => {
    const items = stream((async () => [1]) as never);

    const message = /`stream` expects a function that gives an iterable, got a promise/;
    await assert.rejects(items.toArray(), message);
  });

  onBothLoops("a bigint, which does not look like a number in the message", async () => {
    await assert.rejects(sleep(1n as never), /expects a delay in seconds, got 1n$/);
  });

  onBothLoops("a function as a case of select", async () => {
    const chosen = select({ work: (() => sleep(1)) as never });

    await assert.rejects(chosen, /got function work\. Make a task of it: `createTask/);
  });
});

describe("work whose results are of several kinds", () => {
  const work = [() => sleep(0.001, "text"), async () => 1];

  onBothLoops("asCompleted gives each as it ends", async () => {
    const results: (string | number)[] = [];
    for await (const task of asCompleted(work)) results.push(await task);

    assert.deepEqual(results, [1, "text"]);
  });

  onBothLoops("staggeredRace gives the first success", async () => {
    const [value, index] = await staggeredRace([async () => 1, async () => "text"], null);

    assert.deepEqual([value, index], [1, 0]);
  });
});
