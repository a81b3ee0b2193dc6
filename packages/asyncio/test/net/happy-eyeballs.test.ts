import assert from "node:assert/strict";
import dns from "node:dns";
import { describe, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import { type AddressOptions, connectToHost } from "../../src/net/happy-eyeballs.ts";
import * as testing from "../../src/testing.ts";
import { rejection } from "../virtual.ts";

const { createTask, sleep } = asyncio;
const { runTest, SimulatedNetwork } = testing;

const A6 = "2001:db8::a";
const B6 = "2001:db8::b";
const A4 = "192.0.2.1";
const B4 = "192.0.2.2";

type Answer = "accepts" | "refuses" | "is silent";

interface Attempt {
  readonly at: number;
  readonly host: string;
}

/** A name with several addresses, and what each does with a connection. */
class Scene {
  readonly network: testing.SimulatedNetwork;
  /** Every attempt, with when it was begun. */
  readonly attempts: Attempt[] = [];
  /** Attempts that are under way. */
  pending = 0;
  readonly accepted: asyncio.ByteStream[] = [];
  readonly #listeners: testing.Listener[] = [];
  readonly #acceptors: asyncio.Task<unknown>[] = [];

  constructor(options: testing.NetworkOptions = { latency: 0.1 }) {
    this.network = new SimulatedNetwork(options);
  }

  async name(name: string, answers: Record<string, Answer>): Promise<void> {
    this.network.alias(name, Object.keys(answers));
    for (const [address, answer] of Object.entries(answers)) {
      if (answer === "accepts") await this.#listen(address);
      if (answer === "is silent") this.network.partition("client", address);
    }
  }

  async #listen(address: string): Promise<void> {
    const listener = await this.network.host(address).listen(443);
    this.#listeners.push(listener);
    this.#acceptors.push(
      createTask(async () => {
        for (;;) this.accepted.push(await listener.accept());
      }),
    );
  }

  connect(host: string, options: AddressOptions & asyncio.ConnectOptions = {}) {
    const client = this.network.host("client");
    const loop = asyncio.getRunningLoop();
    const watched = {
      lookup: (name: string) => client.lookup(name),
      connect: async (to: asyncio.Address) => {
        this.attempts.push({ at: round(loop.time()), host: to.host });
        this.pending++;
        try {
          return await client.connect(to);
        } finally {
          this.pending--;
        }
      },
    };
    return connectToHost(watched, host, 443, options);
  }

  /** Ends everything that the scene has begun. */
  async end(): Promise<void> {
    for (const listener of this.#listeners) listener.close();
    for (const acceptor of this.#acceptors) acceptor.cancel();
    await asyncio.gather(this.#acceptors, { returnExceptions: true });
    for (const stream of this.accepted) stream.close();
  }
}

const round = (seconds: number) => Math.round(seconds * 1000) / 1000;

test("the second address is tried a quarter of a second after the first, which is silent", async () => {
  await runTest(async (t) => {
    const scene = new Scene();
    await scene.name("example.org", { [A6]: "is silent", [A4]: "accepts" });

    const stream = await scene.connect("example.org");

    assert.deepEqual(scene.attempts, [
      { at: 0, host: A6 },
      { at: 0.25, host: A4 },
    ]);
    assert.equal(round(t.now), 0.45); // and there and back
    assert.equal(stream.remoteAddress.host, A4);
    assert.equal(scene.pending, 0);
    stream.close();
    await scene.end();
  });
});

test("an address that answers in time is the only one that is tried", async () => {
  await runTest(async (t) => {
    const scene = new Scene();
    await scene.name("example.org", { [A6]: "accepts", [A4]: "accepts" });

    const stream = await scene.connect("example.org");

    assert.deepEqual(scene.attempts, [{ at: 0, host: A6 }]);
    assert.equal(round(t.now), 0.2);
    stream.close();
    await scene.end();
  });
});

test("S152: an address that refuses is followed by the next at once", async () => {
  await runTest(async () => {
    const scene = new Scene({ latency: 0.01 });
    await scene.name("example.org", { [A6]: "refuses", [A4]: "refuses", [B4]: "accepts" });

    const stream = await scene.connect("example.org");

    assert.deepEqual(scene.attempts, [
      { at: 0, host: A6 },
      { at: 0.02, host: A4 },
      { at: 0.04, host: B4 },
    ]);
    stream.close();
    await scene.end();
  });
});

test("`happyEyeballsDelay` is the time between two attempts; Infinity waits for each to fail", async () => {
  await runTest(async (t) => {
    const scene = new Scene();
    await scene.name("slow", { [A6]: "is silent", [A4]: "accepts" });
    await scene.name("patient", { [B6]: "refuses", [B4]: "accepts" });

    const first = await scene.connect("slow", { happyEyeballsDelay: 2 });
    assert.deepEqual(scene.attempts.splice(0), [
      { at: 0, host: A6 },
      { at: 2, host: A4 },
    ]);

    const start = t.now;
    const second = await scene.connect("patient", { happyEyeballsDelay: Number.POSITIVE_INFINITY });
    assert.deepEqual(
      scene.attempts.map(({ at, host }) => [round(at - start), host]),
      [
        [0, B6],
        [0.2, B4],
      ],
    );
    first.close();
    second.close();
    await scene.end();
  });
});

test("the families take turns, after the lead of the first", async () => {
  await runTest(async () => {
    const scene = new Scene({ latency: 0 });
    await scene.name("example.org", {
      [A6]: "refuses",
      [B6]: "refuses",
      [A4]: "refuses",
      [B4]: "refuses",
    });
    const order = async (options: AddressOptions & asyncio.ConnectOptions) => {
      await rejection(scene.connect("example.org", options));
      return scene.attempts.splice(0).map(({ host }) => host);
    };

    assert.deepEqual(await order({}), [A6, A4, B6, B4]);
    assert.deepEqual(await order({ interleave: 2 }), [A6, B6, A4, B4]);
    assert.deepEqual(await order({ interleave: 0 }), [A6, B6, A4, B4]);
    assert.deepEqual(await order({ family: 4 }), [A4, B4]);
    assert.deepEqual(await order({ family: 6 }), [A6, B6]);
    assert.deepEqual(await order({ localAddress: { host: "192.0.2.9" } }), [A4, B4]);
    await scene.end();
  });
});

test("S150: when all addresses fail, all failures are in one error, with the code of the most telling", async () => {
  await runTest(async () => {
    const scene = new Scene();
    await scene.name("example.org", { [A6]: "refuses", [A4]: "refuses" });

    const error = await rejection(scene.connect("example.org"));

    assert.ok(error instanceof AggregateError);
    assert.equal(
      error.message,
      "`openConnection` found no way to example.org:443: all 2 addresses have failed: [2001:db8::a]:443 ECONNREFUSED, 192.0.2.1:443 ECONNREFUSED",
    );
    assert.deepEqual(
      error.errors.map(({ code, address }) => [code, address]),
      [
        ["ECONNREFUSED", A6],
        ["ECONNREFUSED", A4],
      ],
    );
    const { code, syscall, hostname, port } = error as unknown as Record<string, unknown>;
    assert.deepEqual(
      [code, syscall, hostname, port],
      ["ECONNREFUSED", "connect", "example.org", 443],
    );
    await scene.end();
  });
});

test("S150: that this machine has no way to one address does not hide what another says", async () => {
  await runTest(async () => {
    const failing = (codes: Record<string, string>) => ({
      lookup: async () => Object.keys(codes),
      connect: async ({ host }: asyncio.Address) => {
        await sleep(0.01);
        throw Object.assign(new Error(host), { code: codes[host] });
      },
    });
    const codeOf = async (codes: Record<string, string>) => {
      const error = await rejection(connectToHost(failing(codes), "example.org", 443));
      return (error as { code: string }).code;
    };

    assert.equal(await codeOf({ [A6]: "ENETUNREACH", [A4]: "ECONNREFUSED" }), "ECONNREFUSED");
    assert.equal(await codeOf({ [A6]: "ETIMEDOUT", [A4]: "ECONNREFUSED" }), "ETIMEDOUT");
    assert.equal(await codeOf({ [A6]: "ENETUNREACH", [A4]: "EHOSTUNREACH" }), "ENETUNREACH");
  });
});

test("S150: the failure of a single address is its own error", async () => {
  await runTest(async () => {
    const scene = new Scene();
    await scene.name("example.org", { [A4]: "refuses" });

    const error = await rejection(scene.connect("example.org"));

    assert.equal((error as Error).message, "connect ECONNREFUSED 192.0.2.1:443");
    await assert.rejects(scene.connect(A4), { message: "connect ECONNREFUSED 192.0.2.1:443" });
    await assert.rejects(scene.connect("nowhere"), { code: "ENOTFOUND" });
    await scene.end();
  });
});

test("a host without an address of the family says which it has", async () => {
  await runTest(async () => {
    const scene = new Scene();
    await scene.name("example.org", { [A4]: "refuses" });

    await assert.rejects(scene.connect("example.org", { family: 6 }), {
      code: "ENOTFOUND",
      message:
        "`openConnection` found no IPv6 address of example.org, but 192.0.2.1. Leave out `family`, or pass another",
    });
    await assert.rejects(scene.connect("example.org", { localAddress: { host: "::1" } }), {
      message:
        "`openConnection` found no address of example.org that can be reached from `localAddress` ::1, but 192.0.2.1. Leave out `localAddress`, or pass another",
    });
    await assert.rejects(scene.connect("example.org", { resolver: async () => [] }), {
      code: "ENOTFOUND",
      message: "`openConnection` found no address of example.org",
    });
    await scene.end();
  });
});

test("a resolver is asked for the addresses, in the caller's scope", async () => {
  await runTest(async (t) => {
    const scene = new Scene();
    await scene.name("ignored", { [A4]: "accepts", [A6]: "refuses" });
    const asked: unknown[] = [];
    const resolver = async (...question: unknown[]) => {
      asked.push(question);
      await sleep(1);
      return [A4, { address: A6 }, A4];
    };

    const stream = await scene.connect("example.org", { resolver });

    assert.deepEqual(asked, [["example.org", 0]]);
    assert.equal(stream.remoteAddress.host, A4);
    assert.equal(round(t.now), 1.2);
    stream.close();

    const cancelled = asyncio.timeout(0.5, () => scene.connect("example.org", { resolver }));
    await assert.rejects(cancelled, asyncio.TimeoutError);
    assert.equal(round(t.now), 1.7);
    await scene.end();
  });
});

test("a literal address is not looked up", async () => {
  await runTest(async () => {
    const scene = new Scene();
    await scene.name("example.org", { [A4]: "accepts" });
    const resolver = () => Promise.reject(new Error("was asked"));

    const stream = await scene.connect(A4, { resolver });

    stream.close();
    await scene.end();
  });
});

test("cancelled, all attempts end", async () => {
  await runTest(async (t) => {
    const scene = new Scene();
    await scene.name("example.org", { [A6]: "is silent", [A4]: "is silent", [B4]: "is silent" });

    const connecting = asyncio.timeout(0.6, () => scene.connect("example.org"));
    await assert.rejects(connecting, asyncio.TimeoutError);

    assert.deepEqual(
      scene.attempts.map(({ at }) => at),
      [0, 0.25, 0.5],
    );
    assert.equal(scene.pending, 0);
    assert.equal(round(t.now), 0.6);
    await scene.end();
  });
});

test("of two that answer in one step one is kept, and the other closed", async () => {
  await runTest(async () => {
    const scene = new Scene({ latency: 0.5 });
    await scene.name("example.org", { [A6]: "accepts", [A4]: "accepts" });

    const stream = await scene.connect("example.org", { happyEyeballsDelay: 0 });

    assert.equal(scene.attempts.length, 2);
    await sleep(2);
    const open = scene.accepted.filter(
      (end) => end.remoteAddress.port === stream.localAddress.port,
    );
    const others = scene.accepted.filter((end) => !open.includes(end));
    assert.equal(open.length, 1);
    for (const end of others) {
      const ending = await end.read().catch((error) => error.code);
      assert.ok(ending === undefined || ending === "ECONNRESET");
    }
    stream.close();
    await scene.end();
  });
});

test("a resolver that gives no array is told so", async () => {
  await runTest(async () => {
    const resolver = (async () => "192.0.2.1") as unknown as asyncio.Resolver;

    await assert.rejects(new Scene().connect("example.org", { resolver }), {
      name: "TypeError",
      message: '`resolver` expects to give an array of addresses, got "192.0.2.1"',
    });
  });
});

test("the peer's name is an address, as it is without names", async () => {
  await runTest(async () => {
    const scene = new Scene();
    await scene.name("example.org", { [A4]: "accepts" });

    const stream = await scene.connect("example.org");

    assert.deepEqual(stream.remoteAddress, { host: A4, port: 443 });
    stream.close();
    await scene.end();
  });
});

describe("on sockets", { skip: process.platform !== "linux" }, () => {
  const local = "127.0.0.1";
  const alsoLocal = "127.0.0.2"; // Linux answers for all of 127.0.0.0/8

  test("an address that refuses is followed by the next", () =>
    asyncio.run(async () => {
      await using server = await asyncio.startServer(async () => {}, { host: alsoLocal });
      const { port } = server.sockets[0];

      const [, writer] = await asyncio.openConnection("example.org", port, {
        resolver: async () => [local, alsoLocal],
        happyEyeballsDelay: Number.POSITIVE_INFINITY,
      });

      assert.deepEqual(writer.getExtraInfo("peername"), { host: alsoLocal, port });
      writer.close();
    }));

  test("the host tries one address a time: it does not run an algorithm of its own below ours", (t) =>
    asyncio.run(async () => {
      await using server = await asyncio.startServer(async () => {}, { host: alsoLocal });
      const asked: unknown[] = [];
      type Found = (error: null, address: unknown, family?: number) => void;
      const lookup = (_name: string, { all }: dns.LookupOptions, found: Found): void => {
        asked.push(all ?? false);
        const both = [local, alsoLocal].map((address) => ({ address, family: 4 }));
        process.nextTick(() => (all ? found(null, both) : found(null, local, 4)));
      };
      t.mock.method(dns, "lookup", lookup as typeof dns.lookup);

      const error = await rejection(
        asyncio.openConnection("example.org", server.sockets[0].port, {
          resolver: () => ["a-name-with-two-addresses.test"], // the host looks it up
        }),
      );

      assert.equal((error as { code?: string }).code, "ECONNREFUSED");
      assert.deepEqual(asked, [false]);
    }));

  test("all failures are in one error", () =>
    asyncio.run(async () => {
      const server = await asyncio.startServer(async () => {}, { host: "127.0.0.3" });
      const { port } = server.sockets[0];

      const error = await rejection(
        asyncio.openConnection("example.org", port, { resolver: async () => [local, alsoLocal] }),
      );

      assert.ok(error instanceof AggregateError);
      assert.equal((error as { code?: string }).code, "ECONNREFUSED");
      assert.deepEqual(
        error.errors.map(({ code, address }) => [code, address]),
        [
          ["ECONNREFUSED", local],
          ["ECONNREFUSED", alsoLocal],
        ],
      );
      await server[Symbol.asyncDispose]();
    }));

  test("one that answers too late is closed", () =>
    asyncio.run(async () => {
      const seen = { begun: 0, ended: 0 };
      const handler: asyncio.ConnectionHandler = async (reader) => {
        seen.begun++;
        await reader.read();
        seen.ended++;
      };
      const first = await asyncio.startServer(handler, { host: local });
      const { port } = first.sockets[0];
      const second = await asyncio.startServer(handler, { host: alsoLocal, port });

      const [, writer] = await asyncio.openConnection("example.org", port, {
        resolver: async () => [local, alsoLocal],
        happyEyeballsDelay: 0,
      });
      writer.close();
      await asyncio.gather(
        () => first.shutdown(10),
        () => second.shutdown(10),
      );

      assert.ok(seen.begun >= 1);
      assert.equal(seen.ended, seen.begun, "a handler was cancelled: its peer was left open");
    }));

  test("connects from the address that it is told, to one of its family", () =>
    asyncio.run(async () => {
      let peer: asyncio.Address | undefined;
      await using server = await asyncio.startServer(
        async (_reader, writer) => {
          peer = writer.getExtraInfo("peername");
        },
        { host: local },
      );

      const [reader, writer] = await asyncio.openConnection("example.org", server.sockets[0].port, {
        resolver: async () => ["::1", local],
        localAddress: { host: alsoLocal },
      });
      await reader.read();
      writer.close();

      assert.equal(peer?.host, alsoLocal);
    }));
});

/** Connects while things go wrong, and leaves nothing behind whatever happens. */
async function connectOnce(): Promise<void> {
  const scene = new Scene({ latency: [0.01, 0.4], seed: 7 });
  await scene.name("example.org", {
    [A6]: "is silent",
    [A4]: "accepts",
    [B6]: "refuses",
    [B4]: "accepts",
  });
  try {
    const stream = await scene.connect("example.org", { happyEyeballsDelay: 0.1 });
    stream.close();
    await sleep(0); // a connection that is there is handed over; the cancellation comes here
  } finally {
    await asyncio.cleanup(10, async () => {
      assert.equal(scene.pending, 0);
      await scene.end();
      await sleep(5);
      for (const end of scene.accepted) end.close();
    });
  }
}

test("no schedule leaves a connection behind", async () => {
  await testing.explore(connectOnce, { iterations: 150, seconds: Number.POSITIVE_INFINITY });
});

test("cancelled anywhere, it leaves nothing behind", async () => {
  await testing.cancelSweep(connectOnce);
});

test("wrong options are refused before anything is looked up", async () => {
  const { checkAddressOptions } = await import("../../src/net/happy-eyeballs.ts");
  const check = (options: object) => () => checkAddressOptions("`openConnection`", options);

  assert.throws(check({ family: 5 }), {
    name: "TypeError",
    message: "`openConnection` expects `family` to be 0, 4 or 6, got 5",
  });
  assert.throws(check({ happyEyeballsDelay: Number.NaN }), { name: "RangeError" });
  assert.throws(check({ interleave: -1 }), { name: "RangeError" });
  assert.throws(check({ interleave: "1" }), { name: "TypeError" });
  assert.throws(check({ resolver: "8.8.8.8" }), { name: "TypeError" });
  check({ family: 0, happyEyeballsDelay: 1, interleave: 1, resolver: async () => [] })();
});
