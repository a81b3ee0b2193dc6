import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import * as testing from "asyncio-ts/testing";
import { Program } from "../program.ts";
import { needs, runTool, withRedisServer } from "../servers.ts";
import { FakeRedis } from "./fake-server.ts";
import { LostError, openRedis, type Redis, type RedisOptions, ReplyError } from "./redis.ts";

const { createTask, gather, moveOnAfter, sleep, timeout } = asyncio;

interface World {
  readonly redis: Redis;
  readonly fake: FakeRedis;
  readonly network: testing.SimulatedNetwork;
  /** Another client. */
  open(): Promise<Redis>;
}

/** A client and a server, each on its host. */
async function withRedis(
  body: (world: World) => Promise<void>,
  options: testing.NetworkOptions & RedisOptions = {},
): Promise<void> {
  const { chunks, highWaterMark, latency, loss, seed, ...redisOptions } = options;
  const network = new testing.SimulatedNetwork({ chunks, highWaterMark, latency, loss, seed });
  const fake = new FakeRedis();
  await network.host("server").run(async () => {
    await using _server = await asyncio.startServer(fake.serve, { port: 6379 });
    await network.host("client").run(async () => {
      const open = () => openRedis({ random: () => 1, ...redisOptions, host: "server" });
      await using redis = await open();
      await body({ redis, fake, network, open });
    });
  });
}

