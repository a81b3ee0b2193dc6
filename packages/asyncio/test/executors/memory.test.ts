// What a pool and one of its threads share, looked at from both sides.

import assert from "node:assert/strict";
import { test } from "node:test";
import { LAST_SEQ, nextSeq, SharedMemory, wordOf } from "../../src/executors/memory.ts";

/** A job on its way through the memory: what each side sees of it. */
function passJob(seq: number) {
  const pool = new SharedMemory();
  const thread = new SharedMemory(pool.buffer);
  pool.sent(seq);
  const before = pool.hasStarted(seq);
  const isStarted = thread.start(seq);
  pool.ask(seq);
  const isAsked = Atomics.load(thread.words, wordOf(seq)) === SharedMemory.asked(seq);
  thread.publish(seq, 0.5, "done");
  const results: unknown[] = [];
  pool.drain((...result) => results.push(result));
  return { before, isStarted, isAsked, isRevoked: pool.revoke(seq), results };
}

test("a long-lived pool numbers its jobs anew before a number does not fit any more", () => {
  const seen = { before: false, isStarted: true, isAsked: true, isRevoked: false };

  assert.deepEqual(passJob(LAST_SEQ), { ...seen, results: [[LAST_SEQ, 0.5, "done"]] });
  assert.equal(passJob(LAST_SEQ + 1).isStarted, false);
  assert.deepEqual([nextSeq(0), nextSeq(LAST_SEQ - 1), nextSeq(LAST_SEQ)], [1, LAST_SEQ, 1]);
});

test("results go round the ring in order, of all lengths", () => {
  const pool = new SharedMemory();
  const thread = new SharedMemory(pool.buffer);
  const sent: unknown[] = [];
  const received: unknown[] = [];
  for (let seq = 1; seq < 5000; seq++) {
    const value = seq % 3 === 0 ? seq : "x".repeat((seq * 37) % 513);
    if (thread.publish(seq, 0, value) === undefined) {
      pool.drain((...result) => received.push(result));
      assert.notEqual(thread.publish(seq, 0, value), undefined);
    }
    sent.push([seq, 0, value]);
  }
  pool.drain((...result) => received.push(result));

  assert.deepEqual(received, sent);
});
