// The production build: what is left out of it, and that programs do the same on it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, test } from "node:test";
import { root } from "./install.mjs";
import { outcomeOf } from "./outcome.mjs";
import { withoutAdvice } from "./production.mjs";

const source = join(root, "packages/asyncio/src");
const standIns = globSync("**/*.ts", { cwd: join(source, "production") });
const portable = join(root, "packages/asyncio/test/portable");

describe("what the production build leaves out", () => {
  test("calls of `advice` become nothing, and lines stay where they are", () => {
    // biome-ignore-start lint/suspicious/noTemplateCurlyInString: these are programs
    const code =
      'f(`a${advice("b `c` (d)")}`, x ? advice(`e ${f} \\`g\\``) : "", advice(\n  \'h\',\n)); adviceFor(i, j(k))';

    assert.equal(withoutAdvice(code), 'f(`a${""}`, x ? "" : "", ""\n\n); ""');
    // biome-ignore-end lint/suspicious/noTemplateCurlyInString: up to here
  });

  test("every call of `advice` is of the form that is left out", () => {
    const left = globSync("**/*.ts", { cwd: source }).filter((file) =>
      /\badvice\(/.test(withoutAdvice(readFileSync(join(source, file), "utf8"))),
    );

    assert.deepEqual(left, []);
  });

  test("what stands for a module has its names, takes what it takes, and is shorter", async () => {
    for (const file of standIns) {
      const path = [join(source, file), join(source, "production", file)];
      const [whole, standIn] = await Promise.all(path.map((one) => import(one)));
      const [longer, shorter] = path.map((one) => readFileSync(one, "utf8").length);

      assert.deepEqual(Object.keys(standIn), Object.keys(whole), file);
      if (file !== "executors/own-build.ts") assert.ok(shorter < longer, file);
    }
  });
});

describe("programs on the production build", () => {
  for (const program of globSync("*.mjs", { cwd: portable })) {
    test(`all tests of ${basename(program)} that run everywhere`, async () => {
      const { code, output } = await run([join(portable, program)]);

      assert.match(output, /^# \d+ passed, 0 failed$/m);
      assert.equal(code, 0);
    });
  }

  test("all doors are of that build, and share one kernel", async () => {
    const { output } = await runText(`
      const doors = ["", "/executors", "/lowlevel", "/patterns", "/testing", "/worker"];
      for (const door of doors) {
        const url = import.meta.resolve("asyncio-ts" + door);
        if (!url.includes("/dist/production/")) console.log(url);
        await import(url);
      }
      console.log(globalThis[Symbol.for("asyncio-ts.copies.1")].all.length, "copy");`);

    assert.equal(output, "1 copy\n");
  });

  test("an error has its code, and says what is wrong", async () => {
    const { output } = await runText(`
      const calls = [
        () => asyncio.run(asyncio.sleep(0)),
        () => asyncio.run(async () => {}, { singals: false }),
        () => asyncio.run(async () => {}, 5),
        async () => new asyncio.Future().result(),
        async () => new asyncio.Queue().getNowait(),
      ];
      for (const call of calls)
        await call().catch(({ name, code, message }) => console.log(name, code, message));`);

    assert.deepEqual(output.split("\n"), [
      "TypeError ERR_ASYNCIO_INVALID_ARGUMENT `run` expects a function that returns a promise, got a promise",
      "TypeError ERR_ASYNCIO_INVALID_ARGUMENT `run` has no option `singals`",
      "TypeError ERR_ASYNCIO_INVALID_ARGUMENT `run` expects an object of options, got 5",
      "InvalidStateError ERR_ASYNCIO_INVALID_STATE a future is not done yet",
      "QueueEmpty ERR_ASYNCIO_QUEUE_EMPTY `getNowait` found a Queue empty",
      "",
    ]);
  });

  test("a failure that nobody has looked at is reported: whose it is, its stack, its cause", async () => {
    const { code, output } = await runText(`
      await asyncio.run(async () => {
        const work = async () => {
          throw new Error("out of paper", { cause: new Error("no trees") });
        };
        asyncio.createTask(work, { name: "printer" });
        await asyncio.sleep(0.001);
      });`);

    assert.match(
      output,
      /^asyncio: task "printer" has failed, and nobody has looked at its failure$/m,
    );
    assert.match(output, /Error: out of paper\n +at work \(/);
    assert.match(output, /caused by\n +Error: no trees\n +at work \(/);
    assert.equal(code, 0);
  });

  test("errors of a group are all in its report", async () => {
    const { output } = await runText(`
      const fail = (word) => async () => { throw new Error(word); };
      await asyncio.run(async () => {
        asyncio.createTask(() => asyncio.taskGroup(async (group) => {
          group.createTask(fail("first"));
          group.createTask(fail("second"));
        }));
        await asyncio.sleep(0.001);
      });`);

    assert.match(output, /ExceptionGroup: a task group has failed: Error: first \(and 1 more\)/);
    assert.match(output, /\[1\]\n +Error: first[\s\S]*\[2\]\n +Error: second\n +at /);
  });

  test("a deadlock ends main, whose cleanup runs, and says which tasks wait", async () => {
    const { code, output } = await runText(`
      const lock = new asyncio.Lock({ name: "db" });
      await asyncio.run(async () => {
        await lock.acquire();
        asyncio.createTask(() => new asyncio.Event({ name: "ready" }).wait(), { name: "reader" });
        try { await lock.acquire(); } finally { console.log("cleaned up"); }
      });`);

    assert.match(output, /^cleaned up\n/);
    assert.match(
      output,
      /DeadlockError: .*\n +task "main" is waiting for .*"db".*\n +task "reader" is waiting for .*"ready"/,
    );
    assert.match(output, /ERR_ASYNCIO_DEADLOCK/);
    assert.equal(code, 1);
  });

  test("a signal cancels main, and the process ends by it", async () => {
    const { signal, output } = await runText(`
      await asyncio.run(async () => {
        try {
          process.kill(process.pid, "SIGINT");
          await asyncio.sleep(3600);
        } finally {
          await asyncio.sleep(0.001);
          console.log("cleaned up");
        }
      });`);

    assert.deepEqual([signal, output], ["SIGINT", "cleaned up\n"]);
  });

  test("workers find the build that they begin with, whatever flags they are given", async () => {
    const program = join(root, "packages/asyncio/test/fixtures/worker-flags.mjs");

    assert.equal((await run([program])).output, "the same build\n".repeat(6));
  });

  test("a copy of the default build tells when it meets one", async () => {
    const other = join(root, "packages/asyncio/dist/index.js");
    const { output } = await runText(`
      const other = await import(${JSON.stringify(other)});
      await asyncio.run(() => other.sleep(0.001));`);

    assert.match(
      output,
      /two copies are at work, .*: \S+\/packages\/asyncio\/dist and the production build\./,
    );
  });
});

function runText(program) {
  const code = `import * as asyncio from "asyncio-ts";${program}`;
  return run(["--input-type=module", "--eval", code]);
}

/** A program under the condition `production`; it is killed after a minute. */
function run(args) {
  const child = spawn(process.execPath, ["--conditions=production", ...args], {
    cwd: join(root, "packages/asyncio"),
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 60_000,
    killSignal: "SIGKILL",
    env: { ...process.env, NO_COLOR: "1", NODE_OPTIONS: "" },
  });
  return outcomeOf(child);
}
