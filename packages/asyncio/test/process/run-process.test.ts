// Programs that run, answer and end, in one call.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, describe, test } from "node:test";
import {
  CancelledError,
  CancelScope,
  cleanup,
  createTask,
  gather,
  ProcessError,
  runProcess,
  sleep,
  TimeoutError,
  timeout,
} from "../../src/index.ts";
import { runTest } from "../../src/testing.ts";
import { rejection } from "../virtual.ts";
import { allGone, isAlive, real } from "./alive.ts";

const folder = mkdtempSync(join(tmpdir(), "asyncio-ts-"));
after(() => rmSync(folder, { recursive: true }));

const sh = (script: string) => ["-c", script];
/** The whole lines that a script has put into a file. */
const linesOf = (name: string): string[] => {
  const path = join(folder, name);
  return existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
};
/**
 * Waits until a script has said something in a file: it has no other way to be heard before it
 * ends.
 */
async function untilSaid(name: string, count: number): Promise<number[]> {
  while (linesOf(name).length < count) await sleep(0.005);
  return linesOf(name).map(Number);
}

/** An input in a foreign await. */
async function* silent(): AsyncGenerator<string> {
  yield await new Promise<never>(() => {});
}

describe("runProcess", () => {
  test(
    "gives the return code and what was put out, as text or as bytes",
    real(async () => {
      const script = "echo äh; echo oh >&2";
      const text = await runProcess("sh", sh(script));
      const bytes = await runProcess("sh", sh(script), { capture: "bytes" });

      assert.deepEqual(text, { returncode: 0, stdout: "äh\n", stderr: "oh\n" });
      assert.deepEqual(bytes.stdout, new Uint8Array([0xc3, 0xa4, 0x68, 10]));
      assert.equal(bytes.stdout.constructor, Uint8Array);
    }),
  );

  test(
    "captures what is asked for alone",
    real(async () => {
      const script = "echo out; echo err >&2";
      const merged = await runProcess("sh", sh(script), { stderr: "stdout" });
      const one = await runProcess("sh", sh(script), { stderr: "ignore" });
      const none = await runProcess("true", [], { capture: false });

      assert.deepEqual([merged.stdout, merged.stderr], ["out\nerr\n", undefined]);
      assert.deepEqual([one.stdout, one.stderr], ["out\n", undefined]);
      assert.deepEqual([none.stdout, none.stderr], [undefined, undefined]);
    }),
  );

  test(
    "feeds text, bytes, and iterables at the pace of the process",
    real(async () => {
      async function* pieces() {
        yield "one ";
        await sleep(0.001);
        yield new Uint8Array([116, 119, 111]);
      }
      const big = "x".repeat(3_000_000);
      const outputs = await gather(
        async () => (await runProcess("cat", [], { input: big })).stdout.length,
        async () => (await runProcess("cat", [], { input: new Uint8Array([104, 105]) })).stdout,
        async () => (await runProcess("cat", [], { input: pieces() })).stdout,
        async () => (await runProcess("cat", [], { input: ["a", "b"] })).stdout,
      );

      assert.deepEqual(outputs, [3_000_000, "hi", "one two", "ab"]);
    }),
  );

  test(
    "gives text as it is, with a byte order mark if it begins with one",
    real(async () => {
      const { stdout } = await runProcess("printf", ["\\357\\273\\277hi"]);

      assert.equal(stdout, "\ufeffhi");
    }),
  );

  test(
    "without input, a process that reads has nothing to read",
    real(async () => {
      assert.equal((await runProcess("cat")).stdout, "");
    }),
  );

  test(
    "does not mind a process that does not read its input, and ends the iterable",
    real(async () => {
      let isEnded = false;
      async function* endless() {
        try {
          for (;;) yield "y\n".repeat(10_000);
        } finally {
          isEnded = true;
        }
      }
      const { stdout } = await runProcess("head", ["-n", "1"], { input: endless() });

      assert.deepEqual([stdout, isEnded], ["y\n", true]);
    }),
  );

  test(
    "does not wait for an input from which nothing comes, when the process has ended, and ends that, too",
    real(async () => {
      const stream = new Readable({ read() {} });
      const fromStream = await runProcess("echo", ["1"], { input: stream });
      const fromForeign = await runProcess("echo", ["2"], { input: silent() });

      assert.deepEqual([fromStream.stdout, fromForeign.stdout], ["1\n", "2\n"]);
      assert.equal(stream.destroyed, true);
    }),
  );

  test(
    "lets an input that waits here clean up, once it is not needed any more",
    real(async () => {
      const log: string[] = [];
      async function* input() {
        try {
          yield await sleep(3600, "");
        } finally {
          await sleep(0.001);
          log.push("cleaned up");
        }
      }
      await runProcess("true", [], { input: input() });

      assert.deepEqual(log, ["cleaned up"]);
    }),
  );

  test(
    "ends the process when its input fails, and rejects with that",
    real(async () => {
      async function* failing() {
        yield "one\n";
        throw new Error("out of paper");
      }

      await assert.rejects(runProcess("cat", [], { input: failing() }), /out of paper/);
    }),
  );

  test(
    "is not blocked by megabytes on stderr",
    real(async () => {
      const script = "head -c 5000000 /dev/zero >&2; echo done";
      const { stdout, stderr } = await runProcess("sh", sh(script));

      assert.deepEqual([stdout, stderr.length], ["done\n", 5_000_000]);
    }),
  );

  test(
    "does not wait for what the process has left running with its output",
    real(async () => {
      const { stdout } = await runProcess("sh", sh("sleep 100 & echo $!"));
      const left = Number(stdout);

      assert.equal(isAlive(left), true);
      process.kill(left);
      await allGone(left);
    }),
  );
});

