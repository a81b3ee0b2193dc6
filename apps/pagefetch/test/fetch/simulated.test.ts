import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import * as testing from "asyncio-ts/testing";
import { PageError } from "../../src/contract/errors.ts";
import { HeldBytes } from "../../src/contract/held.ts";
import type { FetchOptions } from "../../src/contract/options.ts";
import type { Outcome, Politeness, Proxies } from "../../src/contract/parts.ts";
import { Egress } from "../../src/egress/egress.ts";
import { zoneResolver } from "../../src/egress/resolve.ts";
import { fetchOnce } from "../../src/fetch/fetcher.ts";
import { simulatedWire } from "../support/simulated.ts";

const host = "192.0.2.80";
type Get = (path: string, options?: FetchOptions) => ReturnType<typeof fetchOnce>;
type Answer = (path: string, count: number, writer: asyncio.StreamWriter) => Promise<void>;

function page(text: string, headers = ""): string {
  return `HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: ${text.length}\r\n${headers}\r\n${text}`;
}

/** A host that gives `answer` on each connection, and a client that fetches from it. */
async function withHost<T>(
  answer: Answer,
  body: (get: Get) => Promise<T>,
  parts: { politeness?: Politeness; proxies?: Proxies; held?: HeldBytes } = {},
  network = new testing.SimulatedNetwork({ latency: 0.05 }),
): Promise<T> {
  let count = 0;
  return await network.host(host).run(async () => {
    await using server = await asyncio.startServer(
      async (reader, writer) => {
        const head = new TextDecoder().decode(await reader.readUntil("\r\n\r\n"));
        await answer(head.split(" ")[1] ?? "", ++count, writer);
        writer.close();
      },
      host,
      80,
    );
    void server;
    return await network.host("client").run(() =>
      body((path, options) => {
        const egress = new Egress({
          wire: simulatedWire,
          resolver: zoneResolver({ "host.test": [host] }),
          allow: ["192.0.2.0/24"],
        });
        return fetchOnce(`http://host.test${path}`, options, {
          egress,
          random: () => 0.5,
          ...parts,
        });
      }),
    );
  });
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(error instanceof PageError, String(error));
  return `${error.code} in ${error.details.phase}`;
}

/** A lease that tells how it ended. */
function leases(): {
  politeness: Politeness;
  proxies: Proxies;
  ended: Outcome[];
  open: () => number;
} {
  const ended: Outcome[] = [];
  let open = 0;
  const lease = () => {
    open++;
    return {
      end: (outcome: Outcome) => {
        open--;
        ended.push(outcome);
      },
    };
  };
  return {
    ended,
    open: () => open,
    politeness: {
      async enter() {
        await asyncio.sleep(1);
        return { waited: 1, ...lease() };
      },
    },
    proxies: {
      async route() {
        await asyncio.sleep(0.1);
        return { id: "direct", proxy: undefined, ...lease() };
      },
    },
  };
}

