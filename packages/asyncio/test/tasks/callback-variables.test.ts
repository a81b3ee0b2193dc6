// What debug mode says of a context variable that callbacks of the host set one after the other.

import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { Agent, createServer, get, type IncomingMessage, type RequestListener } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer } from "node:net";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import {
  ContextVar,
  createTask,
  currentTask,
  type EventLoop,
  type ExceptionContext,
  gather,
  HostLoop,
  requestScope,
  run,
  sleep,
  taskGroup,
  timeout,
} from "../../src/index.ts";
import { here } from "../../src/kernel/operation.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { collectGarbage } from "../gc.ts";
import { collectReports } from "../virtual.ts";

/** Runs `body` as main of `loop` and gives what the exception handler was told. */
async function reportsOf(
  body: () => Promise<unknown>,
  loop: EventLoop = new HostLoop({ debug: true }),
): Promise<ExceptionContext[]> {
  const reports = collectReports(loop);
  await run(body, { loop, signals: false });
  return reports;
}

async function messagesOf(body: () => Promise<unknown>, loop?: EventLoop): Promise<string[]> {
  return (await reportsOf(body, loop)).map(({ message }) => message);
}

/** Asks a server with `handler` for each of the paths, one after the other, on one connection. */
async function serve(handler: RequestListener, ...paths: string[]): Promise<string[]> {
  const server = createServer(handler).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const answers: string[] = [];
  for (const path of paths) {
    const options = { port, path, agent, host: "127.0.0.1" };
    const response = await new Promise<IncomingMessage>((resolve) => get(options, resolve));
    answers.push(await text(response));
  }
  agent.destroy();
  server.close();
  await once(server, "close");
  return answers;
}

/** Calls `callbacks` from the host, each in a timer of its own. */
async function fromHost(...callbacks: (() => unknown)[]): Promise<void> {
  for (const callback of callbacks)
    await new Promise<void>((resolve) => {
      setTimeout(() => {
        callback();
        resolve();
      }, 0);
    });
  await new Promise((resolve) => setTimeout(resolve, 0));
}

describe("debug mode reports a context variable that two callbacks of the host have set in turn", () => {
  test("two requests of node:http, with the variable, both places, the task and the cure", async () => {
    const tenant = new ContextVar<string>("tenant");
    const [report, ...others] = await reportsOf(() =>
      serve(
        function first(request, response) {
          if (request.url === "/ann") tenant.set("ann");
          else tenant.set("bob");
          response.end(tenant.get());
        },
        "/ann",
        "/bob",
      ),
    );

    assert.deepEqual(others, []);
    assert.match(
      report?.message ?? "",
      /^ContextVar "tenant" was set by two callbacks in turn, the first at \S*first \(.*callback-variables\.test\.ts:\d+:\d+\), the second at \S*first \(.*callback-variables\.test\.ts:\d+:\d+\)\. They share the variables of task "main".*`requestScope`/,
    );
    assert.equal(report?.task?.getName(), "main");
    assert.match(report?.sourceTraceback ?? "", /callback-variables\.test\.ts/);
  });

  test("a handler that sets it behind an await of something foreign", async () => {
    const tenant = new ContextVar<string>("tenant");
    const messages = await messagesOf(() =>
      serve(
        async (request, response) => {
          await new Promise((resolve) => setTimeout(resolve, 1));
          tenant.set(request.url ?? "");
          response.end();
        },
        "/ann",
        "/bob",
      ),
    );

    assert.equal(messages.length, 1);
    assert.match(messages[0] ?? "", /two callbacks in turn, both at /);
  });

  test("connections of a TCP server", async () => {
    const peer = new ContextVar<number>("peer");
    const messages = await messagesOf(async () => {
      const server = createTcpServer((socket) => {
        peer.set(socket.remotePort ?? 0);
        socket.end();
      }).listen(0, "127.0.0.1");
      await once(server, "listening");
      const { port } = server.address() as AddressInfo;
      for (let client = 0; client < 2; client++)
        await once(connect(port, "127.0.0.1").resume(), "close");
      server.close();
      await once(server, "close");
    });

    assert.equal(messages.length, 1);
    assert.match(messages[0] ?? "", /^ContextVar "peer"/);
  });

  test("listeners of an emitter that timers of the host emit to", async () => {
    const topic = new ContextVar<string>("topic");
    const messages = await messagesOf(async () => {
      const emitter = new EventEmitter();
      emitter.on("message", (name: string) => topic.set(name));
      await fromHost(
        () => emitter.emit("message", "a"),
        () => emitter.emit("message", "b"),
      );
    });

    assert.equal(messages.length, 1);
  });

  test("on a virtual loop as well", async () => {
    const topic = new ContextVar<string>("topic");
    const set = () => topic.set("a");

    const messages = await messagesOf(() => fromHost(set, set), new VirtualLoop({ debug: true }));

    assert.equal(messages.length, 1);
  });

  test("in a nested scope, whose context is that of its task", async () => {
    const topic = new ContextVar<string>("topic");
    const set = () => topic.set("a");

    const messages = await messagesOf(() => timeout(60, () => fromHost(set, set)));

    assert.equal(messages.length, 1);
  });

  test("once for each place, however many callbacks come, and for each variable", async () => {
    const [tenant, locale] = [new ContextVar<string>("tenant"), new ContextVar<string>("locale")];
    const set = () => tenant.set("a");
    const setOther = () => locale.set("en");

    const messages = await messagesOf(async () => {
      await fromHost(set, set, set, set);
      await fromHost(setOther, setOther);
    });

    assert.equal(messages.length, 2);
    assert.match(messages.join(), /"tenant".*"locale"/);
  });
});

