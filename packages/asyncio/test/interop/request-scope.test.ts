import assert from "node:assert/strict";
import { EventEmitter, getEventListeners } from "node:events";
import { describe, test } from "node:test";
import {
  allTasks,
  CancelledError,
  CancelScope,
  ContextVar,
  copyContext,
  createTask,
  currentTask,
  DeadlockError,
  Event,
  getRunningLoop,
  HostLoop,
  type RequestScopeOptions,
  type RequestSource,
  requestScope,
  run,
  sleep,
  TimeoutError,
  timeout,
} from "../../src/index.ts";
import { cancelSweep, explore, VirtualLoop } from "../../src/testing.ts";
import { runFixture } from "../child.ts";
import { rejection, virtual } from "../virtual.ts";

/** A client that stays. */
const staying = (): AbortSignal => new AbortController().signal;

/** A response of Node, as far as it is looked at. */
class Response extends EventEmitter {
  destroyed = false;
  writableEnded = false;
  writableFinished = false;

  finish(): void {
    this.writableEnded = this.writableFinished = true;
  }

  close(): void {
    this.destroyed = true;
    this.emit("close");
  }
}

/**
 * What a web server does: calls back from the host, in the context in which it was started. Two
 * ticks, and it is done.
 */
const callback = <T>(fn: () => T | PromiseLike<T>): Promise<T> =>
  new Promise((resolve) => setImmediate(() => resolve(fn())));

describe("a request", () => {
  test(
    "gives what its body gives, as a task of its own",
    virtual(async () => {
      const main = currentTask();

      const task = await requestScope(staying(), async () => ({ task: currentTask() }));

      assert.ok(task.task !== undefined && task.task !== main);
    }),
  );

  test(
    "fails for its caller, and nobody else is told",
    virtual(async () => {
      const failure = new Error("expected");

      const error = await rejection(requestScope(staying(), () => Promise.reject(failure)));

      assert.equal(error, failure);
    }),
  );

  test(
    "sees the variables of where it is called, and no other request sees its own",
    virtual(async () => {
      const tenant = new ContextVar("tenant", { default: "nobody" });
      tenant.set("the server");
      const handle = async (name: string): Promise<string[]> => {
        const before = tenant.get();
        tenant.set(name);
        await sleep(1);
        return [before, tenant.get()];
      };

      const seen = await Promise.all(
        ["ann", "bob"].map((name) => callback(() => requestScope(staying(), () => handle(name)))),
      );

      assert.deepEqual(seen, [
        ["the server", "ann"],
        ["the server", "bob"],
      ]);
      assert.equal(tenant.get(), "the server");
    }),
  );

  test(
    "uses a context that it is given as it is",
    virtual(async () => {
      const variable = new ContextVar("variable", { default: "default" });
      const context = copyContext();

      await requestScope(staying(), async () => variable.set("of the request"), { context });

      assert.equal(
        context.run(() => variable.get()),
        "of the request",
      );
    }),
  );

  const names: Record<string, { source: RequestSource; options?: RequestScopeOptions }> = {
    "GET /users": { source: new Request("http://localhost:80/users?key=secret") },
    "PUT /a": {
      source: { response: new Response(), request: { method: "PUT", url: "/a?to=http://b/c" } },
    },
    "OPTIONS *": {
      source: { response: new Response(), request: { method: "OPTIONS", url: "*" } },
    },
    given: { source: new Request("http://localhost/"), options: { name: "given" } },
  };
  for (const [name, { source, options }] of Object.entries(names)) {
    test(
      `is called ${name} in reports`,
      virtual(async () => {
        const seen = await requestScope(source, async () => currentTask()?.getName(), options);

        assert.equal(seen, name);
      }),
    );
  }

  test(
    "may be called within a request, and is cancelled with it",
    virtual(async () => {
      const controller = new AbortController();
      const log: unknown[] = [];
      const inner = async (): Promise<void> => {
        await sleep(3600).catch((error) => log.push(error.source));
      };
      const outer = requestScope(controller.signal, () => requestScope(staying(), inner));
      await sleep(1);

      controller.abort();

      await rejectionOrValue(outer);
      assert.deepEqual(log, ["abort"]);
    }),
  );

  test(
    "may be called in a scope that has ended: a response is still streamed when its handler has returned",
    virtual(async () => {
      let stream: Promise<unknown> | undefined;
      const signal = staying();

      await requestScope(signal, async () => {
        stream = callback(() => requestScope(signal, () => sleep(1, "streamed")));
      });

      assert.equal(await stream, "streamed");
    }),
  );

  test("whose failure nobody handles fails the program, as a handler without it would", async () => {
    const { code, stderr } = await runFixture("requests", "unhandled failure");

    assert.equal(code, 1);
    assert.match(stderr, /nobody handles me/);
  });
});

