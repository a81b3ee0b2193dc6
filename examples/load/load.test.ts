import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "asyncio-ts";
import * as testing from "asyncio-ts/testing";
import { Program } from "../program.ts";
import { Histogram } from "./histogram.ts";
import { type LoadOptions, load, Tally } from "./load.ts";
import { progressLine, summary } from "./report.ts";

const echo: asyncio.ConnectionHandler = async (reader, writer) => {
  for await (const line of reader) await writer.write(line);
};

/** Loads `handler` on a simulated network, with 50 milliseconds of latency. */
async function loading(
  handler: asyncio.ConnectionHandler,
  options: Partial<LoadOptions> = {},
  meanwhile: (network: testing.SimulatedNetwork) => Promise<void> = async () => {},
): Promise<Tally> {
  const network = new testing.SimulatedNetwork({ latency: 0.05 });
  const tally = new Tally();
  const all = { connections: 4, seconds: 10, line: "PING", patience: 5, ...options };
  await network.host("server").run(async () => {
    await using _server = await asyncio.startServer(handler, { port: 80 });
    await asyncio.taskGroup(async (group) => {
      group.createTask(() => meanwhile(network));
      await network
        .host("client")
        .run(() => load({ ...all, target: { host: "server", port: 80 } }, tally));
    });
  });
  return tally;
}

const around = (seconds: number) => (found: number) => Math.abs(found / seconds - 1) < 0.02;

test("a percentile is off by 1 % at most, however far apart the values are", () => {
  const histogram = new Histogram();
  for (let value = 1; value <= 1000; value++) histogram.add(value / 1000);

  for (const percent of [1, 50, 90, 99])
    assert.ok(around(percent / 100)(histogram.percentile(percent)), `p${percent}`);
  histogram.add(100);
  assert.equal(histogram.percentile(100), 100);
  assert.equal(new Histogram().percentile(50), 0);
  const one = new Histogram();
  one.add(0.5);
  assert.deepEqual([one.percentile(1), one.percentile(99), one.mean], [0.5, 0.5, 0.5]);
});

test("closed: each connection asks again when it has its answer", () =>
  testing.runTest(async () => {
    const { latency, errors } = await loading(echo);

    assert.ok(latency.count >= 4 * 99 && latency.count <= 4 * 100, String(latency.count));
    assert.ok(around(0.1)(latency.percentile(50)));
    assert.ok(around(0.1)(latency.most));
    assert.equal(errors.size, 0);
  }));

test("open: requests keep to their timetable", () =>
  testing.runTest(async () => {
    const sent: number[] = [];
    const { latency } = await loading(
      async (reader, writer) => {
        for await (const line of reader) {
          sent.push(asyncio.getRunningLoop().time());
          await writer.write(line);
        }
      },
      { rate: 20 },
    );

    const gaps = sent.slice(1).map((time, index) => time - (sent[index] as number));
    assert.ok(gaps.every(around(0.05)), String(gaps));
    assert.ok(latency.count >= 196 && latency.count <= 200, String(latency.count));
  }));

test("open: what waits behind a slow answer has waited since its time", () =>
  testing.runTest(async () => {
    let isFirst = true;
    const { latency } = await loading(
      async (reader, writer) => {
        for await (const line of reader) {
          if (isFirst) await asyncio.sleep(2);
          isFirst = false;
          await writer.write(line);
        }
      },
      { connections: 1, rate: 5 },
    );

    // Ten requests were due in those two seconds; the last of them waited hardly at all.
    assert.ok(around(2.1)(latency.most), String(latency.most));
    assert.ok(latency.percentile(90) > 1, String(latency.percentile(90)));
    assert.ok(around(0.1)(latency.percentile(50)), String(latency.percentile(50)));
  }));

test("failures are counted, and the load goes on", () =>
  testing.runTest(async () => {
    const { latency, errors } = await loading(echo, { patience: 2 }, async (network) => {
      await asyncio.sleep(3.02);
      network.reset("client", "server");
      await asyncio.sleep(2);
      network.partition("client", "server");
      await asyncio.sleep(3);
      network.heal("client", "server");
    });

    assert.deepEqual([...errors.keys()].sort(), ["ECONNRESET", "timeout"]);
    assert.equal(errors.get("ECONNRESET"), 4);
    assert.ok(latency.count > 200, String(latency.count));
  }));

test("a server that closes is a failure as well", () =>
  testing.runTest(async () => {
    const { latency, errors } = await loading(async (reader) => void (await reader.readLine()), {
      connections: 1,
      seconds: 5,
    });

    assert.deepEqual([...errors.keys()], ["closed"]);
    assert.equal(latency.count, 0);
    assert.ok((errors.get("closed") ?? 0) > 5);
  }));

test("a server that is not there is said so", () =>
  testing.runTest(async () => {
    const network = new testing.SimulatedNetwork();
    network.host("server");
    const options = { connections: 3, seconds: 1, line: "x", patience: 1 };
    const target = { host: "server", port: 80 };

    await assert.rejects(
      network.host("client").run(() => load({ ...options, target }, new Tally())),
      { code: "ECONNREFUSED" },
    );
  }));

const short = async () => void (await loading(echo, { connections: 2, seconds: 0.35 }));

test("goes well under every schedule", async () => {
  const found = await testing.explore(short, {
    iterations: 100,
    seconds: Number.POSITIVE_INFINITY,
  });

  assert.ok(found.distinct > 10, String(found.distinct));
});

test("wherever it is cancelled, nothing is left", async () => {
  const found = await testing.cancelSweep(short, { depth: 1, seconds: Number.POSITIVE_INFINITY });

  assert.ok(found.places > 10, String(found.places));
});

test("tells how it stands, and what came out", () =>
  testing.runTest(async () => {
    const tally = new Tally();
    tally.startedAt = 0;
    for (const seconds of [0.0005, 0.02, 0.02, 2]) tally.latency.add(seconds);
    tally.fail("timeout");
    await asyncio.sleep(2);

    assert.equal(progressLine(tally), "2 s · 4 answers · 2/s · p99 2.00 s · 1 failures");
    assert.equal(
      summary(tally).replace(/ {2,}/g, " "),
      "answers 4\nper second 2.0\nmean 510.1 ms\np50 20.1 ms\np90 2.00 s\np99 2.00 s\np99.9 2.00 s\nmost 2.00 s\ntimeout 1 times\n",
    );
  }));

test("on real sockets, ended by the deadline and by Ctrl-C", async () => {
  const server = new Program("load/main.ts", "--echo", "127.0.0.1:0");
  const target = `127.0.0.1:${await server.port()}`;
  const whole = new Program("load/main.ts", target, "--seconds", "0.2", "--connections", "3");
  assert.match(await whole.line(), /^answers +\d+$/); // none, where the machine has other things to do
  const { code, signal } = await whole.end();
  assert.deepEqual([code, signal], [0, null]);

  const cut = new Program("load/main.ts", target, "--seconds", "60", "--rate", "100");
  const progress = await new Promise<string>((resolve) => cut.child.stderr?.once("data", resolve));
  assert.match(progress, /^1 s · \d+ answers · \d+\/s · p99 [\d.]+ [mu]?s · 0 failures\n$/);
  const ending = cut.end("SIGINT");
  assert.match(await cut.line(), /^answers +\d+$/);
  assert.equal((await ending).signal, "SIGINT");

  assert.deepEqual(await server.end("SIGINT"), { code: null, signal: "SIGINT", stderr: "" });
  const refused = await new Program("load/main.ts", target).end();
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /ECONNREFUSED/);
});
