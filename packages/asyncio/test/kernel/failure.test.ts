import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  ContextVar,
  createTask,
  type ExceptionContext,
  Future,
  gather,
  getRunningLoop,
  run,
  shield,
  sleep,
  Task,
} from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { collectGarbage } from "../gc.ts";
import { rejection } from "../virtual.ts";

const failure = new Error("expected");
const fail = () => Promise.reject(failure);

/** Runs `main` and gives what its exception handler was told. */
async function reportsOf(main: () => Promise<unknown>, loop?: VirtualLoop) {
  const reports: ExceptionContext[] = [];
  await run(
    async () => {
      getRunningLoop().setExceptionHandler((_loop, context) => reports.push(context));
      await main();
    },
    { loop },
  );
  return reports;
}

describe("R24: the exception handler is told whose failure it is", () => {
  for (const [where, makeLoop] of [
    ["in real time", () => undefined],
    ["in virtual time", () => new VirtualLoop()],
  ] as const) {
    test(`${where} a task that nobody has looked at is \`task\` and \`future\` (S7)`, async () => {
      let task: Task<unknown> | undefined;
      const [report, ...others] = await reportsOf(async () => {
        task = createTask(fail, { name: "careless" });
        await sleep(0);
      }, makeLoop());

      assert.deepEqual(others, []);
      assert.ok(report?.task === task && report?.future === task);
      assert.equal(report?.exception, failure);
    });

    test(`${where} a future is \`future\` alone (S7)`, async () => {
      let future: Future<void> | undefined;
      const [report] = await reportsOf(async () => {
        future = new Future();
        future.setException(failure);
      }, makeLoop());

      assert.ok(report?.future === future);
      assert.equal(report?.task, undefined);
    });
  }

  test("one that was collected is told of with a twin: its name, failure, variables", async () => {
    const user = new ContextVar<string>("user");
    const seen: unknown[] = [];
    await run(async () => {
      const loop = getRunningLoop();
      loop.setExceptionHandler((_loop, { task, future, message }) => {
        assert.ok(future instanceof Future);
        const { exception } = { exception: future.exception() };
        seen.push([message, task?.getName(), task?.done(), exception === failure, user.get()]);
        assert.ok(task === undefined || (task === future && task instanceof Task));
        assert.equal(task?.getContext().get(user), task && "ann");
      });
      user.set("ann");
      (() => {
        createTask(fail, { name: "careless" });
        new Future().setException(failure);
      })();
      await sleep(0);
      for (let round = 0; round < 20 && seen.length < 2; round++) await collectGarbage();
      assert.equal(seen.length, 2);
      assert.equal(loop.statistics().tasks, 1);
    });

    const texts = seen.map(String).sort();
    assert.match(texts[0] ?? "", /^a future has failed, .*,,,true,ann$/);
    assert.match(texts[1] ?? "", /^task "careless" has failed, .*,careless,true,true,ann$/);
    assert.equal(texts.length, 2);
  });

  test("so are late failures of gather and of a shield, and those of the shutdown", async () => {
    const lateFail = async (): Promise<never> => {
      await sleep(3600).catch(() => {});
      throw failure;
    };
    const reports = await reportsOf(async () => {
      await rejection(gather(fail, () => sleep(1).then(fail)));
      const shielded = createTask(async () => {
        await sleep(1);
        throw failure;
      });
      const waiter = createTask(() => shield(shielded));
      await sleep(0);
      waiter.cancel();
      await rejection(waiter);
      await sleep(2);
      createTask(lateFail, { name: "leftover" });
      await sleep(0);
    }, new VirtualLoop());

    assert.equal(reports.length, 3);
    for (const { task, exception } of reports) {
      assert.ok(task instanceof Task);
      assert.equal(exception, failure);
    }
  });

  test("the printed report names the task once", async () => {
    const printed: string[] = [];
    const loop = new VirtualLoop();
    loop.host.report = (text) => printed.push(text);
    await run(async () => void createTask(fail, { name: "careless" }), { loop });

    assert.equal(printed.join().match(/careless/g)?.length, 1);
  });
});
