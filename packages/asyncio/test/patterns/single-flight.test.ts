import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CancelledError,
  ContextVar,
  createTask,
  moveOnAfter,
  sleep,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { singleFlight } from "../../src/patterns.ts";
import { cancelSweep, explore } from "../../src/testing.ts";
import { conformsJoin } from "../conformance.ts";
import { rejection, virtual } from "../virtual.ts";

conformsJoin("singleFlight", (work) => singleFlight(work)());

/** Counts its calls, and which of them have ended. */
class Loader {
  calls = 0;
  running = 0;
  readonly log: string[] = [];

  readonly load = singleFlight(async (key: string) => {
    const call = ++this.calls;
    this.running++;
    try {
      await sleep(1);
      return `${key} ${call}`;
    } catch (error) {
      await sleep(0.5).catch(() => {}); // cleans up
      this.log.push(`${key} ${call} was cancelled`);
      throw error;
    } finally {
      this.running--;
    }
  });
}

describe("a single flight", () => {
  test(
    "is one call for all who ask meanwhile, and nothing is kept",
    virtual(async () => {
      const { load } = new Loader();

      assert.deepEqual(await Promise.all([load("a"), load("a"), load("b")]), ["a 1", "a 1", "b 2"]);
      assert.equal(await load("a"), "a 3");
    }),
  );

  test(
    "whoever is cancelled leaves at once, and the others go on",
    virtual(async (loop) => {
      const loader = new Loader();
      const first = moveOnAfter(0.2, () => loader.load("a")).then(() => loop.time());
      const second = createTask(() => loader.load("a"));

      assert.deepEqual([await first, await second], [0.2, "a 1"]);
      assert.deepEqual(loader.log, []);
    }),
  );

  test(
    "the last one cancels the work, and waits until it has ended",
    virtual(async (loop) => {
      const loader = new Loader();
      const first = moveOnAfter(0.2, () => loader.load("a"));
      const second = moveOnAfter(0.4, () => loader.load("a")).then(() => loop.time());

      await first;
      assert.equal(await second, 0.9);
      assert.deepEqual([loader.log, loader.running], [["a 1 was cancelled"], 0]);
    }),
  );

  test(
    "who comes while it ends begins another",
    virtual(async () => {
      const loader = new Loader();
      const first = moveOnAfter(0.2, () => loader.load("a"));
      await sleep(0.3);

      assert.equal(await loader.load("a"), "a 2");
      await first;
      assert.equal(await loader.load("a"), "a 3");
    }),
  );

  test(
    "a deadline of whoever began it is not the others'",
    virtual(async () => {
      const loader = new Loader();
      const first = rejection(timeout(0.2, () => loader.load("a")));
      await sleep(0.1);

      assert.equal(await loader.load("a"), "a 1");
      await first;
    }),
  );

  test(
    "a failure goes to all who wait",
    virtual(async () => {
      const broken = new Error("broken");
      const load = singleFlight(async () => {
        await sleep(1);
        throw broken;
      });

      const errors = await Promise.all([rejection(load()), rejection(load())]);

      assert.deepEqual(errors, [broken, broken]);
    }),
  );

  test(
    "calls are the same by their key",
    virtual(async () => {
      let calls = 0;
      const add = singleFlight(
        async (a: number, b: number) => {
          calls++;
          await sleep(1);
          return a + b;
        },
        { key: (a, b) => `${a} ${b}` },
      );

      assert.deepEqual(await Promise.all([add(1, 2), add(1, 2), add(2, 1)]), [3, 3, 3]);
      assert.equal(calls, 2);
      const unkeyed = singleFlight(async (a: number, b: number) => a + b);
      await assert.rejects(unkeyed(1, 2), /a `key` for calls with several arguments/);
      const broken = singleFlight(async (_a: number) => 1, { key: () => assert.fail("no key") });
      await assert.rejects(broken(1), /no key/);
    }),
  );

  test(
    "one that asks for itself is told so",
    virtual(async () => {
      const load: (key: string) => Promise<string> = singleFlight(
        async (key: string) => await load(key === "a" ? "b" : "a"),
      );

      await assert.rejects(load("a"), /circle|itself/);
    }),
  );

  test(
    "has the context variables of whoever began it",
    virtual(async () => {
      const user = new ContextVar("user", { default: "nobody" });
      const load = singleFlight(async () => {
        await sleep(1);
        return user.get();
      });
      const as = (name: string) =>
        createTask(async () => {
          user.set(name);
          return await load();
        });

      assert.deepEqual(await Promise.all([as("ann"), as("bob")]), ["ann", "ann"]);
    }),
  );
});

test("under every schedule each caller gets one outcome, and no work is left", async () => {
  await explore(
    async (t) => {
      const loader = new Loader();
      await taskGroup(async (group) => {
        for (let one = 0; one < 4; one++)
          group.createTask(async () => {
            await sleep(t.random());
            const moved = await moveOnAfter(t.random() * 2, () => loader.load("a"));
            assert.ok(moved.cancelled || /^a \d$/.test(moved.value));
          });
      });
      assert.equal(loader.running, 0);
    },
    { iterations: 1000 },
  );
});

test("whichever callers are cancelled, the others have their value", async () => {
  const sweep = await cancelSweep(
    async () => {
      const loader = new Loader();
      const callers = ["caller 1", "caller 2", "caller 3"].map((name) =>
        createTask(() => loader.load("a"), { name }),
      );
      for (const caller of callers) {
        const outcome = await Promise.resolve(caller).catch((error: unknown) => error);
        assert.ok(outcome instanceof CancelledError || /^a \d$/.test(String(outcome)));
      }
      assert.equal(loader.running, 0);
    },
    { victims: /^caller/, schedules: 3 },
  );
  assert.ok(sweep.complete);
});
