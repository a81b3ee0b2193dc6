import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import {
  CircuitBreaker,
  type CircuitBreakerOptions,
  CircuitOpenError,
  exponential,
  Keyed,
} from "../../src/patterns.ts";
import * as testing from "../../src/testing.ts";
import { conformsJoin } from "../conformance.ts";
import { rejection, virtual } from "../virtual.ts";

const { createTask, sleep } = asyncio;

conformsJoin("CircuitBreaker.run", (work) => new CircuitBreaker().run(work), {
  runsInCaller: true,
});

const fail = (breaker: CircuitBreaker, seconds = 0): Promise<unknown> =>
  rejection(
    breaker.run(async () => {
      await sleep(seconds);
      throw new Error("no answer");
    }),
  );
const succeed = (breaker: CircuitBreaker, seconds = 0): Promise<string> =>
  breaker.run(() => sleep(seconds, "answer"));

/** A breaker that is open, and what became of it. */
async function opened(options?: CircuitBreakerOptions) {
  const changes: string[] = [];
  const onChange = (state: string, before: string) => void changes.push(`${before} -> ${state}`);
  const breaker = new CircuitBreaker({
    failures: 2,
    reset: 30,
    name: "mail",
    onChange,
    ...options,
  });
  for (let n = 0; n < 2; n++) await fail(breaker);
  assert.equal(breaker.state, "open");
  return { breaker, changes };
}

suite("it opens", () => {
  test(
    "at so many failures, and refuses calls before they are made",
    virtual(async () => {
      const { breaker } = await opened();
      await sleep(5);
      let called = false;

      const error = await rejection(
        breaker.run(async () => {
          called = true;
        }),
      );

      assert.ok(error instanceof CircuitOpenError);
      assert.deepEqual(
        [called, error.code, error.retryAfter],
        [false, "ERR_ASYNCIO_CIRCUIT_OPEN", 25],
      );
      assert.equal(
        error.message,
        'CircuitBreaker "mail" is open for 25 s more: too many calls have failed',
      );
      assert.equal(String(error.cause), "Error: no answer");
      assert.deepEqual(
        { ...breaker.statistics() },
        {
          state: "open",
          calls: 2,
          failures: 2,
          running: 0,
          probing: 0,
          rejected: 1,
          retryAfter: 25,
        },
      );
    }),
  );

  test(
    "not at failures that lie too far back",
    virtual(async () => {
      const breaker = new CircuitBreaker({ failures: 2, per: 10 });
      await fail(breaker);
      await sleep(11);
      await fail(breaker);

      assert.equal(breaker.state, "closed");
    }),
  );

  test(
    "only if they are a share of the calls, where that is asked for",
    virtual(async () => {
      const breaker = new CircuitBreaker({ failures: 2, ratio: 0.5 });
      for (let n = 0; n < 4; n++) await succeed(breaker);
      for (let n = 0; n < 3; n++) await fail(breaker);
      assert.equal(breaker.state, "closed"); // 3 of 7

      await fail(breaker);

      assert.equal(breaker.state, "open"); // 4 of 8
    }),
  );

  test(
    "not at errors that do not count, nor at cancellations",
    virtual(async () => {
      const breaker = new CircuitBreaker({ failures: 1, counts: RangeError });
      await fail(breaker);
      const task = createTask(() => succeed(breaker, 10));
      await sleep(1);
      task.cancel();
      await asyncio.wait([task]);

      assert.deepEqual([breaker.state, breaker.statistics().calls], ["closed", 1]);
    }),
  );
});