describe("on a simulated network", () => {
  test("runs commands and gives answers", () =>
    testing.runTest(() =>
      withRedis(
        async ({ redis }) => {
          assert.equal(await redis.command("SET", "key", "caf\u00e9\r\n"), "OK");
          assert.equal(await redis.command("GET", "key"), "caf\u00e9\r\n");
          assert.equal(await redis.command("GET", "other"), undefined);
          assert.equal(await redis.command("INCR", "count"), 1);
          await assert.rejects(redis.command("INCR", "key"), ReplyError);
          await assert.rejects(redis.command("FLY"), { kind: "ERR" });
          assert.equal(await redis.command("INCR", "count"), 2);
        },
        { chunks: "bytes" },
      ),
    ));

  test("commands of many tasks go out together", () =>
    testing.runTest((t) =>
      withRedis(
        async ({ redis }) => {
          const startedAt = t.now;
          const all = Array.from({ length: 2000 }, () => () => redis.command("INCR", "n"));

          const sums = await gather(all);

          assert.deepEqual(
            sums,
            Array.from({ length: 2000 }, (_, index) => index + 1),
          );
          assert.ok(t.now - startedAt < 1, `took ${t.now - startedAt} s`); // one by one it would be 400
        },
        { latency: 0.1 },
      ),
    ));

  test("a cancelled command takes no answer away from another", () =>
    testing.runTest(() =>
      withRedis(
        async ({ redis, fake }) => {
          await assert.rejects(
            timeout(1, () => redis.command("BLOCK", 3)),
            asyncio.TimeoutError,
          );
          const moved = await moveOnAfter(0.05, () => redis.command("SET", "sent", "yes"));

          assert.equal(moved.cancelled, true);
          assert.equal(await redis.command("GET", "sent"), "yes");
          assert.equal(await redis.command("INCR", "n"), 1);
          assert.deepEqual(fake.log.slice(-4), ["BLOCK 3", "SET sent yes", "GET sent", "INCR n"]);
        },
        { latency: 0.1 },
      ),
    ));

  test("messages go to all who have subscribed", () =>
    testing.runTest(() =>
      withRedis(async ({ redis, fake, open }) => {
        await using other = await open();
        const heard: string[] = [];
        const first = await redis.subscribe("news");
        const second = await redis.subscribe("news");
        for (const subscription of [first, second])
          createTask(async () => {
            for await (const message of subscription) heard.push(message);
          });

        assert.equal(await other.command("PUBLISH", "news", "one"), 1);
        await redis.command("INCR", "n"); // the connection of a subscriber is of use for all else
        await first[Symbol.asyncDispose]();
        assert.equal(await other.command("PUBLISH", "news", "two"), 1);
        await redis.command("INCR", "n");
        await second[Symbol.asyncDispose]();
        assert.equal(await other.command("PUBLISH", "news", "three"), 0);

        assert.deepEqual(heard, ["one", "one", "two"]);
        assert.equal(fake.log.filter((line) => line.startsWith("UNSUBSCRIBE")).length, 1);
      }),
    ));

  test("a subscriber who does not listen misses messages, and holds nothing up", () =>
    testing.runTest(() =>
      withRedis(async ({ redis }) => {
        await using subscription = await redis.subscribe("news");
        for (let count = 0; count < 1003; count++) await redis.command("PUBLISH", "news", count);

        assert.equal(subscription.missed, 3);
      }),
    ));

  describe("when the connection is lost", () => {
    test("commands under way fail, and later ones wait for the next connection", () =>
      testing.runTest((t) =>
        withRedis(async ({ redis, network }) => {
          await redis.command("SET", "key", "kept");
          const blocked = createTask(() => redis.command("BLOCK", 10));
          await sleep(1);
          const startedAt = t.now;
          network.reset("client", "server");

          await assert.rejects(blocked, LostError);
          assert.equal(await redis.command("GET", "key"), "kept");

          assert.equal(Number((t.now - startedAt).toFixed(3)), 0.05);
        }),
      ));

    test("it is tried again after delays that double up to a limit", () =>
      testing.runTest((t) =>
        withRedis(
          async ({ redis, fake, network }) => {
            const startedAt = t.now;
            network.crash("server");
            network.restart("server");
            const later = createTask(() => answer(redis, "INCR", "n"));
            await sleep(4);
            const server = network.host("server");
            await using _again = await server.run(() =>
              asyncio.startServer(fake.serve, { port: 6379 }),
            );

            assert.equal(await later, 1);
            assert.equal(t.now - startedAt, 5.5); // attempts after 0.5, 1.5, 3.5 and 5.5 seconds
          },
          { backoff: [0.5, 2] },
        ),
      ));

    test("subscriptions are renewed", () =>
      testing.runTest(() =>
        withRedis(async ({ redis, network, open }) => {
          await using subscription = await redis.subscribe("news");
          network.reset("client", "server");
          await answer(redis, "INCR", "n");
          await using other = await open();

          assert.equal(await other.command("PUBLISH", "news", "again"), 1);

          for await (const message of subscription) {
            assert.equal(message, "again");
            break;
          }
        }),
      ));

    test("the rest of a value never comes: it counts as lost", () =>
      testing.runTest(async () => {
        const torn: asyncio.ConnectionHandler = async (reader, writer) => {
          await reader.readUntil("$1\r\n3\r\n"); // HELLO 3
          await writer.write("%0\r\n");
          await reader.readUntil("FLY\r\n");
          await writer.write("$100\r\nhalf of");
        };
        const network = new testing.SimulatedNetwork();
        await network.host("server").run(async () => {
          await using _server = await asyncio.startServer(torn, { port: 6379 });
          await using redis = await openRedis({ host: "server" });

          const error = await redis.command("FLY").catch((error: unknown) => error);

          assert.ok(error instanceof LostError);
          assert.ok(error.cause instanceof asyncio.IncompleteReadError);
        });
      }));
  });

  test("who cannot connect at first is told so", () =>
    testing.runTest(async () => {
      const network = new testing.SimulatedNetwork();
      network.host("server");
      await network.host("client").run(async () => {
        await assert.rejects(openRedis({ host: "server" }), { code: "ECONNREFUSED" });
        network.partition("client", "server");
        await assert.rejects(openRedis({ host: "server" }), asyncio.TimeoutError);
      });
    }));

  test("closed, it fails what is under way, and takes nothing more", () =>
    testing.runTest(() =>
      withRedis(async ({ open }) => {
        const redis = await open();
        const subscription = await redis.subscribe("news");
        const blocked = createTask(() => redis.command("BLOCK", 10));
        await sleep(1);
        await redis[Symbol.asyncDispose]();

        await assert.rejects(blocked, LostError);
        await assert.rejects(redis.command("GET", "x"), asyncio.QueueShutDown);
        for await (const _message of subscription) assert.fail("no message was sent");
        await subscription[Symbol.asyncDispose]();
      }),
    ));

  /** Two tasks whose commands have answers of their own. */
  const conversation = () =>
    withRedis(async ({ redis }) => {
      await using _subscription = await redis.subscribe("news");
      const one = async (key: string) => {
        await redis.command("SET", key, key);
        await redis.command("PUBLISH", "news", key);
        assert.equal(await redis.command("GET", key), key);
      };
      await gather(
        () => one("a"),
        () => moveOnAfter(60, () => one("b")),
      );
    });

  test("a conversation goes well under every schedule", async () => {
    const found = await testing.explore(conversation, {
      iterations: 200,
      seconds: Number.POSITIVE_INFINITY,
    });

    assert.ok(found.distinct > 20, String(found.distinct));
  });

  test("wherever it is cancelled, nothing is left", async () => {
    const found = await testing.cancelSweep(conversation, {
      depth: 1,
      seconds: Number.POSITIVE_INFINITY,
    });

    assert.ok(found.places > 20, String(found.places));
  });

  test("wherever one task is cancelled, the answers of the other are its own", async () => {
    await testing.cancelSweep(
      () =>
        withRedis(async ({ redis }) => {
          const victim = createTask(
            async () => {
              for (const key of ["x", "y"]) await redis.command("SET", key, "theirs");
            },
            { name: "victim" },
          );
          await redis.command("SET", "key", "mine");
          assert.equal(await redis.command("GET", "key"), "mine");
          await asyncio.wait([victim]);
          assert.equal(await redis.command("INCR", "n"), 1);
        }),
      { victims: /victim/, mayReturn: true, depth: 1, seconds: Number.POSITIVE_INFINITY },
    );
  });
});