describe("whose client leaves", () => {
  const clients: Record<string, () => Client> = {
    "a signal that aborts": () => {
      const controller = new AbortController();
      return {
        source: controller.signal,
        leave: () => controller.abort(new Error("gone")),
        listeners: () => getEventListeners(controller.signal, "abort").length,
        reason: /^Error: gone$/,
      };
    },
    "the signal of a web Request": () => {
      const controller = new AbortController();
      const request = new Request("http://localhost/", { signal: controller.signal });
      return {
        source: request,
        leave: () => controller.abort(new Error("gone")),
        listeners: () => getEventListeners(request.signal, "abort").length,
        reason: /^Error: gone$/,
      };
    },
    "a response that closes before it has finished": () => {
      const response = new Response();
      return {
        source: { response },
        leave: () => response.close(),
        listeners: () => response.listenerCount("close"),
        reason: /^AbortError: the client has left before the response was finished$/,
      };
    },
  };
  for (const [name, makeClient] of Object.entries(clients)) {
    test(
      `is cancelled with the reason: ${name}`,
      virtual(async () => {
        const { source, leave, listeners, reason } = makeClient();
        const seen: unknown[] = [];
        const body = async (): Promise<void> => {
          await sleep(3600).catch((error) => {
            seen.push(error.source, String(error.reason));
            throw error;
          });
        };
        const request = requestScope(source, body);
        await sleep(1);
        assert.equal(listeners(), 1);

        leave();

        const error = await rejection(request);
        assert.ok(error instanceof CancelledError && error.cause === error.reason);
        assert.match(String(error.reason), reason);
        assert.deepEqual(seen, ["abort", String(error.reason)]);
        assert.equal(listeners(), 0);
      }),
    );

    test(
      `has left nothing on the client when it has ended: ${name}`,
      virtual(async () => {
        const { source, listeners } = makeClient();

        await requestScope(source, () => sleep(1));
        await rejection(requestScope(source, () => Promise.reject(new Error("expected"))));
        await rejection(timeout(1, () => requestScope(source, () => sleep(2))));

        assert.equal(listeners(), 0);
      }),
    );

    test(
      `does not begin when the client had left before: ${name}`,
      virtual(async () => {
        const { source, leave, listeners, reason } = makeClient();
        let isBegun = false;
        leave();

        const error = await rejection(
          requestScope(source, async () => {
            isBegun = true;
          }),
        );

        assert.ok(error instanceof CancelledError && error.source === "abort");
        assert.match(String(error.reason), reason);
        assert.deepEqual([isBegun, listeners()], [false, 0]);
      }),
    );

    test(
      `gives its value if it has one all the same: ${name}`,
      virtual(async () => {
        const { source, leave } = makeClient();
        const body = (): Promise<unknown> => sleep(3600).catch(() => "saved all the same");
        const request = requestScope(source, body);
        await sleep(1);

        leave();

        assert.equal(await request, "saved all the same");
      }),
    );
  }

  test(
    "goes on when its response closes because it has finished",
    virtual(async () => {
      const response = new Response();
      const request = requestScope({ response }, () => sleep(2, "the rest of the work"));
      await sleep(1);

      response.finish();
      response.close();

      assert.equal(await request, "the rest of the work");
    }),
  );

  test(
    "begins when its response has finished before",
    virtual(async () => {
      const response = new Response();
      response.finish();
      response.close();

      assert.equal(await requestScope({ response }, () => sleep(1, "begun")), "begun");
    }),
  );

  test(
    "is cancelled when its response was ended, and closes before all of it has gone out",
    virtual(async () => {
      const response = new Response();
      const request = requestScope({ response }, () => sleep(2));
      await sleep(1);

      response.writableEnded = true;
      response.close();

      assert.ok((await rejection(request)) instanceof CancelledError);
    }),
  );

  test("leaves the other requests of one signal alone until that aborts, on the real loop too", async () => {
    const controller = new AbortController();
    const ended = requestScope(controller.signal, async () => "ended");
    const waiting = requestScope(controller.signal, () => sleep(3600));

    assert.equal(await ended, "ended");
    controller.abort();

    assert.ok((await rejection(waiting)) instanceof CancelledError);
    assert.equal(getEventListeners(controller.signal, "abort").length, 0);
  });

  test("a cancelled request that nobody awaits does no harm", async () => {
    const { code, stderr, stdout } = await runFixture("requests", "unhandled cancellations");

    assert.deepEqual([code, stderr, stdout], [0, "", "went on\n"]);
  });
});