describe("a process that fails", () => {
  test(
    "is a ProcessError with what was captured",
    real(async () => {
      const error = await rejection(runProcess("sh", sh("echo out; echo 'no paper' >&2; exit 3")));

      assert.ok(error instanceof ProcessError);
      const { returncode, signal, stdout, stderr, cut, command } = error;
      assert.deepEqual(
        { returncode, signal, stdout, stderr, cut },
        {
          returncode: 3,
          signal: undefined,
          stdout: "out\n",
          stderr: "no paper\n",
          cut: { stdout: 0, stderr: 0 },
        },
      );
      assert.equal(command, `sh -c 'echo out; echo '\\''no paper'\\'' >&2; exit 3'`);
      assert.match(
        error.message,
        /to end with code 0, got code 3\. Its stderr ends with:\n {2}no paper$/,
      );
    }),
  );

  test(
    "by a signal has its name, and its number as a negative return code (S154)",
    real(async () => {
      const error = await rejection(runProcess("sh", sh("kill -9 $$")));

      assert.ok(error instanceof ProcessError);
      assert.deepEqual([error.signal, error.returncode], ["SIGKILL", -9]);
      assert.match(error.message, /got SIGKILL$/);
    }),
  );

  test(
    "keeps the end of a long output, in whole characters, and tells how much was cut off",
    real(async () => {
      // "ö" has two bytes, "x" one: 65,536 bytes from the end is in the middle of a character.
      const script = "head -c 200000 /dev/zero | sed 's/\\x00/ö/g'; printf x; exit 1";
      const error = await rejection(runProcess("sh", sh(script)));

      assert.ok(error instanceof ProcessError);
      const stdout = error.stdout as string;
      assert.equal(stdout, `${"ö".repeat(32_767)}x`);
      assert.equal(error.cut.stdout, 400_001 - 65_535);
    }),
  );

  test(
    "is told by its return code alone with `check: false`",
    real(async () => {
      const result = await runProcess("sh", sh("exit 3"), { check: false });

      assert.equal(result.returncode, 3);
    }),
  );
});