suite("half open, it", () => {
  test(
    "lets one probe through, and closes when that succeeds",
    virtual(async () => {
      const { breaker, changes } = await opened();
      await sleep(30);
      const probe = createTask(() => succeed(breaker, 1));
      await sleep(0);

      assert.match(String(await fail(breaker)), /lets a probe through, and nothing else until/);
      assert.equal(await probe, "answer");

      assert.deepEqual(changes, ["closed -> open", "open -> half-open", "half-open -> closed"]);
      assert.equal(breaker.statistics().failures, 0);
    }),
  );

  test(
    "opens again when the probe fails, for as long as the schedule says",
    virtual(async () => {
      const { breaker } = await opened({ reset: exponential(10) });
      for (const seconds of [10, 20, 40]) {
        assert.equal(breaker.statistics().retryAfter, seconds);
        await sleep(seconds);
        await fail(breaker);
      }
    }),
  );

  test(
    "gives the place of a probe that is cancelled to the next call",
    virtual(async () => {
      const { breaker } = await opened();
      await sleep(30);
      const probe = createTask(() => succeed(breaker, 10));
      await sleep(1);
      probe.cancel();
      await asyncio.wait([probe]);

      assert.equal(await succeed(breaker), "answer");
      assert.equal(breaker.state, "closed");
    }),
  );

  test(
    "does not count the late failure of a call that began before",
    virtual(async () => {
      const breaker = new CircuitBreaker({ failures: 1, reset: 5 });
      const slow = createTask(() => fail(breaker, 5.5));
      await sleep(0);
      await fail(breaker);
      await sleep(5);
      const probe = createTask(() => succeed(breaker, 1));
      await slow;
      assert.equal(breaker.state, "half-open");

      await probe;

      assert.equal(breaker.state, "closed");
    }),
  );

  test(
    "wants as many probes to succeed as it lets through",
    virtual(async () => {
      const { breaker } = await opened({ probes: 2 });
      await sleep(30);
      const probes = [1, 2].map((seconds) => createTask(() => succeed(breaker, seconds)));
      await sleep(1.5);
      assert.deepEqual([breaker.state, breaker.statistics().probing], ["half-open", 1]);

      await asyncio.gather(probes);

      assert.equal(breaker.state, "closed");
    }),
  );
});

test(
  "by hand: open and close",
  virtual(async () => {
    const breaker = new CircuitBreaker({ reset: Number.POSITIVE_INFINITY });
    assert.ok(breaker.idle);
    breaker.open();
    await sleep(1e6);
    assert.ok((await fail(breaker)) instanceof CircuitOpenError);

    breaker.close();

    assert.equal(await succeed(breaker), "answer");
  }),
);

test(
  "one for each service",
  virtual(async () => {
    const breakers = new Keyed((name: string) => new CircuitBreaker({ failures: 1, name }), {
      idle: 1,
    });
    await fail(breakers.for("a"));
    await sleep(5);

    assert.deepEqual([breakers.for("b").state, breakers.for("a").state], ["closed", "open"]);
  }),
);

test("an `onChange` that fails is reported, and changes nothing", async () => {
  const loop = new testing.VirtualLoop();
  const reports: string[] = [];
  loop.setExceptionHandler((_loop, { message }) => void reports.push(message));
  const onChange = () => {
    throw new Error("broken");
  };

  await asyncio.run(() => opened({ onChange }), { loop });

  assert.deepEqual(reports, ['`onChange` of CircuitBreaker "mail" has failed']);
});

for (const makeLoop of [() => new testing.VirtualLoop(), () => new asyncio.HostLoop()])
  test(`an async \`onChange\` that fails is reported, and ends no process (${makeLoop().constructor.name})`, async () => {
    const loop = makeLoop();
    const reports: string[] = [];
    loop.setExceptionHandler((_loop, { message }) => void reports.push(message));
    const onChange = async (): Promise<void> => {
      await sleep(0);
      throw new Error("broken");
    };

    await asyncio.run(
      async () => {
        await opened({ onChange });
        await sleep(0.001);
      },
      { loop },
    );

    assert.deepEqual(reports, ['`onChange` of CircuitBreaker "mail" has failed']);
  });

test("counts and state are right in any order, wherever a cancellation comes", async () => {
  const setup = () => new CircuitBreaker({ failures: 1, reset: 1, probes: 2 });
  const body = async (_t: unknown, breaker: CircuitBreaker) => {
    await asyncio.taskGroup(async (group) => {
      group.createTask(() => fail(breaker, 1));
      group.createTask(() => succeed(breaker, 2));
      group.createTask(async () => {
        await sleep(2);
        await asyncio.gather(
          [() => succeed(breaker), () => succeed(breaker), () => succeed(breaker)],
          {
            returnExceptions: true,
          },
        );
      });
    });
  };
  const invariant = (breaker: CircuitBreaker) => {
    const { running, probing } = breaker.statistics();
    assert.deepEqual([running, probing], [0, 0]);
  };

  await testing.explore(body, { setup, invariant, iterations: 200 });
  for (const victims of ["body", "tasks"] as const)
    await testing.cancelSweep(body, { setup, invariant, victims, mayReturn: true, schedules: 3 });
});

test("wrong arguments are refused", async () => {
  for (const failures of [0, 1.5, Number.NaN])
    assert.throws(() => new CircuitBreaker({ failures }), RangeError);
  assert.throws(() => new CircuitBreaker({ ratio: 2 }), RangeError);
  assert.throws(() => new CircuitBreaker({ reset: "soon" as never }), TypeError);
  assert.throws(() => new CircuitBreaker({ counts: 5 as never }), TypeError);
  await assert.rejects(new CircuitBreaker().run(Promise.resolve() as never), TypeError);
});
