// Code that goes on after its run: listeners, handlers of servers. Its async context is still that
// of the run.

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { createServer, type Server } from "node:http";
import { describe, test } from "node:test";
import {
  ContextVar,
  createTask,
  currentTask,
  type ExceptionContext,
  getRunningLoop,
  Runner,
  run,
  sleep,
  startServer,
  taskGroup,
} from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { rejection } from "../virtual.ts";

type Within = <R>(fn: () => R) => R;

/** The async context of a main that has ended, and of a child of it. */
async function endedContexts(loop: VirtualLoop | undefined): Promise<Record<string, Within>> {
  const contexts: Record<string, Within> = {};
  await run(
    async () => {
      contexts.main = AsyncLocalStorage.snapshot();
      await taskGroup(async (group) => {
        group.createTask(async () => {
          contexts.child = AsyncLocalStorage.snapshot();
        });
      });
    },
    { loop },
  );
  return contexts;
}

const here = /the run that was started at .*after-the-end\.test\.ts:\d+:\d+\)? has ended/;

describe("R28: run in the context of a run that has ended", () => {
  for (const [where, makeLoop] of [
    ["in real time", () => undefined],
    ["in virtual time", () => new VirtualLoop()],
  ] as const) {
    test(`${where} it is a root of its own, whatever code calls it`, async () => {
      for (const within of Object.values(await endedContexts(makeLoop()))) {
        const seen = await within(() =>
          run(
            async () => {
              const left = createTask(() => sleep(3600));
              await sleep(0.001);
              return [currentTask()?.getName(), left.done()];
            },
            { loop: makeLoop() },
          ),
        );

        assert.deepEqual(seen, ["main", false]);
      }
    });

    test(`${where} other operations say which run has ended, and where it was started`, async () => {
      for (const within of Object.values(await endedContexts(makeLoop()))) {
        const error = await rejection(within(() => sleep(1)));

        assert.match((error as Error).message, /^cut off: .* has ended before it: /);
        assert.match((error as Error).message, here);
      }
    });
  }

  test("createTask and callSoon say so, too", async () => {
    const { main } = await endedContexts(undefined);

    for (const call of [
      (): unknown => createTask(() => sleep(1)),
      (): unknown => getRunningLoop().callSoon(() => {}),
    ])
      assert.throws(() => main?.(call), { code: "ERR_ASYNCIO_INVALID_STATE", message: here });
  });

  test("it has signals of its own, and nobody cancels it from above", async () => {
    const { main } = await endedContexts(undefined);
    const before = process.listenerCount("SIGTERM");

    const during = await main?.(() => run(async () => process.listenerCount("SIGTERM")));

    assert.equal(during, before + 1);
    assert.equal(process.listenerCount("SIGTERM"), before);
  });

  test("it begins with the context variables of where it is called", async () => {
    const user = new ContextVar<string>("user");
    let within: Within | undefined;
    await run(async () => {
      user.set("ann");
      within = AsyncLocalStorage.snapshot();
    });

    const seen = await within?.(() =>
      run(async () => {
        const before = user.get();
        user.set("bob");
        return before;
      }),
    );

    assert.deepEqual([seen, within?.(() => user.get())], ["ann", "ann"]);
  });

  test("a Runner that is closed counts as ended, one between two runs does not", async () => {
    let within: Within | undefined;
    const runner = new Runner();
    await runner.run(async () => {
      within = AsyncLocalStorage.snapshot();
    });
    const signals = () => run(async () => process.listenerCount("SIGTERM"));
    const error = await rejection(within?.(() => run(async () => {})) as Promise<void>);
    const atRest = process.listenerCount("SIGTERM");
    await runner.close();

    assert.match((error as Error).message, /^cut off: the scope .* has ended before it$/);
    assert.equal(await within?.(signals), atRest);
  });

  test("a branch that was cut off in a run that goes on starts none", async () => {
    await run(async () => {
      let within: Within | undefined;
      await createTask(async () => {
        within = AsyncLocalStorage.snapshot();
      });

      const error = await rejection(within?.(() => run(async () => {})) as Promise<void>);

      assert.match((error as Error).message, /^cut off: the scope .* has ended before it$/);
    });
  });
});

describe("R25: servers of others that outlive their run are told of", () => {
  async function reportsOf(main: () => Promise<unknown>): Promise<ExceptionContext[]> {
    const reports: ExceptionContext[] = [];
    await run(async () => {
      getRunningLoop().setExceptionHandler((_loop, context) => reports.push(context));
      await main();
    });
    return reports;
  }
  const listening = (server: Server) => new Promise<void>((resolve) => server.listen(0, resolve));
  const closed = async (server: Server) => {
    await new Promise((resolve) => server.close(resolve));
    for (let turn = 0; turn < 2; turn++) await new Promise(setImmediate); // until then the host counts it
  };

  for (const [count, words] of [
    [1, /^main has ended, and a server still listens:/],
    [2, /^main has ended, and 2 servers still listen:/],
  ] as const) {
    test(`by one line, however many: ${count}`, async () => {
      const servers = Array.from({ length: count }, () => createServer());
      const reports = await reportsOf(() => Promise.all(servers.map(listening)));
      await Promise.all(servers.map(closed));

      assert.equal(reports.length, 1);
      assert.match(reports[0]?.message ?? "", words);
    });
  }

  test("not those that main has closed, that were there before, or that are ours", async () => {
    const before = createServer();
    await listening(before);

    const reports = await reportsOf(async () => {
      const server = createServer();
      await listening(server);
      await closed(server);
      await startServer(async () => {}, { port: 0 });
    });
    await closed(before);

    assert.deepEqual(reports, []);
  });

  test("and their requests may call run", async () => {
    const server = createServer(async (_request, response) => {
      response.end(await run(() => sleep(0.001, "served")));
    });
    await reportsOf(() => listening(server));
    const { port } = server.address() as { port: number };

    const text = await (
      await fetch(`http://127.0.0.1:${port}`, { headers: { connection: "close" } })
    ).text();
    await closed(server);

    assert.equal(text, "served");
  });
});