describe("in virtual time", () => {
  test("a page takes its time, and no more", async () => {
    await testing.runTest(async (t) => {
      const answer: Answer = async (_path, _count, writer) => {
        await asyncio.sleep(2);
        await writer.write(page("hello"));
      };
      const found = await withHost(answer, (get) => get("/"));
      assert.equal(found.text(), "hello");
      // There and back for the connection, and for the request.
      assert.equal(t.now.toFixed(2), "2.20");
      assert.equal(found.seconds.toFixed(2), "2.20");
    });
  });

  test("a host that answers after an hour is left after 20 seconds", async () => {
    await testing.runTest(async (t) => {
      const answer: Answer = async () => await asyncio.sleep(3600);
      const code = await withHost(answer, (get) => codeOf(get("/", { retries: 0 })));
      assert.equal(code, "timeout in headers");
      assert.ok(t.now < 21, `${t.now}`);
    });
  });

  test("a byte every ten seconds is left when the attempt has had its time", async () => {
    await testing.runTest(async () => {
      const answer: Answer = async (_path, _count, writer) => {
        await writer.write("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
        for (;;) {
          await asyncio.sleep(10);
          await writer.write("x");
        }
      };
      const code = await withHost(answer, (get) => codeOf(get("/", { retries: 0 })));
      assert.equal(code, "timeout in body");
    });
  });

  test("attempts are apart by what their class and the draw say", async () => {
    await testing.runTest(async () => {
      const at: number[] = [];
      const answer: Answer = async (_path, count, writer) => {
        at.push(asyncio.getRunningLoop().time());
        const busy = "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n";
        await writer.write(count < 3 ? busy : page("hello"));
      };
      const found = await withHost(answer, (get) => get("/"));
      const gaps = at.slice(1).map((when, index) => (when - (at[index] ?? 0)).toFixed(2));
      assert.equal(found.attempts.length, 3);
      // Half of 0.5 and of 1, and four ways of 0.05 each.
      assert.deepEqual(gaps, ["0.45", "0.70"]);
    });
  });

  test("`Retry-After` is waited for, and not counted as an attempt of other failures", async () => {
    await testing.runTest(async (t) => {
      const answer: Answer = async (_path, count, writer) => {
        const later = "HTTP/1.1 429 Later\r\nretry-after: 10\r\ncontent-length: 0\r\n\r\n";
        await writer.write(count < 4 ? later : page("hello"));
      };
      const found = await withHost(answer, (get) => get("/", { retries: 1 }));
      assert.equal(found.attempts.length, 4);
      assert.ok(t.now > 30 && t.now < 40, `${t.now}`);
    });
  });

  test("the deadline is for all of it", async () => {
    await testing.runTest(async (t) => {
      const answer: Answer = async () => await asyncio.sleep(3600);
      const code = await withHost(answer, (get) => codeOf(get("/", { timeout: 50 })));
      assert.match(code, /^timeout in (headers|connect)/);
      assert.ok(t.now <= 50.1, `${t.now}`);
    });
  });
});

describe("swept", () => {
  const steady: Answer = async (path, _count, writer) => {
    const moved = "HTTP/1.1 302 Moved\r\nlocation: /b\r\ncontent-length: 2\r\n\r\nno";
    await writer.write(path === "/a" ? moved : page("hello"));
  };

  test("cancelled anywhere, turn, route and bytes are given back, and no socket is left", async () => {
    await testing.cancelSweep(async () => {
      const { politeness, proxies, open } = leases();
      const held = new HeldBytes();
      const cached: Answer = async (path, count, writer) =>
        path === "/c"
          ? await writer.write(page("hello", "cache-control: max-age=60\r\n"))
          : await steady(path, count, writer);
      try {
        const ask = async (get: Get): Promise<string[]> => [
          (await get("/a")).text(),
          (await get("/c", { cache: "use" })).text(),
        ];
        const found = await withHost(cached, ask, { politeness, proxies, held });
        assert.deepEqual(found, ["hello", "hello"]);
      } finally {
        assert.deepEqual([open(), held.total], [0, 0]);
      }
    });
  });

  test("a failure of the network at any place is tried again, and a deadline at any place is kept", async () => {
    const sweep = await testing.faultSweep(async () => {
      const { politeness, proxies, open, ended } = leases();
      const held = new HeldBytes();
      const found = await withHost(steady, (get) => get("/a"), { politeness, proxies, held });
      assert.equal(found.text(), "hello");
      assert.deepEqual([open(), held.total], [0, 0]);
      const failed = found.attempts.filter(({ failure }) => failure !== undefined);
      assert.equal(ended.filter(({ failure }) => failure !== undefined).length, 2 * failed.length);
    });
    assert.equal(sweep.complete, true);
    assert.ok(sweep.places >= 6, `${sweep.places} places`);
  });

  test("three at a time, in any order of steps, with one who leaves", async () => {
    await testing.explore(
      async () => {
        const { politeness, proxies, open } = leases();
        const texts = await withHost(
          steady,
          async (get) => {
            const leaver = asyncio.createTask(() => get("/b"));
            const [first, second] = await asyncio.gather(
              () => get("/a"),
              () => get("/b"),
              async () => {
                await asyncio.sleep(1.2);
                leaver.cancel();
                await asyncio.wait([leaver]);
              },
            );
            return [first.text(), second.text()];
          },
          { politeness, proxies },
        );
        assert.deepEqual(texts, ["hello", "hello"]);
        assert.equal(open(), 0);
      },
      { seconds: 5 },
    );
  });

  test("every end of a lease says how it went", async () => {
    await testing.runTest(async () => {
      const { politeness, proxies, ended } = leases();
      const answer: Answer = async (_path, count, writer) => {
        if (count === 1) writer.abort();
        else await writer.write(page("hello", "x: y\r\n"));
      };
      await withHost(answer, (get) => get("/"), { politeness, proxies });
      const told = ended.map(({ status, failure }) => status ?? failure);
      assert.deepEqual(told, ["reset", "reset", 200, 200]);
    });
  });

  test("a network that resets, at any moment", async () => {
    for (let moment = 0; moment < 1; moment += 0.07) {
      await testing.runTest(async () => {
        const network = new testing.SimulatedNetwork({ latency: 0.05 });
        const slow: Answer = async (path, count, writer) => {
          await asyncio.sleep(0.1);
          await steady(path, count, writer);
        };
        await asyncio.taskGroup(async (group) => {
          group.createTask(async () => {
            await asyncio.sleep(moment);
            network.reset("client", host);
          });
          const found = await withHost(slow, (get) => get("/a"), {}, network);
          assert.equal(found.text(), "hello");
        });
      });
    }
  });

  test("a network that is cut ends by the deadline, in the phase it was in", async () => {
    for (const moment of [0, 0.08, 0.15, 0.22, 0.3]) {
      await testing.runTest(async () => {
        const network = new testing.SimulatedNetwork({ latency: 0.05 });
        const code = await withHost(
          steady,
          async (get) => {
            asyncio.createTask(async () => {
              await asyncio.sleep(moment);
              network.partition("client", host);
              await asyncio.sleep(100);
              network.heal("client", host);
            });
            const code = await codeOf(get("/a", { timeout: 30, retries: 0 }));
            await asyncio.sleep(100);
            return code;
          },
          {},
          network,
        );
        assert.match(code, /^timeout in (connect|headers)$/, `${moment}`);
      });
    }
  });
});