describe("when the run shuts down", () => {
  /** A server that runs `serve` in a callback of the host, and main ends a second later. */
  const serveAndEnd = (
    loop: VirtualLoop,
    serve: () => void,
    atTheEnd: () => void = () => {},
  ): Promise<void> =>
    run(
      async () => {
        await callback(serve);
        await sleep(1);
        atTheEnd();
      },
      { loop },
    );

  test("a request has its time, and what it needs goes on: tasks are cancelled when it has ended", async () => {
    const log: string[] = [];
    const loop = new VirtualLoop();
    const noted = (what: string): void => void log.push(`${what} at ${loop.time()}`);

    await serveAndEnd(loop, () => {
      createTask(() => sleep(3600).finally(() => noted("the ticker has ended")));
      void requestScope(staying(), () => sleep(5).finally(() => noted("the request has ended")));
    });

    assert.deepEqual(log, ["the request has ended at 5", "the ticker has ended at 5"]);
  });

  test("one that takes longer than `drain` is cancelled, and may clean up", async () => {
    const log: unknown[] = [];
    const loop = new VirtualLoop();
    const body = async (): Promise<void> => {
      try {
        await sleep(3600);
      } catch (error) {
        log.push((error as CancelledError).source, loop.time());
        await sleep(2);
        log.push(loop.time());
        throw error;
      }
    };
    let request: Promise<void> | undefined;

    await serveAndEnd(loop, () => {
      request = requestScope(staying(), body, { drain: 3 });
      void requestScope(staying(), () => sleep(3600));
    });

    const error = await rejection(request as Promise<void>);
    assert.ok(error instanceof CancelledError && error.source === "shutdown");
    assert.deepEqual([log, loop.time()], [["shutdown", 4, 6], 11]);
  });

  test("one with a drain of 0 is cancelled at once, one of Infinity never", async () => {
    const loop = new VirtualLoop();
    const log: unknown[] = [];

    await serveAndEnd(loop, () => {
      void requestScope(staying(), () => sleep(50).finally(() => log.push(loop.time())), {
        drain: 0,
      });
      void requestScope(staying(), () => sleep(50).finally(() => log.push(loop.time())), {
        drain: Number.POSITIVE_INFINITY,
      });
    });

    assert.deepEqual(log, [1, 50]);
  });

  test("a request that begins then has what is left of that time", async () => {
    const loop = new VirtualLoop();
    const log: unknown[] = [];
    const late = (drain: number): Promise<unknown> =>
      requestScope(staying(), () => sleep(3600), { drain }).catch((error) =>
        log.push([error.source ?? error.code, loop.time()]),
      );

    await serveAndEnd(loop, () => {
      createTask(() => sleep(3).then(() => Promise.all([late(5), late(1)])));
      void requestScope(staying(), () => sleep(3600)).catch(() => {});
    });

    assert.deepEqual(log, [
      ["ERR_ASYNCIO_INVALID_STATE", 3],
      ["shutdown", 6],
    ]);
  });

  test("no request is taken once they are drained, and the error says what to do", async () => {
    let error: unknown;
    const loop = new VirtualLoop();

    await serveAndEnd(loop, () => {
      createTask(() =>
        sleep(3600).finally(async () => {
          error = await rejection(requestScope(staying(), async () => {}));
        }),
      );
    });

    assert.match(
      String(error),
      /^InvalidStateError: `requestScope` was called .* Close the server/,
    );
    const again = run(() => requestScope(staying(), async () => "taken again"), { loop });
    assert.equal(await again, "taken again");
  });

  for (const loop of [new VirtualLoop(), new HostLoop()]) {
    test(`main is cancelled by the signal, and its requests are not: ${loop.constructor.name}`, async () => {
      const log: string[] = [];
      const seconds = 0.005;

      const stopped = run(
        async () => {
          const goOn = new Event();
          void callback(() =>
            requestScope(staying(), async () => {
              goOn.set();
              await sleep(seconds);
              log.push("answered");
            }),
          );
          await goOn.wait();
          allTasksNamed("main")[0]?.cancelFor("shutdown"); // as a signal does
          await sleep(3600).finally(async () => {
            log.push("main is closing the server");
            await requestScope(staying(), async () => log.push("another one"));
            await sleep(0); // the request has not taken main's cancellation, nor brought it back
          });
        },
        { loop },
      );

      await rejection(stopped);
      assert.deepEqual(log, ["main is closing the server", "another one", "answered"]);
    });
  }

  test("a cancellation that main has not seen yet is not taken by a request that begins", async () => {
    const loop = new VirtualLoop();
    const log: string[] = [];

    const stopped = run(
      async () => {
        allTasksNamed("main")[0]?.cancelFor("shutdown");
        await callback(() => requestScope(staying(), async () => log.push("answered")));
        await sleep(3600).catch((error) => {
          log.push(error.source);
          throw error;
        });
      },
      { loop },
    );

    await rejection(stopped);
    assert.deepEqual(log, ["answered", "shutdown"]);
  });

  test("after a deadlock nothing is waited for", async () => {
    const stuck: Promise<unknown>[] = [];
    const loop = new VirtualLoop();

    const error = await rejection(
      run(
        async () => {
          stuck.push(rejection(requestScope(staying(), () => new Event().wait())));
          await new Event().wait();
        },
        { loop },
      ),
    );

    assert.ok(error instanceof DeadlockError);
    assert.ok((await stuck[0]) instanceof CancelledError);
    assert.equal(loop.time(), 0);
  });

  test("requests that were on the loop before belong to somebody else, and go on", async () => {
    const loop = new VirtualLoop();
    let before: Promise<string> | undefined;
    loop.callSoon(() => {
      before = requestScope(staying(), () => sleep(5, "answered"), { drain: 0 });
    });

    await callback(() => {});
    await run(() => sleep(1), { loop });

    assert.equal(await before, "answered");
  });
});

