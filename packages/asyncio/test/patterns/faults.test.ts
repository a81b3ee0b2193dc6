// Faults: each call of the world outside fails once, each deadline passes once at each wait. The
// parts have to hand the failure to whoever it belongs to, and to leave nothing behind.

import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import {
  createTask,
  ExceptionGroup,
  getRunningLoop,
  sleep,
  TimeoutError,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import {
  BrokenChannel,
  channel,
  events,
  hedge,
  Pool,
  type Resource,
  resource,
  resources,
  retry,
  Shared,
  singleFlight,
  spaced,
  stream,
  supervise,
} from "../../src/patterns.ts";
import { fault, faultSweep, InjectedFault } from "../../src/testing.ts";

/** What was opened and is not closed, and how often something was opened. */
class Ledger {
  readonly open: Set<string> = new Set();
  #opened = 0;

  /** A resource that takes a while, and may fail, to open and to close. */
  resource(name: string): Resource<string> {
    return resource(
      async () => {
        await sleep(0.1);
        fault(`open ${name}`);
        const item = `${name} ${++this.#opened}`;
        this.open.add(item);
        return item;
      },
      async (item) => {
        this.open.delete(item);
        await sleep(0.1);
        fault(`close ${name}`);
      },
      { name },
    );
  }
}

/** Whether `error` is what was injected: a fault, a deadline, or what was made of them. */
function isInjected(error: unknown): boolean {
  if (error instanceof ExceptionGroup) return error.errors.every(isInjected);
  return error instanceof InjectedFault || error instanceof TimeoutError;
}

/** For failures that are dealt with: anything else comes out. */
function tolerate(error: unknown): void {
  if (!isInjected(error)) throw error;
}

/**
 * Runs `body` with each fault. Nothing may be open at its end, and nothing may have been reported
 * that was not injected.
 */
async function sweep(
  body: (ledger: Ledger) => Promise<void>,
  places: number,
  depth = 1,
): Promise<void> {
  const found = await faultSweep<Ledger>(
    async (_t, ledger) => {
      getRunningLoop().setExceptionHandler((loop, context) => {
        const { exception } = context;
        if (exception !== undefined && !isInjected(exception))
          loop.defaultExceptionHandler(context);
      });
      await body(ledger);
    },
    {
      setup: () => new Ledger(),
      invariant: ({ open }) => assert.deepEqual([...open], []),
      depth,
      seconds: Number.POSITIVE_INFINITY,
    },
  );
  assert.ok(found.complete);
  assert.ok(found.places >= places, `${found.places} places`);
}

test("a pool: opening, checking, resetting, closing, using, waiting", async () => {
  await sweep(async (ledger) => {
    await using pool = new Pool(ledger.resource("item"), {
      max: 2,
      min: 1,
      checkAfter: 0,
      async check() {
        await sleep(0.1);
        fault("check");
        return true;
      },
      reset: () => fault("reset"),
    });
    const use = async (): Promise<void> => {
      using loan = await pool.acquire({ timeout: 5 });
      await sleep(0.1);
      assert.ok(ledger.open.has(loan.item));
      fault("use");
    };
    await taskGroup(async (group) => {
      for (let user = 0; user < 4; user++) group.createTask(() => use().catch(tolerate));
    });
    assert.ok(pool.idle);
    await use().catch(tolerate);
  }, 15);
});

test("resources: what was opened before is closed, the last first", async () => {
  await sweep(async (ledger) => {
    await timeout(9, () =>
      resources(async (scope) => {
        await scope.open(ledger.resource("file"));
        scope.defer(() => fault("deferred"));
        await scope.open(ledger.resource("lock"));
        fault("body");
        await sleep(0.1);
      }).catch((error) => {
        tolerate(error);
        throw error instanceof ExceptionGroup ? error.errors[0] : error;
      }),
    );
  }, 8);
});

test("one resource for all: whoever fails, it is closed once nobody uses it", async () => {
  await sweep(async (ledger) => {
    await using shared = new Shared(ledger.resource("item"), { idle: 1 });
    const use = () =>
      shared.run(async (item) => {
        await sleep(0.1);
        assert.ok(ledger.open.has(item));
        fault("use");
      });
    await taskGroup(async (group) => {
      for (let user = 0; user < 3; user++) group.createTask(() => timeout(5, use).catch(tolerate));
    });
    assert.equal(shared.idle, true);
    await use().catch(tolerate);
  }, 8);
});

test("a channel: what was sent before a failure is received, and the loops end", async () => {
  await sweep(async () => {
    const [sender, receiver] = channel<number>(1);
    const sent: number[] = [];
    const received: number[] = [];
    await taskGroup(async (group) => {
      group.createTask(async () => {
        using mine = sender;
        for (const item of [1, 2, 3]) {
          fault("produce");
          try {
            await timeout(5, () => mine.send(item));
          } catch (error) {
            if (error instanceof BrokenChannel) return; // the consumer has failed
            throw error;
          }
          sent.push(item);
        }
      });
      group.createTask(async () => {
        using mine = receiver;
        for await (const item of mine) {
          received.push(item);
          await sleep(0.1);
          fault("consume");
        }
      });
    }).catch(tolerate);
    assert.deepEqual(received, [1, 2, 3].slice(0, received.length));
    assert.ok(sent.length - received.length <= 1); // one may lie in the channel
  }, 8);
});

test("events: listeners are gone, whoever fails", async () => {
  await sweep(async () => {
    const emitter = new EventEmitter();
    const lines = events<[line: string]>(emitter, "line", { until: "end" });
    const source = createTask(async () => {
      for (const line of ["a", "b", "c"]) {
        await sleep(0.1);
        try {
          fault("source");
          emitter.emit("line", line);
        } catch (error) {
          emitter.emit("error", error);
          return;
        }
      }
      emitter.emit("end");
    });
    const seen: string[] = [];
    try {
      await timeout(5, async () => {
        for await (const [line] of lines) {
          seen.push(line);
          fault("consume");
        }
      });
    } finally {
      assert.deepEqual(emitter.eventNames(), []);
      assert.deepEqual(seen, ["a", "b", "c"].slice(0, seen.length));
      emitter.on("error", () => {});
      await source;
    }
  }, 6);
});

test("a stream: a failure comes after the items before it, and closes what is before", async () => {
  await sweep(async (ledger) => {
    const seen: number[] = [];
    const numbers = stream(async function* () {
      ledger.open.add("source");
      try {
        for (const item of [1, 2, 3]) {
          yield item;
          await sleep(0.1);
          fault("produce");
        }
      } finally {
        ledger.open.delete("source");
      }
    });
    const twice = numbers.merge([]).map(async (item) => {
      fault("map");
      return await sleep(0.1, 2 * item);
    });
    await timeout(5, async () => {
      for await (const item of twice.buffer(2)) {
        seen.push(item);
        fault("consume");
      }
    }).catch((error: unknown) => {
      assert.deepEqual(seen, [2, 4, 6].slice(0, seen.length));
      throw error;
    });
    assert.deepEqual(seen, [2, 4, 6]);
  }, 9);
});

test("retry: one failure costs one attempt, two in a row are thrown", async () => {
  const ask = async (): Promise<string> => {
    await sleep(0.1);
    fault("ask");
    return "answer";
  };
  await sweep(async () => {
    assert.equal(await retry([1], ask), "answer");
  }, 1);
  await sweep(
    async () => {
      let attempts = 0;
      const answer = await retry(spaced(1).times(1), () => {
        attempts++;
        return timeout(5, ask);
      }).catch((error) => {
        tolerate(error);
        assert.equal(attempts, 2);
        return "failed";
      });
      assert.match(answer, /answer|failed/);
    },
    4,
    2,
  );
});

test("hedge: a failure brings the next attempt at once", async () => {
  await sweep(async () => {
    const started = getRunningLoop().time();
    const answer = await hedge(1, async (attempt) => {
      await sleep(0.1);
      fault("ask");
      return attempt;
    });
    assert.ok(answer <= 2 && getRunningLoop().time() - started < 0.5);
  }, 1);
});

test("a single flight: its failure goes to all who wait, and the next call begins anew", async () => {
  await sweep(async () => {
    let calls = 0;
    const load = singleFlight(async (key: string) => {
      calls++;
      await sleep(0.1);
      fault("load");
      return key;
    });
    const ask = () => timeout(5, () => load("a")).catch(tolerate);
    const answers = await Promise.all([ask(), ask(), ask()]);
    assert.equal(calls, 1);
    assert.ok(new Set(answers).size <= 2); // one may have had its deadline
    assert.equal(
      await load("a")
        .catch(tolerate)
        .then(() => calls),
      2,
    );
  }, 5);
});

test("supervise: a child that fails is started again, and all have ended at the end", async () => {
  await sweep(async (ledger) => {
    let runs = 0;
    const child = (name: string) => ({
      name,
      restart: "transient" as const,
      delays: spaced(0.1),
      startDelay: 5,
      async run(started: () => void) {
        const id = `${name} ${++runs}`;
        ledger.open.add(id);
        try {
          await sleep(0.1);
          fault(`start ${name}`);
          started();
          await sleep(0.3);
          fault(`run ${name}`);
        } finally {
          await sleep(0).catch(() => {});
          ledger.open.delete(id);
        }
      },
    });
    await supervise([child("first"), child("second")], {
      onRestart: (_child, error) => tolerate(error),
    });
    assert.ok(runs <= 3, `${runs} runs`);
  }, 4);
});
