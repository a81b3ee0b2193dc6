import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  createTask,
  InvalidStateError,
  moveOnAfter,
  sleep,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { Keyed, resource, Shared } from "../../src/patterns.ts";
import { cancelSweep, explore } from "../../src/testing.ts";
import { conformsJoin } from "../conformance.ts";
import { virtual } from "../virtual.ts";

let open: Shared<object>;

conformsJoin("Shared.run", (work) => open.run(work), {
  runsInCaller: true,
  async within(check) {
    const thing = resource(
      async () => ({}),
      () => {},
    );
    await using shared = new Shared(thing);
    open = shared;
    await shared.run(check);
  },
});

/** Writes down when it is opened and closed; both take a second. */
function makeThing() {
  const log: string[] = [];
  let opened = 0;
  const open = new Set<number>();
  const thing = resource(
    async () => {
      await sleep(1);
      const number = ++opened;
      open.add(number);
      log.push(`open ${number}`);
      return number;
    },
    async (number) => {
      await sleep(1);
      assert.ok(open.delete(number));
      log.push(`close ${number}`);
    },
  );
  return { thing, log, open };
}

describe("a shared resource", () => {
  test(
    "is opened once for all, and closed when the last has left",
    virtual(async (loop) => {
      const { thing, log } = makeThing();
      await using shared = new Shared(thing);
      const use = (seconds: number) => shared.run((number) => sleep(seconds, number));

      assert.deepEqual(await Promise.all([use(1), use(3)]), [1, 1]);
      await sleep(1.5);
      assert.deepEqual([log, loop.time()], [["open 1", "close 1"], 5.5]);
      assert.equal(await use(0), 2);
      assert.deepEqual(shared.statistics(), { users: 0, open: false, opened: 2 });
    }),
  );

  test(
    "belongs to its owner: a group that is cancelled closes it, and waits for that",
    virtual(async (loop) => {
      const { thing, log, open } = makeThing();
      await taskGroup<void>(async (group) => {
        const shared = new Shared(thing, { owner: group, idle: 60 });
        await shared.run(() => {});
        assert.equal(open.size, 1);
        group.cancel();
      });
      assert.deepEqual([log, open.size, loop.time()], [["open 1", "close 1"], 0, 2]);
    }),
  );

  test(
    "refuses users when its owner has ended, in the name of the call",
    virtual(async () => {
      const owner = await taskGroup(async (group) => group);
      const shared = new Shared(makeThing().thing, { owner });

      await assert.rejects(
        shared.run(() => {}),
        /^InvalidStateError: `shared\.run` cannot start .*: a task group has ended/,
      );
    }),
  );

  test(
    "stays open for a while",
    virtual(async () => {
      const { thing, log } = makeThing();
      await using shared = new Shared(thing, { idle: 5 });
      const use = () => shared.run(async (number) => number);

      assert.equal(await use(), 1);
      await sleep(4);
      assert.equal(await use(), 1);
      await sleep(7);
      assert.deepEqual(log, ["open 1", "close 1"]);
      assert.ok(shared.idle);
    }),
  );

  test(
    "a user who is cancelled while it opens leaves it to the others",
    virtual(async (loop) => {
      const { thing } = makeThing();
      await using shared = new Shared(thing);
      const gone = moveOnAfter(0.5, () => shared.run(async () => {})).then(() => loop.time());

      assert.equal(await shared.run(async (number) => number), 1);
      assert.equal(await gone, 0.5);
    }),
  );

  test(
    "a failure to open goes to all who wait, and the next one tries again",
    virtual(async () => {
      let attempts = 0;
      const flaky = resource(
        async () => {
          await sleep(1);
          if (++attempts === 1) throw new Error("refused");
        },
        () => {},
      );
      await using shared = new Shared(flaky);
      const use = () => shared.run(async () => "ok").catch((error: Error) => error.message);

      assert.deepEqual(await Promise.all([use(), use()]), ["refused", "refused"]);
      assert.equal(await use(), "ok");
    }),
  );

  test(
    "closed, it takes no more users, and waits for those there are",
    virtual(async (loop) => {
      const { thing, open } = makeThing();
      const shared = new Shared(thing);
      const user = createTask(() => shared.run(() => sleep(3)));
      await sleep(2);

      const closed = shared.close();
      await assert.rejects(
        shared.run(async () => {}),
        InvalidStateError,
      );
      await closed;
      await user;

      assert.deepEqual([open.size, loop.time()], [0, 5]);
    }),
  );

  test(
    "one for each key",
    virtual(async () => {
      const { thing } = makeThing();
      const hosts = new Keyed((_host: string) => new Shared(thing));
      const use = (host: string) => hosts.for(host).run((number) => sleep(1, number));

      const numbers = await Promise.all([use("a"), use("a"), use("b")]);
      await hosts.for("a").close();
      await hosts.for("b").close();

      assert.deepEqual(numbers, [1, 1, 2]);
    }),
  );
});

const users = (shared: Shared<number>, patience: () => number, names: readonly string[]) =>
  names.map((name) =>
    createTask(
      async () => {
        await sleep(patience());
        await moveOnAfter(patience() * 3, () => shared.run(() => sleep(patience())));
      },
      { name },
    ),
  );

test("under every schedule it is open for all users, and closed in the end", async () => {
  await explore(async (t) => {
    const { thing, open } = makeThing();
    {
      await using shared = new Shared(thing, { idle: t.random() < 0.5 ? 0 : 1 });
      await taskGroup(async () => {
        for (const user of users(shared, () => t.random(), ["a", "b", "c"])) await user;
      });
      assert.ok(shared.idle);
    }
    assert.equal(open.size, 0);
  });
});

test("whichever user is cancelled, nothing is left open", async () => {
  const sweep = await cancelSweep(
    async () => {
      const { thing, open } = makeThing();
      const shared = new Shared(thing);
      for (const user of users(shared, () => 1, ["user 1", "user 2"])) await user.catch(() => {});
      assert.ok(shared.idle);
      await shared.close();
      assert.equal(open.size, 0);
    },
    { victims: /^user/, schedules: 3 },
  );
  assert.ok(sweep.complete);
});

test("who comes while the only other user leaves gets it, in any schedule", async () => {
  await explore(
    async () => {
      await using shared = new Shared(makeThing().thing);
      const leaving = createTask(() => shared.run(() => sleep(3)));
      await taskGroup(async (group) => {
        group.createTask(() => sleep(1).then(() => leaving.cancelAndWait()));
        group.createTask(async () => {
          await sleep(1);
          await timeout(60, () => shared.run(() => {}));
        });
      });
    },
    { iterations: 300 },
  );
});

test("what is no resource is refused in its own name", () => {
  const open = async () => 5;

  assert.throws(() => new Shared(open as never), /^TypeError: `new Shared` expects a resource/);
});