describe("where it is called", () => {
  test("outside every run it runs on the default loop", async () => {
    const tenant = new ContextVar("tenant", { default: "nobody" });
    const loop = getRunningLoop();
    const seen = await requestScope(staying(), async () => {
      tenant.set("ann");
      await sleep(0.001);
      return [tenant.get(), getRunningLoop() === loop];
    });

    assert.deepEqual([seen, tenant.get()], [["ann", true], "nobody"]);
  });

  test("when its run has ended it runs on the default loop, with the variables of where it is called", async () => {
    const defaultLoop = getRunningLoop();
    const tenant = new ContextVar<string>("tenant");
    let answer: Promise<unknown> | undefined;
    let goOn: () => void = () => {};
    const isOver = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    await run(async () => {
      tenant.set("set in main");
      answer = isOver.then(() =>
        requestScope(staying(), async () => {
          await sleep(0.001);
          return [tenant.get(), getRunningLoop() === defaultLoop];
        }),
      );
    });

    goOn();

    assert.deepEqual(await answer, ["set in main", true]);
  });

  test(
    "in a scope whose deadline passes it is cancelled with that, and the deadline is known as such",
    virtual(async (loop) => {
      const log: unknown[] = [];
      const body = (): Promise<void> =>
        sleep(3600).catch(async (error) => {
          await sleep(1);
          log.push(error.source, loop.time());
          throw error;
        });

      const error = await rejection(timeout(2, () => requestScope(staying(), body)));

      assert.ok(error instanceof TimeoutError);
      assert.deepEqual(log, ["deadline", 3]);
    }),
  );

  test(
    "in a scope whose deadline has passed it does not begin",
    virtual(async () => {
      let isBegun = false;
      const body = async (): Promise<void> => {
        isBegun = true;
      };

      const error = await rejection(timeout(0, () => requestScope(staying(), body)));

      assert.ok(error instanceof TimeoutError);
      assert.equal(isBegun, false);
    }),
  );

  test(
    "of two scopes that are cancelled while it ends the outer one answers",
    virtual(async () => {
      const slow = (): Promise<void> => sleep(3600).finally(() => sleep(3));
      const task = createTask(() => timeout(1, () => requestScope(staying(), slow)));
      await sleep(2);

      task.cancel("enough");

      const error = await rejection(task);
      assert.ok(error instanceof CancelledError);
      assert.equal(error.reason, "enough");
    }),
  );

  test(
    "a failure of a request that is cancelled with its caller is the caller's, and the cancellation comes back",
    virtual(async () => {
      const failure = new Error("expected");
      const scope = new CancelScope();
      let next: unknown;

      await scope.run(async () => {
        const request = requestScope(staying(), () =>
          sleep(3600).catch(() => {
            throw failure;
          }),
        );
        getRunningLoop().callLater(1, () => scope.cancel());
        assert.equal(await rejection(request), failure);
        next = await rejection(sleep(0));
      });

      assert.ok(next instanceof CancelledError);
    }),
  );
});

