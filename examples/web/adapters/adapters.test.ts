// Each framework, with real clients: what `requestScope` promises has to hold on all of them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Agent, get as httpGet, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { express, expressMiddleware } from "./express.ts";
import { fastify } from "./fastify.ts";
import { hono } from "./hono.ts";
import { nextRoute } from "./next-route.ts";
import { nodeHttp } from "./node-http.ts";
import type { Service } from "./service.ts";

const adapters = { hono, fastify, express, expressMiddleware, nodeHttp, nextRoute };

const unused: Service = {
  hello: async (name) => name,
  wait: async () => "",
  fail: async () => "",
};

for (const [name, adapter] of Object.entries(adapters)) {
  describe(name, () => {
    test("requests that are under way together see their own variables", async () => {
      const tenant = new asyncio.ContextVar<string>("tenant");
      const bothSet = new asyncio.Barrier(2);
      const hello = async (who: string): Promise<string> => {
        tenant.set(who);
        await bothSet.wait();
        return tenant.get();
      };

      await asyncio.run(async () => {
        const server = await adapter({ ...unused, hello });
        const answers = [ask(server.port, "/hello/ann"), ask(server.port, "/hello/bob")];
        assert.deepEqual(await Promise.all(answers), ["200 ann", "200 bob"]);
        server.close();
      });
    });

    test("a client that leaves ends the waits of its request, and of no other", async () => {
      const bothRun = new asyncio.Barrier(3);
      const left = new asyncio.Future<unknown>();
      const goOn = new asyncio.Event();
      const wait = async (): Promise<string> => {
        await bothRun.wait();
        await asyncio.sleep(3600).catch((error) => {
          left.setResult(error);
          throw error;
        });
        return "never";
      };
      const hello = async (): Promise<string> => {
        await bothRun.wait();
        await goOn.wait();
        return "answered";
      };

      await asyncio.run(async () => {
        const server = await adapter({ ...unused, hello, wait });
        const staying = ask(server.port, "/hello/ann");
        const leaving = httpGet(url(server.port, "/wait")).on("error", () => {});
        await bothRun.wait();

        leaving.destroy();

        const error = await left;
        assert.ok(error instanceof asyncio.CancelledError);
        assert.equal(error.source, "abort");
        goOn.set();
        assert.equal(await staying, "200 answered");
        server.close();
      });
    });

    test("a failure goes to the framework, and to nobody else", async () => {
      const fail = async (): Promise<string> => {
        await asyncio.sleep(0);
        throw new Error("out of paper");
      };
      const reports: unknown[] = [];

      await asyncio.run(async () => {
        asyncio.getRunningLoop().setExceptionHandler((_loop, report) => reports.push(report));
        const server = await adapter({ ...unused, fail });
        assert.match(await ask(server.port, "/fail"), /^500 .*out of paper/);
        server.close();
      });

      assert.deepEqual(reports, []);
    });

    test("a request that runs when main ends is answered", async () => {
      const isRunning = new asyncio.Event();
      const isOver = new asyncio.Event();
      const wait = async (): Promise<string> => {
        isRunning.set();
        await isOver.wait();
        await asyncio.sleep(0.001);
        return "answered";
      };
      let answer: Promise<string> | undefined;

      await asyncio.run(async () => {
        const server = await adapter({ ...unused, wait });
        answer = ask(server.port, "/wait");
        await isRunning.wait();
        server.close();
        asyncio.getRunningLoop().callLater(0.005, () => isOver.set());
      });

      assert.equal(await answer, "200 answered");
    });

    test("a server that outlives its run is served on", async () => {
      const server = await asyncio.run(() =>
        adapter({ ...unused, hello: (who) => asyncio.sleep(0.001, who) }),
      );

      assert.equal(await ask(server.port, "/hello/ann"), "200 ann");
      server.close();
    });
  });
}

test("the guide shows what is in the files of the adapters", () => {
  const page = readFileSync(
    new URL("../../../docs/guide/in-a-web-server.md", import.meta.url),
    "utf8",
  );
  const blocks = [...page.matchAll(/^```typescript (\S+)\n([\s\S]*?)^```$/gm)];
  assert.equal(blocks.length, 7);
  for (const [, file = "", code = ""] of blocks) {
    const source = readFileSync(new URL(file, import.meta.url), "utf8");
    assert.ok(source.includes(code), `${file} has no longer:\n${code}`);
  }
});

function url(port: number, path: string): string {
  return `http://127.0.0.1:${port}${path}`;
}

/** Status and body, on a connection of its own. */
async function ask(port: number, path: string): Promise<string> {
  const agent = new Agent();
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    httpGet(url(port, path), { agent }, resolve).on("error", reject);
  });
  const body = await text(response);
  agent.destroy();
  return `${response.statusCode} ${body}`;
}
