// What a pool and one of its threads share, looked at from both sides.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  LAST_SEQ,
  nextSeq,
  SharedMemory,
  SLOTS,
  slotOf,
  wordOf,
} from "../../src/executors/memory.ts";

/** A pool and a thread, each with its own view of the same memory. */
function bothSides() {
  const pool = new SharedMemory();
  return { pool, thread: new SharedMemory(pool.buffer) };
}

test("a job that was taken back never starts, and one that has started is not taken back", () => {
  const { pool, thread } = bothSides();
  const [first, second] = [nextSeq(1), nextSeq(2)];

  assert.deepEqual([pool.revoke(first), thread.start(first)], [true, false]);
  assert.deepEqual([thread.start(second), pool.revoke(second)], [true, false]);
  assert.deepEqual([pool.hasStarted(first), pool.hasStarted(second)], [false, true]);
  pool.ask(second);
  assert.equal(Atomics.load(thread.words, wordOf(second)), SharedMemory.asked(second));
});

test("a slot is used again while the thread still has jobs of it that were taken back", () => {
  const { pool, thread } = bothSides();
  const first = nextSeq(7);
  const second = nextSeq(first);
  const third = nextSeq(second);

  assert.deepEqual([pool.revoke(first), pool.revoke(second)], [true, true]);
  assert.deepEqual(
    [first, second, third].map((seq) => thread.start(seq)),
    [false, false, true],
  );
  assert.deepEqual([pool.revoke(second), pool.hasStarted(third)], [false, true]);
});

test("a long-lived pool numbers its jobs anew before a number does not fit any more", () => {
  for (const slot of [0, 5, SLOTS - 1]) {
    const { pool, thread } = bothSides();
    let seq = LAST_SEQ - 3 * SLOTS - ((LAST_SEQ - slot) % SLOTS);
    pool.words.fill((seq - SLOTS) * 4); // as the job before it has left its slot
    const seqs: number[] = [];
    for (let turn = 0; turn < 6; turn++) {
      seq = nextSeq(seq);
      seqs.push(seq);
      if (turn % 2 === 0) assert.equal(thread.start(seq), true);
      else assert.deepEqual([pool.revoke(seq), thread.start(seq)], [true, false]);
    }

    assert.ok(seqs.every((each) => each > 0 && each <= LAST_SEQ && slotOf(each) === slot));
    assert.ok(seqs.includes(SLOTS + slot));
  }
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