test("whatever is no source, no body or no option is refused with the cure", async () => {
  const body = async (): Promise<void> => {};
  const wrong: readonly (readonly [RegExp, unknown[]])[] = [
    [
      /expects an AbortSignal, a web Request, or `\{ request, response \}` of Node, got undef/,
      [undefined, body],
    ],
    [/expects an AbortSignal, .* got an object/, [{ request: {} }, body]],
    [
      /expects a function that returns a promise, got a promise\. .* pass `\(\) => work\(\)`/,
      [staying(), body()],
    ],
    [/expects `drain` in seconds, got "1"/, [staying(), body, { drain: "1" }]],
    [/expects `drain` of 0 seconds or more, got -1/, [staying(), body, { drain: -1 }]],
    [/expects `drain` in seconds, got NaN/, [staying(), body, { drain: Number.NaN }]],
    [
      /expects `context` of type Context, got an instance of Map/,
      [staying(), body, { context: new Map() }],
    ],
    [/expects an object of options, got "GET"/, [staying(), body, "GET"]],
  ];

  for (const [message, args] of wrong) {
    const error = await rejection(requestScope(...(args as Parameters<typeof requestScope>)));
    assert.match(String(error), message);
    assert.equal((error as { code?: unknown }).code, "ERR_ASYNCIO_INVALID_ARGUMENT");
  }
});

describe("under test", () => {
  const tenant = new ContextVar<string>("tenant");
  const requests = async (): Promise<void> => {
    const controller = new AbortController();
    const handle = async (name: string): Promise<string> => {
      tenant.set(name);
      await sleep(0);
      return tenant.get();
    };
    const answers = ["ann", "bob", "cid"].map((name) =>
      requestScope(name === "cid" ? controller.signal : staying(), () => handle(name)),
    );
    const leaving = createTask(async () => controller.abort());
    const [ann, bob] = await Promise.all(answers.slice(0, 2));
    assert.deepEqual([ann, bob], ["ann", "bob"]);
    const cid = await answers[2]?.catch((error) => error.source);
    assert.ok(cid === "cid" || cid === "abort");
    await leaving;
  };

  test("requests are apart under every schedule", async () => {
    await explore(requests);
  });

  test("nothing is left of them wherever their caller is cancelled", async () => {
    await cancelSweep(requests);
  });
});

interface Client {
  readonly source: RequestSource;
  leave(): void;
  listeners(): number;
  readonly reason: RegExp;
}

function allTasksNamed(name: string): { cancelFor(source: "shutdown"): unknown }[] {
  return [...allTasks()].filter((task) => task.getName() === name);
}

/** What a promise comes to. */
function rejectionOrValue(promise: Promise<unknown>): Promise<unknown> {
  return promise.catch((error) => error);
}