describe("cancelling runProcess", () => {
  test(
    "ends the process although its input sits in a foreign await",
    real(async () => {
      const said = join(folder, "waiting");
      const script = sh(`echo $$ >> ${said}; exec sleep 100`);
      const task = createTask(() => runProcess("sh", script, { input: silent() }));
      const [pid = 0] = await untilSaid("waiting", 1);
      task.cancel();

      assert.ok((await rejection(task)) instanceof CancelledError);
      assert.equal(isAlive(pid), false);
    }),
  );

  test(
    "asks the process and what it has started to end, and waits for that",
    real(async () => {
      const said = join(folder, "polite");
      // The child tells that it is there itself: until then it is a copy of the shell, which takes
      // the signal for its own.
      const child = `sh -c 'echo $$ >> ${said}; sleep 100'`;
      const script = `trap 'echo 1 >> ${said}; exit' TERM; ${child} & wait`;
      const task = createTask(() => runProcess("sh", sh(script)));
      const [pid = 0] = await untilSaid("polite", 1);
      task.cancel();

      assert.ok((await rejection(task)) instanceof CancelledError);
      assert.deepEqual(linesOf("polite"), [String(pid), "1"]);
      await allGone(pid);
    }),
  );

  test(
    "kills what does not end within `killDelay`, and what that has started",
    real(async () => {
      const said = join(folder, "stubborn");
      const script = `trap '' TERM; echo $$ >> ${said}; sh -c 'echo $$ >> ${said}; while :; do sleep 0.1; done'`;
      const task = createTask(() => runProcess("sh", sh(script), { killDelay: 0.05 }));
      const pids = await untilSaid("stubborn", 2);
      task.cancel();

      assert.ok((await rejection(task)) instanceof CancelledError);
      assert.equal(isAlive(pids[0] ?? 0), false);
      await allGone(...pids);
    }),
  );

  test(
    "is not interrupted by further cancellations, nor by the grace period",
    real(async () => {
      const said = join(folder, "slow");
      const script = `trap 'sleep 0.2; echo 1 >> ${said}; exit' TERM; echo $$ >> ${said}; while :; do sleep 0.01; done`;
      const scope = new CancelScope({ cancelGrace: 0.01 });
      const work = scope.run(() => runProcess("sh", sh(script)));
      const [pid = 0] = await untilSaid("slow", 1);
      scope.cancel();
      scope.cancel();
      await sleep(0.05);
      scope.cancel();
      await work;

      assert.deepEqual(linesOf("slow"), [String(pid), "1"]);
      assert.equal(isAlive(pid), false);
    }),
  );

  test(
    "goes on reading while it ends: a process that says much about it is not blocked",
    real(async () => {
      const said = join(folder, "verbose");
      const script = `trap 'head -c 1000000 /dev/zero; echo 1 >> ${said}; exit' TERM; echo $$ >> ${said}; while :; do sleep 0.01; done`;
      const task = createTask(() => runProcess("sh", sh(script)));
      const [pid = 0] = await untilSaid("verbose", 1);
      task.cancel();
      await rejection(task);

      assert.deepEqual(linesOf("verbose"), [String(pid), "1"]);
    }),
  );

  test(
    "before it starts, starts nothing",
    real(async () => {
      const file = join(folder, "never");
      const task = createTask(() => runProcess("touch", [file]));
      task.cancel();

      assert.ok((await rejection(task)) instanceof CancelledError);
      assert.equal(existsSync(file), false);
    }),
  );

  test(
    "ends the process also when its code swallows the cancellation",
    real(async () => {
      let pid = 0;
      const task = createTask(async () => {
        try {
          await runProcess("sh", sh(`echo $$ >> ${join(folder, "swallowed")}; sleep 100`));
        } catch {
          return await cleanup(1, async () => "done");
        }
        return undefined;
      });
      [pid = 0] = await untilSaid("swallowed", 1);
      task.cancel();

      assert.equal(await task, "done");
      assert.equal(isAlive(pid), false);
    }),
  );
});

/**
 * Does `body` with more and more seconds until it gives something: how long a process takes to
 * start is the machine's.
 */
async function patiently<T>(body: (seconds: number) => Promise<T | undefined>): Promise<T> {
  for (let seconds = 0.1; ; seconds *= 2) {
    const found = await body(seconds);
    if (found !== undefined) return found;
  }
}

