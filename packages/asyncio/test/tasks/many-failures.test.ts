import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  ExceptionGroup,
  gather,
  HostLoop,
  mapConcurrent,
  run,
  sleep,
  taskGroup,
} from "../../src/index.ts";
import { onBothLoops } from "../both-loops.ts";
import { rejection } from "../virtual.ts";

// Work that grew with the square of the number would keep these tests busy for minutes, and the
// runner would end them.
const many = 50_000;

const failing = async (): Promise<never> => {
  await sleep(0);
  throw new Error("no database");
};

describe("where all of very many fail, the work grows with their number", () => {
  onBothLoops("the children of a group", async () => {
    const error = await rejection(
      taskGroup(async (group) => {
        for (let child = 0; child < many; child++) group.createTask(failing);
      }),
    );

    assert.ok(error instanceof ExceptionGroup);
    assert.equal(error.errors.length, many);
    assert.equal(
      error.message,
      `a task group has failed: Error: no database (and ${many - 1} more)`,
    );
  });

  onBothLoops("the children of a group with a limit", async () => {
    const error = await rejection(
      taskGroup(
        async (group) => {
          for (let child = 0; child < many; child++) group.createTask(failing);
        },
        { limit: many - 1 },
      ),
    );

    assert.ok(error instanceof ExceptionGroup);
    assert.equal(error.errors.length, many - 1);
  });

  onBothLoops("the thunks of a gather", async () => {
    const settled = await gather(new Array(many).fill(failing), { returnExceptions: true });

    assert.equal(settled.length, many);
  });

  test("the items of a map, whose other failures are reported", async () => {
    const loop = new HostLoop();
    loop.setExceptionHandler(() => {});
    const mapped = async (): Promise<void> => {
      const items = new Array(many).fill(0);
      for await (const _ of mapConcurrent(items, failing, { limit: many }));
    };

    assert.match(String(await rejection(run(mapped, { loop }))), /no database/);
  });

  test("split, subgroup and flatten", () => {
    let group = new ExceptionGroup("inner", [new TypeError("t"), new RangeError("r")]);
    const errors = Array.from({ length: many }, () => new TypeError("t"));
    for (let depth = 0; depth < 1000; depth++) group = new ExceptionGroup("outer", [group]);
    const wide = new ExceptionGroup("wide", [...errors, group]);

    const [matching, rest] = wide.split(TypeError);

    assert.equal(matching?.flatten().length, many + 1);
    assert.equal(rest?.flatten().length, 1);
    assert.equal(wide.subgroup(RangeError)?.flatten().length, 1);
  });
});
