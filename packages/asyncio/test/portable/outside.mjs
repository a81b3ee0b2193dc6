// What lives outside the loop, under every runtime: datagrams, processes, signals. Programs are
// those of a POSIX system.

import * as asyncio from "asyncio-ts";
import { runTest, SimulatedNetwork } from "asyncio-ts/testing";
import { check, equal, failureOf, summarise } from "./harness/checks.mjs";

const text = (bytes) => new TextDecoder().decode(bytes);
const sh = (script) => ["-c", script];

/** Waits until the system has taken the process away; false if it does not. */
async function isGone(pid) {
  for (let count = 0; count < 200; count++) {
    const { stdout } = await asyncio.runProcess("ps", ["-o", "stat=", "-p", String(pid)], {
      check: false,
    });
    if (stdout.trim() === "" || stdout.trim().startsWith("Z")) return true;
    await asyncio.sleep(0.01);
  }
  return false;
}

await check("datagrams go there and back", () =>
  asyncio.run(async () => {
    const server = await asyncio.createDatagramEndpoint({ local: { host: "127.0.0.1" } });
    const client = await asyncio.createDatagramEndpoint({ remote: server.address });
    await client.send("ping");
    const { bytes, from } = await server.receive();
    await server.send(`${text(bytes)}, pong`, from);
    equal(text((await client.receive()).bytes), "ping, pong");
    for (const endpoint of [server, client]) endpoint.close();
  }),
);

await check("a receive can be cancelled, and the endpoint be used further", () =>
  asyncio.run(async () => {
    const server = await asyncio.createDatagramEndpoint({ local: { host: "127.0.0.1" } });
    const moved = await asyncio.moveOnAfter(0.01, () => server.receive());
    equal(moved.cancelled, true);
    await server.send("me", server.address);
    equal(text((await server.receive()).bytes), "me");
    server.close();
    await server.waitClosed();
  }),
);

await check("datagrams go over a simulated network", () =>
  runTest(async () => {
    const network = new SimulatedNetwork({ latency: 1 });
    const server = await network.host("a").run(() => asyncio.createDatagramEndpoint());
    const client = await network
      .host("b")
      .run(() => asyncio.createDatagramEndpoint({ remote: server.address }));
    await client.send("hi");
    equal(text((await server.receive()).bytes), "hi");
    server.close();
    client.close();
  }),
);

await check("runProcess captures, feeds and fails", () =>
  asyncio.run(async () => {
    equal((await asyncio.runProcess("cat", [], { input: "x".repeat(300_000) })).stdout.length, 3e5);
    equal(
      (await asyncio.runProcess("sh", sh("echo a; echo b >&2"), { stderr: "stdout" })).stdout,
      "a\nb\n",
    );
    const error = await failureOf(asyncio.runProcess("sh", sh("echo no >&2; exit 3")));
    equal([error.code, error.returncode, error.stderr], ["ERR_ASYNCIO_PROCESS", 3, "no\n"]);
    const missing = await failureOf(asyncio.runProcess("no-such-program"));
    equal(missing.code, "ENOENT");
  }),
);

await check("runProcess is not blocked by a full stderr", () =>
  asyncio.run(async () => {
    const { stderr } = await asyncio.runProcess("sh", sh("head -c 2000000 /dev/zero >&2"));
    equal(stderr.length, 2_000_000);
  }),
);

await check("a deadline ends a process with what it has started", () =>
  asyncio.run(async () => {
    const script = "sleep 100 & echo $!; wait";
    const error = await failureOf(asyncio.runProcess("sh", sh(script), { seconds: 1 }));
    equal([error.name, error.cause.signal], ["TimeoutError", "SIGTERM"]);
    equal(await isGone(Number(error.cause.stdout)), true);
  }),
);

await check("a process that does not end when asked is killed", () =>
  asyncio.run(async () => {
    const script = "trap '' TERM; while :; do sleep 0.05; done";
    const options = { seconds: 1, killDelay: 0.1 };
    const error = await failureOf(asyncio.runProcess("sh", sh(script), options));
    equal(error.cause.signal, "SIGKILL");
  }),
);

// It has no session of its own, and no group: stdin is inherited.
const stubborn = () => {
  const script =
    "trap 'echo term' TERM; trap 'echo int' INT; echo ready; while :; do sleep 0.02; done";
  return asyncio.createSubprocessExec("sh", sh(script), { stdout: "pipe" });
};
const lineOf = async (child) => text(await child.stdout.readLine()).trim();

await check("each signal reaches a process, and not only the first", () =>
  asyncio.run(async () => {
    const child = await stubborn();
    equal(await lineOf(child), "ready");
    for (const [signal, answer] of [
      ["SIGTERM", "term"],
      ["SIGINT", "int"],
      ["SIGTERM", "term"],
    ]) {
      child.sendSignal(signal);
      equal(await lineOf(child), answer);
    }
    child.kill();
    equal(await asyncio.timeout(20, () => child.wait()), -9);
    child.kill(); // that it has gone is no error
  }),
);

await check("a process that has survived a signal is killed with what it belongs to", () =>
  asyncio.run(async () => {
    const survivor = async () => {
      const child = await stubborn();
      equal(await lineOf(child), "ready");
      child.terminate();
      equal(await lineOf(child), "term");
      return child;
    };
    const child = await survivor();
    await child[Symbol.asyncDispose]();
    equal([child.returncode, await isGone(child.pid)], [-9, true]);
    let left;
    await asyncio.run(async () => {
      left = await survivor();
    });
    equal([left.returncode, await isGone(left.pid)], [-9, true]);
  }),
);

await check("runProcess kills a process without a session of its own, after it has asked it", () =>
  asyncio.run(async () => {
    const script = "trap '' TERM; while :; do sleep 0.02; done";
    const options = { seconds: 1, killDelay: 0.1, stdin: "inherit" };
    const error = await failureOf(asyncio.runProcess("sh", sh(script), options));
    equal([error.name, error.cause.signal], ["TimeoutError", "SIGKILL"]);
  }),
);

await check("one talks to a process, and disposing of it kills it", () =>
  asyncio.run(async () => {
    const child = await asyncio.createSubprocessExec("cat", [], { stdin: "pipe", stdout: "pipe" });
    await child.stdin.write("meow\n");
    equal(text(await child.stdout.readLine()), "meow\n");
    await child[Symbol.asyncDispose](); // Node 20 has no `await using`
    equal(child.returncode, -9);
  }),
);

await check("stdout can be read when the process has ended", () =>
  asyncio.run(async () => {
    const process = await asyncio.createSubprocessExec("echo", ["late"], { stdout: "pipe" });
    await process.wait();
    await asyncio.sleep(0.02);
    equal(text(await process.stdout.read()), "late\n");
  }),
);

await check("the end of a run ends what it has started", async () => {
  let left;
  await asyncio.run(async () => {
    left = await asyncio.createSubprocessExec("sleep", ["100"], { stdin: "ignore" });
  });
  equal(left.returncode, -15);
});

await check("signals arrive, and the listeners are taken away", () =>
  asyncio.run(async () => {
    const received = asyncio.signals(["SIGHUP", "SIGWINCH"]);
    process.kill(process.pid, "SIGHUP");
    equal((await asyncio.timeout(5, () => received.next())).value, "SIGHUP");
    process.kill(process.pid, "SIGWINCH");
    equal((await asyncio.timeout(5, () => received.next())).value, "SIGWINCH");
    received.close();
    equal(process.listenerCount("SIGHUP"), 0);
  }),
);

summarise();