describe("a deadline of runProcess", () => {
  test(
    "is a TimeoutError once the process has gone; its cause has what came by then",
    real(async () => {
      const [message, cause] = await patiently(async (seconds) => {
        const error = await rejection(runProcess("sh", sh("echo $$; exec sleep 100"), { seconds }));
        assert.ok(error instanceof TimeoutError && error.cause instanceof ProcessError);
        return error.cause.stdout === "" ? undefined : ([error.message, error.cause] as const);
      });

      assert.match(message, /has ended sh .*: it has not ended by itself within [\d.]+ s$/);
      assert.deepEqual([cause.signal, isAlive(Number(cause.stdout))], ["SIGTERM", false]);
    }),
  );

  test(
    "is one also while the input sits in a foreign await",
    real(async () => {
      const error = await rejection(
        runProcess("sleep", ["100"], { seconds: 0.01, input: silent() }),
      );

      assert.ok(error instanceof TimeoutError);
    }),
  );

  test(
    "is none for a process that has ended, and does not end what holds its output open",
    real(async () => {
      const said = join(folder, "detached");
      // Without the trap it would end by itself, at the first line that nobody takes.
      const loop = "trap '' PIPE; while :; do echo 2> /dev/null; sleep 0.01; done";
      const script = `(${loop}) & echo $! >> ${said}; echo done`;
      const { returncode, stdout } = await patiently((seconds) =>
        runProcess("sh", sh(script), { seconds }).catch((error) => {
          if (!(error instanceof TimeoutError)) throw error;
          return undefined;
        }),
      );
      const left = (await untilSaid("detached", 1)).at(-1) ?? 0;

      assert.deepEqual([returncode, stdout.trim(), isAlive(left)], [0, "done", true]);
      process.kill(left);
      await allGone(left);
    }),
  );

  test(
    "that is not met does not matter",
    real(async () => {
      assert.equal((await runProcess("echo", ["quick"], { seconds: 60 })).stdout, "quick\n");
    }),
  );

  test(
    "of a timeout round it is one of the timeout",
    real(async () => {
      const error = await rejection(timeout(0.05, () => runProcess("sleep", ["100"])));

      assert.ok(error instanceof TimeoutError);
      assert.match(error.message, /^`timeout` cancelled the body/);
    }),
  );
});

test("a test in virtual time holds still while a process runs, and it can be ended there", async () => {
  await runTest(async (t) => {
    const { stdout } = await timeout(0.001, () => runProcess("echo", ["hi"]));
    const task = createTask(() =>
      runProcess("sh", sh("trap '' TERM; sleep 100"), { killDelay: 0.05 }),
    );
    await sleep(0);
    task.cancel();

    assert.ok((await rejection(task)) instanceof CancelledError);
    assert.deepEqual([stdout, t.now], ["hi\n", 0]);
  });
});

describe("wrong arguments of runProcess", () => {
  for (const [what, args, message] of [
    ["arguments in one text", ["ls", "-l"], /expects an array of arguments, got "-l"$/],
    [
      "an unknown way to capture",
      ["ls", [], { capture: "lines" }],
      /`capture` to be "text", "bytes"/,
    ],
    [
      "an input that is none",
      ["ls", [], { input: 5 }],
      /the input to be text, bytes, or an iterable/,
    ],
    ["input and stdin", ["ls", [], { input: "", stdin: "ignore" }], /`input` or `stdin`, not both/],
    [
      "a delay that is none",
      ["ls", [], { killDelay: Number.NaN }],
      /`killDelay` in seconds, got NaN$/,
    ],
    ["a pipe for stdin", ["cat", [], { stdin: "pipe" }], /`stdin` .* got "pipe"\. .* into `input`/],
    ["a negative duration", ["ls", [], { seconds: -1 }], /it may take, 0 or more, got -1$/],
    ["a duration that is none", ["ls", [], { seconds: "5" }], /`seconds` it may take, got "5"$/],
  ] as const) {
    test(`${what} is refused`, async () => {
      const call = runProcess as (...args: unknown[]) => Promise<unknown>;
      await assert.rejects(call(...args), { code: "ERR_ASYNCIO_INVALID_ARGUMENT", message });
    });
  }
});