describe("debug mode says nothing of a context variable", () => {
  const quiet: Record<string, (variable: ContextVar<string>) => Promise<unknown>> = {
    "that a task sets twice": async (variable) => {
      variable.set("a");
      await new Promise((resolve) => setTimeout(resolve, 1));
      variable.set("b");
      await sleep(0.001);
      variable.set("c");
    },
    "that a helper of a task sets behind awaits, again and again": async (variable) => {
      const set = async (value: string): Promise<void> => {
        await new Promise((resolve) => setTimeout(resolve, 0));
        variable.set(value);
      };
      for (const value of ["a", "b", "c"]) await set(value);
    },
    "that a task sets beside one callback": async (variable) => {
      variable.set("a");
      await fromHost(() => variable.set("b"));
      variable.set("c");
    },
    "that one callback sets twice": async (variable) => {
      await fromHost(async () => {
        variable.set("a");
        await undefined;
        variable.set("b");
      });
    },
    "that callbacks set and reset": async (variable) => {
      const setForAWhile = (): void => variable.reset(variable.set("a"));
      await fromHost(setForAWhile, setForAWhile);
    },
    "that two children set": async (variable) => {
      await taskGroup(async (group) => {
        group.createTask(async () => variable.set("a"));
        group.createTask(async () => variable.set("b"));
      });
    },
    "that two calls of gather set": async (variable) => {
      await gather(
        async () => variable.set("a"),
        async () => variable.set("b"),
      );
    },
    "that branches of a bare Promise.all set, since they look like one task": async (variable) => {
      const branch = async (value: string): Promise<void> => {
        await sleep(0.001);
        variable.set(value);
      };
      await Promise.all([branch("a"), branch("b")]);
    },
    "that tasks set which callbacks have started": async (variable) => {
      const start = (): void => void createTask(async () => variable.set("a"));
      await fromHost(start, start);
    },
    "that such a task sets, beside one callback of its own": async (variable) => {
      const work = async (): Promise<void> => {
        variable.set("a");
        await fromHost(() => variable.set("b"));
        variable.set("c");
      };
      await new Promise((resolve) => setTimeout(() => resolve(createTask(work)), 0));
    },
    "that callbacks of the loop set, which have a copy each": async (variable) => {
      const set = (): void => void variable.set("a");
      const { loop } = here();
      await fromHost(
        () => loop.callSoon(set),
        () => loop.callSoon(set),
      );
    },
    "that a task sets around a function bound to its context": async (variable) => {
      const { AsyncResource } = await import("node:async_hooks");
      const resource = new AsyncResource("a pool");
      for (const value of ["a", "b"]) {
        resource.runInAsyncScope(() => variable.set(value));
        variable.set(value);
        await undefined;
        variable.set(value);
      }
    },
    "of requests in `requestScope`": async (variable) => {
      const answers = await serve(
        (request, response) => {
          void requestScope({ request, response }, async () => {
            variable.set(request.url ?? "");
            await sleep(0.001);
            response.end(variable.get());
          });
        },
        "/ann",
        "/bob",
      );
      assert.deepEqual(answers, ["/ann", "/bob"]);
    },
  };
  for (const [title, body] of Object.entries(quiet)) {
    test(title, async () => {
      const variable = new ContextVar<string>("variable");

      assert.deepEqual(await messagesOf(() => body(variable)), []);
    });
  }

  test("and holds neither what was set nor the task when the run has ended", async () => {
    const tenant = new ContextVar<object>("tenant");
    const scenario = async (): Promise<WeakRef<object>[]> => {
      const refs: WeakRef<object>[] = [];
      const set = (): void => {
        const value = new Array(1000);
        refs.push(new WeakRef(value));
        tenant.set(value);
      };
      const reports = await reportsOf(async () => {
        refs.push(new WeakRef(currentTask() as object));
        await fromHost(set, set);
      });
      assert.equal(reports.length, 1);
      return refs;
    };

    const refs = await scenario();

    await collectGarbage();
    assert.deepEqual(
      refs.map((ref) => ref.deref()),
      [undefined, undefined, undefined],
    );
  });

  test("outside debug mode", async () => {
    const variable = new ContextVar<string>("variable");
    const set = () => variable.set("a");

    assert.deepEqual(
      await messagesOf(() => fromHost(set, set), new HostLoop({ debug: false })),
      [],
    );
  });
});