describe("with a real redis-server", needs("redis-server"), () => {
  test("commands, pipelines, cancellation, subscriptions, a lost connection, the program", () =>
    asyncio.run(() =>
      withRedisServer(async ({ port, path }) => {
        await using redis = await openRedis({ port });
        assert.equal(await redis.command("SET", "key", "caf\u00e9"), "OK");
        assert.equal(await redis.command("GET", "key"), "caf\u00e9");
        assert.equal(await redis.command("GET", "none"), undefined);
        await assert.rejects(redis.command("LPUSH", "key", 1), { kind: "WRONGTYPE" });
        await redis.command("HSET", "hash", "a", 1, "b", 2);
        assert.deepEqual(
          await redis.command("HGETALL", "hash"),
          new Map([
            ["a", "1"],
            ["b", "2"],
          ]),
        );

        const all = Array.from({ length: 5000 }, () => () => redis.command("INCR", "n"));
        assert.deepEqual(
          await gather(all),
          all.map((_, index) => index + 1),
        );

        await moveOnAfter(0.05, () => redis.command("BLPOP", "empty", 0.2));
        assert.equal(await redis.command("GET", "key"), "caf\u00e9");

        await using other = await openRedis({ path, backoff: [0.01, 0.1] });
        {
          await using subscription = await other.subscribe("news");
          assert.equal(await redis.command("PUBLISH", "news", "hello"), 1);
          for await (const message of subscription) {
            assert.equal(message, "hello");
            break;
          }
          const id = await other.command("CLIENT", "ID");
          await redis.command("CLIENT", "KILL", "ID", String(id));
          assert.notEqual(await answer(other, "CLIENT", "ID"), id);
          assert.equal(await redis.command("PUBLISH", "news", "again"), 1);
          for await (const message of subscription) {
            assert.equal(message, "again");
            break;
          }
        }
        assert.equal(await redis.command("PUBLISH", "news", "nobody"), 0);

        const server = ["--server", `127.0.0.1:${port}`];
        const get = new Program("redis/main.ts", ...server, "get", "key");
        assert.equal(await get.line(), "caf\u00e9");
        assert.deepEqual(await get.end(), { code: 0, signal: null, stderr: "" });
        const listener = new Program("redis/main.ts", ...server, "subscribe", "news");
        assert.equal(await listener.line(), "subscribed to news");
        await redis.command("PUBLISH", "news", "extra");
        assert.equal(await listener.line(), "news: extra");
        assert.deepEqual(await listener.end("SIGINT"), {
          code: null,
          signal: "SIGINT",
          stderr: "",
        });
      }),
    ));
});

describe("the server of these tests, for clients that are not ours", () => {
  async function withFake(body: (fake: FakeRedis, port: string) => Promise<void>): Promise<void> {
    const fake = new FakeRedis();
    await using server = await asyncio.startServer(fake.serve, "127.0.0.1", 0);
    await body(fake, String(server.sockets[0].port));
  }

  test("redis-cli understands its answers", needs("redis-cli"), () =>
    asyncio.run(() =>
      withFake(async (fake, port) => {
        const cli = async (...command: string[]) =>
          (await runTool("redis-cli", ["-3", "-p", port, ...command])).stdout;

        assert.equal(await cli("SET", "key", "caf\u00e9"), "OK\n");
        assert.equal(await cli("GET", "key"), "caf\u00e9\n");
        assert.equal(await cli("GET", "none"), "\n");
        assert.equal(await cli("INCR", "n"), "1\n");
        assert.match(await cli("FLY"), /^ERR unknown command 'FLY'/);
        assert.deepEqual(
          fake.log.filter((line) => !/^(HELLO|COMMAND)/.test(line)),
          ["SET key caf\u00e9", "GET key", "GET none", "INCR n", "FLY"],
        );
      }),
    ),
  );

  test("redis-benchmark gets all its answers, pipelined too", needs("redis-benchmark"), () =>
    asyncio.run(() =>
      withFake(async (fake, port) => {
        const load = ["-t", "set,incr,get", "-n", "2000", "-c", "20", "-P", "10", "--csv"];

        const { returncode, stdout } = await runTool("redis-benchmark", ["-p", port, ...load]);

        assert.equal(returncode, 0);
        assert.match(stdout, /"SET",.*\n"GET",.*\n"INCR",/);
        assert.equal([...fake.data.values()].includes("2000"), true); // none was lost, none ran twice
      }),
    ),
  );
});

/** Asks again if the connection was lost meanwhile. */
async function answer(redis: Redis, ...command: string[]): Promise<unknown> {
  for (;;) {
    try {
      return await redis.command(...command);
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
    }
  }
}

test("the program says what is wrong in a sentence", async () => {
  const wrong = await new Program("redis/main.ts").end();
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /^there has to be a command\n\nUsage: /);
});
