// R15: past the grace period each operation rejects. Code that swallows all of that is reported.

import assert from "node:assert/strict";
import { CancelScope, createTask, Event, type EventLoop, sleep, wait } from "../../src/index.ts";
import { onBothLoops } from "../both-loops.ts";

async function swallow(count: number): Promise<void> {
  for (let caught = 0; caught < count; caught++) await sleep(3600).catch(() => {});
}

function messagesOf(loop: EventLoop): string[] {
  const messages: string[] = [];
  loop.setExceptionHandler((_loop, { message }) => messages.push(message));
  return messages;
}

onBothLoops("a task that swallows for ever is left suspended, and ends cancelled", async (loop) => {
  const messages = messagesOf(loop);
  const task = createTask(() => swallow(Number.POSITIVE_INFINITY), {
    name: "ann",
    cancelGrace: 0.01,
  });
  await sleep(0);
  task.cancel();
  await wait([task]);

  assert.ok(task.cancelled());
  assert.equal(messages.length, 1);
  assert.match(String(messages), /^task "ann" has swallowed 10000 .* and is left suspended\./);
});

onBothLoops("a scope in a task gets one more in each wait, until its body ends", async (loop) => {
  const messages = messagesOf(loop);
  const scope = new CancelScope({ cancelGrace: 0 });
  loop.callSoon(() => scope.cancel());
  await scope.run(() => swallow(10_100));

  assert.ok(scope.cancelCalled);
  assert.equal(messages.length, 1);
  assert.match(
    String(messages),
    /^cancel scope in task ".*" has swallowed 10000 .* in each wait\./,
  );
});

onBothLoops("a branch that outlives its scope is left suspended without a word", async (loop) => {
  const messages = messagesOf(loop);
  const hasSwallowed = new Event();
  let caught = 0;
  const branch = async (): Promise<void> => {
    for (;;)
      await sleep(3600).catch(() => {
        if (++caught === 10_001) hasSwallowed.set(); // <- the first was cut off, and then it is counted
      });
  };
  await new CancelScope().run(async () => void branch());
  await hasSwallowed.wait();
  for (let turns = 20; turns > 0; turns--) await new Promise(setImmediate);

  assert.equal(caught, 10_001);
  assert.ok(!messages.some((message) => message.includes("swallowed")));
});
