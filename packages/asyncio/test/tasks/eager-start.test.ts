import assert from "node:assert/strict";
import { test } from "node:test";
import { allTasks, createTask, currentTask, Event, sleep, type Task } from "../../src/index.ts";
import { rejection, virtual } from "../virtual.ts";

test(
  "a body that never waits has run when createTask returns, side effects and all (S189)",
  virtual(async () => {
    const log: string[] = [];

    const task = createTask(async () => log.push("body"), { eagerStart: true });

    assert.deepEqual(log, ["body"]);
    assert.equal(await task, 1);
  }),
);

test(
  "a body that waits goes on from its first wait (S189)",
  virtual(async (loop) => {
    const log: string[] = [];
    const task = createTask(
      async () => {
        log.push("started");
        await sleep(1);
        log.push("went on");
      },
      { eagerStart: true },
    );
    log.push("created");

    await task;

    assert.deepEqual([log, loop.time()], [["started", "created", "went on"], 1]);
  }),
);

test(
  "the child is the current task during its first step, and the creator again after it (S190)",
  virtual(async () => {
    const seen: (string | undefined)[] = [];
    const look = () => seen.push(currentTask()?.getName());

    const task = createTask(async () => look(), { eagerStart: true, name: "child" });
    look();
    await task;
    look();

    assert.deepEqual(seen, ["child", "main", "main"]);
  }),
);

test(
  "it is listed during its first step; once it has ended it is not (S191)",
  virtual(async () => {
    let wasListed = false;
    const body = async () => {
      wasListed = allTasks().has(currentTask() as Task<unknown>);
    };

    const task = createTask(body, { eagerStart: true });
    await task;

    assert.deepEqual([wasListed, allTasks().has(task)], [true, false]);
  }),
);

test(
  "cancelling one that has ended does nothing; one that waits, as usual (S192)",
  virtual(async () => {
    const ended = createTask(async () => "ended", { eagerStart: true });
    await ended;
    const waiting = createTask(() => new Event().wait(), { eagerStart: true });

    assert.deepEqual([ended.cancel(), waiting.cancel()], [false, true]);

    assert.equal(await ended, "ended");
    await rejection(waiting);
    assert.ok(waiting.cancelled());
  }),
);

test(
  "is off unless it is asked for, task by task (S193)",
  virtual(async () => {
    const log: string[] = [];
    const bodies = [undefined, false, true].map((eagerStart) =>
      createTask(async () => log.push(String(eagerStart)), { eagerStart }),
    );
    log.push("created");

    for (const task of bodies) await task;

    assert.deepEqual(log, ["true", "created", "undefined", "false"]);
  }),
);

test(
  "a body may start others eagerly, which may need what is not there yet (S194)",
  virtual(async () => {
    const tasks: Task<number>[] = [];
    const body = async () => tasks.length;

    tasks.push(createTask(body, { eagerStart: true }));
    tasks.push(createTask(body));

    assert.deepEqual([await tasks[0], await tasks[1]], [0, 2]);
  }),
);

test(
  "names are given, counted, or set later",
  virtual(async () => {
    const body = () => sleep(1);
    const named = createTask(body, { name: "given" });
    const counted = createTask(body, { eagerStart: true });

    assert.match(counted.getName(), /^Task-\d+$/);
    assert.equal(named.getName(), "given");
    named.setName("renamed");
    assert.equal(named.getName(), "renamed");
    for (const task of [named, counted]) await task;
  }),
);
