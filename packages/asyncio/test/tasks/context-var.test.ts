import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type Context,
  ContextVar,
  copyContext,
  createTask,
  gather,
  Runner,
  sleep,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { virtual } from "../virtual.ts";

describe("R3: context variables belong to a task and to what it starts", () => {
  test(
    "a task has a copy of its creator's values as they were at its creation (S184)",
    virtual(async () => {
      const variable = new ContextVar<string>("variable");
      variable.set("at creation");
      const task = createTask(async () => variable.get());

      variable.set("later");

      assert.equal(await task, "at creation");
    }),
  );

  test(
    "what a task sets does not reach its creator (S184)",
    virtual(async () => {
      const variable = new ContextVar("variable", { default: "default" });

      await createTask(async () => variable.set("child"));

      assert.equal(variable.get(), "default");
    }),
  );

  test(
    "all steps of a task run in its one context (S185)",
    virtual(async () => {
      const variable = new ContextVar<number>("variable");
      const count = async (): Promise<number> => {
        variable.set(1);
        await sleep(1);
        variable.set(variable.get() + 1);
        await sleep(1);
        return variable.get();
      };

      assert.deepEqual(await gather(count, count), [2, 2]);
    }),
  );

  test(
    "branches inside one task share its context",
    virtual(async () => {
      const variable = new ContextVar("variable", { default: "default" });
      const branch = async (): Promise<void> => {
        await sleep(1);
        variable.set("branch");
      };

      await Promise.all([branch(), sleep(2)]);

      assert.equal(variable.get(), "branch");
    }),
  );

  test(
    "a nested scope shares the context of its task",
    virtual(async () => {
      const variable = new ContextVar("variable", { default: "default" });

      await timeout(1, async () => variable.set("in the scope"));

      assert.equal(variable.get(), "in the scope");
    }),
  );

  test(
    "an explicit context is used as it is, and two tasks may share it (S186)",
    virtual(async () => {
      const variable = new ContextVar("variable", { default: "default" });
      const context = copyContext();

      await createTask(async () => variable.set("shared"), { context });
      const seen = await createTask(async () => variable.get(), { context });

      assert.equal(seen, "shared");
      assert.equal(variable.get(), "default");
    }),
  );

  test(
    "a child of a group takes an explicit context too (S186)",
    virtual(async () => {
      const variable = new ContextVar("variable", { default: "default" });
      const context = copyContext();

      const task = await taskGroup(async (group) => ({
        child: group.createTask(async () => variable.set("shared"), { context }),
      }));

      assert.equal(task.child.getContext(), context);
      assert.equal(
        context.run(() => variable.get()),
        "shared",
      );
    }),
  );

  test(
    "an eager task runs its first step in a copy of its own (S188)",
    virtual(async () => {
      const variable = new ContextVar("variable", { default: "default" });

      const task = createTask(async () => variable.set("child"), { eagerStart: true });

      assert.equal(variable.get(), "default");
      await task;
    }),
  );

  test(
    "a callback runs in a copy: what it sets reaches nobody (S185)",
    virtual(async (loop) => {
      const variable = new ContextVar("variable", { default: "default" });
      loop.callSoon(() => variable.set("callback"));

      await sleep(0);

      assert.equal(variable.get(), "default");
    }),
  );

  test(
    "addDoneCallback uses an explicit context as it is",
    virtual(async () => {
      const variable = new ContextVar("variable", { default: "default" });
      const context = copyContext();
      const task = createTask(() => sleep(1));
      task.addDoneCallback(() => variable.set("callback"), { context });

      await task;
      await sleep(0);

      assert.equal(
        context.run(() => variable.get()),
        "callback",
      );
    }),
  );

  test("the runs of one Runner share a context (S181)", async () => {
    const variable = new ContextVar<string>("variable");
    const runner = new Runner({ loop: new VirtualLoop() });

    await runner.run(async () => variable.set("first run"));

    assert.equal(await runner.run(async () => variable.get()), "first run");
    await runner.close();
  });
});

describe("F26: ContextVar", () => {
  test("get prefers the value, then the fallback, then the default", () => {
    const variable = new ContextVar("variable", { default: "default" });
    const context = copyContext();

    const seen = context.run(() => {
      const before = [variable.get(), variable.get("fallback")];
      variable.set("value");
      return [...before, variable.get("fallback")];
    });

    assert.deepEqual(seen, ["default", "fallback", "value"]);
  });

  test("get without a value, a fallback or a default throws and says the name", () => {
    const variable = new ContextVar<string>("request");

    assert.throws(() => variable.get(), {
      name: "ReferenceError",
      code: "ERR_ASYNCIO_CONTEXT_VAR_UNSET",
      message: /"request"/,
    });
  });

  test("undefined is a value, a default and a fallback like any other", () => {
    const unset = new ContextVar<string | undefined>("unset");
    const defaulted = new ContextVar<string | undefined>("defaulted", { default: undefined });

    assert.equal(unset.get(undefined), undefined);
    assert.equal(defaulted.get(), undefined);
    copyContext().run(() => {
      defaulted.set("x");
      defaulted.set(undefined);
      assert.equal(defaulted.get("fallback"), undefined);
    });
  });

  test("reset puts back what was there before the set", () => {
    const variable = new ContextVar("variable", { default: 0 });

    const seen = copyContext().run(() => {
      const first = variable.set(1);
      const second = variable.set(2);
      variable.reset(second);
      const afterSecond = variable.get();
      variable.reset(first);
      return [afterSecond, variable.get()];
    });

    assert.deepEqual(seen, [1, 0]);
  });

  const wrongTokens: Record<string, (variable: ContextVar<number>) => void> = {
    "was used already": (variable) => {
      const token = variable.set(1);
      variable.reset(token);
      variable.reset(token);
    },
    "was made by ContextVar": (variable) => variable.reset(new ContextVar<number>("b").set(1)),
    "was made in another context": (variable) =>
      variable.reset(copyContext().run(() => variable.set(1))),
  };
  for (const [why, resetWrongly] of Object.entries(wrongTokens)) {
    test(`reset refuses a token that ${why}`, () => {
      const variable = new ContextVar<number>("a");

      copyContext().run(() => {
        assert.throws(() => resetWrongly(variable), { name: "RangeError", message: RegExp(why) });
      });
    });
  }

  test("a copy of a context and its original change apart from each other", () => {
    const variable = new ContextVar<string>("variable");
    const read = (context: Context): string => context.run(() => variable.get("unset"));
    const original = copyContext();
    original.run(() => variable.set("both"));

    const copy = original.copy();
    original.run(() => variable.set("original"));
    const second = original.copy();
    second.run(() => variable.set("second"));

    assert.deepEqual([read(original), read(copy), read(second)], ["original", "both", "second"]);
  });

  test("Context.run leaves the current context as it was, also after a throw", () => {
    const variable = new ContextVar("variable", { default: "outside" });
    const context = copyContext();

    assert.throws(() =>
      context.run(() => {
        variable.set("inside");
        throw new Error("expected");
      }),
    );

    assert.equal(variable.get(), "outside");
    assert.equal(context.size, copyContext().size + 1);
  });
});
