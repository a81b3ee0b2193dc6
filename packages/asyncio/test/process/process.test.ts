// Child processes: real ones, of programs that every POSIX system has.

import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { EventEmitter } from "node:events";
import { existsSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import {
  CancelledError,
  createSubprocessExec,
  createSubprocessShell,
  createTask,
  gather,
  InvalidStateError,
  moveOnAfter,
  run,
  type StreamReader,
  sleep,
  timeout,
} from "../../src/index.ts";
import { realHost } from "../../src/kernel/host.ts";
import { here } from "../../src/kernel/operation.ts";
import { Child } from "../../src/process/child.ts";
import { LeakError, runTest } from "../../src/testing.ts";
import { runFixture } from "../child.ts";
import { conforms } from "../conformance.ts";
import { rejection } from "../virtual.ts";
import { allGone, groupOf, isAlive, real } from "./alive.ts";

const folder = realpathSync(mkdtempSync(join(tmpdir(), "asyncio-ts-")));
after(() => rmSync(folder, { recursive: true }));

const pipes = { stdin: "pipe", stdout: "pipe", stderr: "pipe" } as const;
const text = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : new TextDecoder().decode(bytes);
const line = async (reader: StreamReader): Promise<string> =>
  text(await reader.readLine())?.trimEnd() ?? "";
/** A program that says "ready" and then does what is told. */
const sh = (script: string) => ["-c", script];

/** An input in a foreign await. */
async function* silent(): AsyncGenerator<string> {
  yield await new Promise<never>(() => {});
}

describe("communicate", () => {
  test(
    "feeds the input, reads both outputs, and waits (S153)",
    real(async () => {
      const process = await createSubprocessExec("sh", sh("cat; echo oops >&2; exit 4"), pipes);
      const [stdout, stderr] = await process.communicate("hello");

      assert.deepEqual([text(stdout), text(stderr), process.returncode], ["hello", "oops\n", 4]);
    }),
  );

  test(
    "without input closes stdin all the same (S153)",
    real(async () => {
      const process = await createSubprocessExec("cat", [], { stdin: "pipe", stdout: "pipe" });
      const [stdout, stderr] = await process.communicate();

      assert.deepEqual([text(stdout), stderr], ["", undefined]);
    }),
  );

  test(
    "leaves an input from which nothing comes alone, when the process has ended or it is cancelled",
    real(async () => {
      await using running = await createSubprocessExec("cat", [], pipes);
      const moved = await moveOnAfter(0.01, () => running.communicate(silent()));
      const ended = await createSubprocessExec("echo", ["done"], pipes);
      const [stdout] = await ended.communicate(silent());

      assert.deepEqual(
        [moved.cancelled, running.returncode, text(stdout)],
        [true, undefined, "done\n"],
      );
    }),
  );

  test(
    "does not mind a process that does not read its input (S153)",
    real(async () => {
      const process = await createSubprocessExec("true", [], { stdin: "pipe" });
      await process.communicate(new Uint8Array(5_000_000));

      assert.equal(process.returncode, 0);
    }),
  );

  test(
    "takes input piece by piece, and ends it when the process has ended",
    real(async () => {
      let isEnded = false;
      async function* endless() {
        try {
          for (;;) {
            yield "y\n";
            await sleep(0.001);
          }
        } finally {
          isEnded = true;
        }
      }
      const process = await createSubprocessExec("head", ["-n", "2"], pipes);
      const [stdout] = await process.communicate(endless());

      assert.deepEqual([text(stdout), isEnded], ["y\ny\n", true]);
    }),
  );

  test(
    "is not blocked by megabytes on both outputs and the input",
    real(async () => {
      const script = "head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero; cat >/dev/null";
      const process = await createSubprocessExec("sh", sh(script), pipes);
      const [stdout, stderr] = await process.communicate(new Uint8Array(3_000_000));

      assert.deepEqual([stdout.length, stderr.length], [3_000_000, 3_000_000]);
    }),
  );

  test(
    "loses nothing when this program is slow to read",
    real(async () => {
      let isDone = false;
      const spin = async () => {
        while (!isDone) {
          const until = performance.now() + 2;
          while (performance.now() < until); // holds the loop up
          await sleep(0);
        }
      };
      const spinning = [1, 2, 3].map(() => createTask(spin));
      const process = await createSubprocessExec("head", ["-c", "500000", "/dev/zero"], {
        stdout: "pipe",
      });
      const [stdout] = await process.communicate();
      isDone = true;
      await gather(...spinning);

      assert.equal(stdout.length, 500_000);
    }),
  );

  test(
    "does not wait for what the process has left running with its output",
    real(async () => {
      const script = "sleep 100 & echo $!";
      await using process = await createSubprocessExec("sh", sh(script), { ...pipes });
      const [stdout] = await process.communicate();
      const left = Number(text(stdout));

      assert.equal(isAlive(left), true);
      globalThis.process.kill(left);
      await allGone(left);
    }),
  );

  test(
    "cancelled, leaves the process alone, and what has come can be read",
    real(async () => {
      await using process = await createSubprocessExec("sh", sh("echo early; exec sleep 100"), {
        stdout: "pipe",
      });
      const moved = await moveOnAfter(0.1, () => process.communicate());

      assert.equal(moved.cancelled, true);
      assert.equal(process.returncode, undefined);
      assert.equal(await line(process.stdout), "early");
    }),
  );

  test(
    "needs a pipe to write to",
    real(async () => {
      await using process = await createSubprocessExec("true", [], { stdin: "ignore" });

      const error = await rejection(process.communicate("x"));
      assert.ok(error instanceof InvalidStateError);
      assert.match(error.message, /start the process with `stdin: "pipe"`$/);
      await process.wait();
    }),
  );
});

describe("streams of a process", () => {
  test(
    "are read and written while it runs",
    real(async () => {
      await using process = await createSubprocessExec("cat", [], pipes);
      await process.stdin.write("one\n");
      const first = await line(process.stdout);
      await process.stdin.write("two\n");
      const second = await line(process.stdout);
      process.stdin.close();

      assert.deepEqual([first, second, await process.wait()], ["one", "two", 0]);
    }),
  );

  test(
    "can be read when it has ended (S158)",
    real(async () => {
      const process = await createSubprocessExec("sh", sh("head -c 50000 /dev/zero; echo end"), {
        stdout: "pipe",
      });
      await process.wait();
      await sleep(0.02);
      const bytes = await process.stdout.read();

      assert.equal(bytes.length, 50_004);
    }),
  );

  test(
    "have the limit that is asked for",
    real(async () => {
      await using process = await createSubprocessExec("echo", ["a longer line"], {
        stdout: "pipe",
        limit: 5,
      });

      await assert.rejects(process.stdout.readLine(), { code: "ERR_ASYNCIO_LIMIT_OVERRUN" });
    }),
  );

  test(
    "stderr goes where stdout goes, in the order in which it was written",
    real(async () => {
      const script = "for i in 1 2 3; do echo out $i; echo err $i >&2; done";
      const process = await createSubprocessExec("sh", sh(script), {
        stdout: "pipe",
        stderr: "stdout",
      });
      const [stdout, stderr] = await process.communicate();

      assert.equal(text(stdout), "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n");
      assert.deepEqual([stderr, process.stderr], [undefined, undefined]);
    }),
  );

  test("text modes are refused (S158)", async () => {
    for (const option of ["text", "encoding", "universalNewlines"]) {
      const options = { [option]: "utf8" };
      await assert.rejects(createSubprocessExec("true", [], options), {
        name: "TypeError",
        message: /no option `\w+`, got "utf8"\. Streams carry bytes/,
      });
    }
  });
});

describe("the end of a process", () => {
  for (const [call, signal, returncode] of [
    ["terminate", "SIGTERM", -15],
    ["kill", "SIGKILL", -9],
  ] as const) {
    test(
      `${call} sends ${signal}, and the return code tells it (S154)`,
      real(async () => {
        await using process = await createSubprocessExec("sleep", ["100"], { stdin: "ignore" });
        process[call]();

        assert.equal(await process.wait(), returncode);
      }),
    );
  }

  test(
    "sendSignal takes names and numbers, of a process that has ended, too (S154)",
    real(async () => {
      const script = "trap 'echo got it' HUP; echo ready; while :; do sleep 0.01; done";
      await using process = await createSubprocessExec("sh", sh(script), pipes);
      await line(process.stdout);
      process.sendSignal("SIGHUP");
      const answer = await line(process.stdout);
      process.sendSignal(9);
      const returncode = await process.wait();
      process.sendSignal("SIGTERM");
      process.terminate();
      process.kill();

      assert.deepEqual([answer, returncode], ["got it", -9]);
      assert.throws(() => process.sendSignal("SIGNO" as never), /name or number of a signal/);
    }),
  );

  test(
    "any number of tasks may wait; cancelling one does not end the process (S155)",
    real(async () => {
      await using process = await createSubprocessExec("cat", [], { stdin: "pipe" });
      const moved = await moveOnAfter(0.01, () => process.wait());
      const waiting = gather(process.wait(), process.wait());
      process.stdin.close();

      assert.deepEqual([moved.cancelled, await waiting], [true, [0, 0]]);
      assert.equal(await process.wait(), 0);
    }),
  );

  test(
    "leaving the block kills one that runs, with what it has started (S157)",
    real(async () => {
      const pids: number[] = [];
      {
        await using process = await createSubprocessExec("sh", sh("sleep 100 & echo $!; wait"), {
          stdin: "ignore",
          stdout: "pipe",
        });
        pids.push(process.pid, Number(await line(process.stdout)));
      }
      assert.equal(isAlive(pids[0] ?? 0), false);
      await allGone(...pids);
    }),
  );

  test(
    "one that is killed by leaving the block has not ended by the end of its input",
    real(async () => {
      const returncodes = [];
      for (let count = 0; count < 10; count++) {
        const process = await createSubprocessExec("cat", [], { stdin: "pipe", stdout: "pipe" });
        await process.stdin.write("x\n");
        await process.stdout.readLine();
        await process[Symbol.asyncDispose]();
        returncodes.push(process.returncode);
      }

      assert.deepEqual([...new Set(returncodes)], [-9]);
    }),
  );

  test(
    "leaving the block does nothing to one that has ended (S157)",
    real(async () => {
      await using process = await createSubprocessExec("sh", sh("exit 3"));
      await process.wait();
      await process[Symbol.asyncDispose]();

      assert.equal(process.returncode, 3);
    }),
  );

  test(
    "a cancelled scope leaves no process behind",
    real(async () => {
      let pid = 0;
      const work = timeout(0.05, async () => {
        await using process = await createSubprocessExec("sleep", ["100"], { stdin: "ignore" });
        pid = process.pid;
        await process.wait();
      });

      await assert.rejects(work, { name: "TimeoutError" });
      assert.equal(isAlive(pid), false);
    }),
  );
});

describe("cancelling a start leaves no process (S156)", () => {
  test(
    "before it, nothing is started",
    real(async () => {
      const file = join(folder, "started");
      const task = createTask(() => createSubprocessExec("touch", [file]));
      task.cancel();

      assert.ok((await rejection(task)) instanceof CancelledError);
      await sleep(0.05);
      assert.equal(existsSync(file), false);
    }),
  );

  test(
    "after it, whoever asked for the process has it, and is cancelled at the next wait",
    real(async () => {
      let pid = 0;
      const task = createTask(
        async () => {
          await using process = await createSubprocessExec("sleep", ["100"], { stdin: "ignore" });
          pid = process.pid;
          await process.wait();
        },
        { eagerStart: true },
      );
      task.cancel(); // the process was started in the call, and has not been handed over yet

      assert.ok((await rejection(task)) instanceof CancelledError);
      assert.ok(pid > 0);
      assert.equal(isAlive(pid), false);
    }),
  );
});

describe("sessions", () => {
  test(
    "a process has one of its own, unless it inherits stdin, or as it is told",
    real(async () => {
      const own = await createSubprocessExec("sleep", ["100"], { stdin: "ignore" });
      const shared = await createSubprocessExec("sleep", ["100"]);
      const told = await createSubprocessExec("sleep", ["100"], { startNewSession: true });
      const groups = [own, shared, told].map(({ pid }) => groupOf(pid) === pid);
      for (const process of [own, shared, told]) process.kill();
      await gather(own.wait(), shared.wait(), told.wait());

      assert.deepEqual(groups, [true, false, true]);
    }),
  );

  test(
    "without one, a signal reaches the process alone",
    real(async () => {
      const process = await createSubprocessExec("sh", sh("sleep 100 & echo $!; wait"), {
        stdout: "pipe",
      });
      const child = Number(await line(process.stdout));
      process.kill();
      await process.wait();

      assert.equal(isAlive(child), true);
      globalThis.process.kill(child);
      await process.stdout.read(); // to the end: the child had it open
      await allGone(child);
    }),
  );
});

describe("the shell", () => {
  test(
    "reads the line, in the folder and the environment that are given",
    real(async () => {
      const process = await createSubprocessShell("echo $NAME; pwd; exit 5", {
        stdout: "pipe",
        cwd: pathToFileURL(folder),
        env: { NAME: "ann" },
      });
      const [stdout] = await process.communicate();

      assert.deepEqual([text(stdout), process.returncode], [`ann\n${folder}\n`, 5]);
    }),
  );

  test(
    "with one pipe for both",
    real(async () => {
      const process = await createSubprocessShell("echo a >&2; echo b", {
        stdout: "pipe",
        stderr: "stdout",
      });

      assert.equal(text((await process.communicate())[0]), "a\nb\n");
    }),
  );
});

describe("a program that cannot be started", () => {
  const file = join(folder, "started");
  for (const [what, program, options, code, message] of [
    [
      "is not there",
      "no-such-program",
      {},
      "ENOENT",
      /"no-such-program": .* no such program in PATH$/,
    ],
    ["is no file", "./nowhere/x", {}, "ENOENT", /"\.\/nowhere\/x": there is no such file$/],
    ["has arguments in it", "ls -l", {}, "ENOENT", /Pass its arguments one by one, in an array$/],
    ["may not be run", "/etc/passwd", {}, "EACCES", /the file is not executable/],
    [
      "has no folder",
      "true",
      { cwd: "/nowhere" },
      "ENOENT",
      /directory "\/nowhere" does not exist$/,
    ],
    [
      "has a file as its folder",
      "true",
      { cwd: "/etc/passwd" },
      "ENOTDIR",
      /"\/etc\/passwd" is a file$/,
    ],
    [
      "is not there, with one pipe for both",
      "no-such-program",
      { stdout: "pipe", stderr: "stdout" },
      "ENOENT",
      /^`createSubprocessExec` cannot start "no-such-program": /,
    ],
    ["is a folder", "/tmp", {}, "EACCES", /cannot start "\/tmp": permission denied/],
    [
      "is a folder, with one pipe for both",
      "/tmp",
      { stdout: "pipe", stderr: "stdout" },
      "EACCES",
      /cannot start "\/tmp": permission denied/,
    ],
    [
      "has no folder, with one pipe for both",
      "true",
      { cwd: "/nowhere", stdout: "pipe", stderr: "stdout" },
      "ENOENT",
      /cannot start "true": its working directory "\/nowhere" does not exist$/,
    ],
  ] as const) {
    test(
      `says so: it ${what}`,
      real(async () => {
        const error = await rejection(createSubprocessExec(program, [], options));

        assert.ok(error instanceof Error);
        assert.match(error.message, message);
        assert.equal((error as { code?: unknown }).code, code);
        assert.ok(error.cause instanceof Error);
      }),
    );
  }

  for (const [what, args, message] of [
    ["a program that is no text", [5], /expects the program to be a string, got 5$/],
    ["a program without a name", [""], /expects the program to have a name, got ""$/],
    ["an environment that is none", ["ls", [], { env: "x" }], /`env` to be an object .*, got "x"$/],
    ["an argument that is no text", ["ls", [5]], /expects arguments to be strings, got 5$/],
    ["an unknown stream", ["ls", [], { stdout: "tty" }], /`stdout` to be "pipe", .*, got "tty"$/],
    ["stdout for stdout", ["ls", [], { stdout: "stdout" }], /got "stdout"$/],
    [
      "a limit of 0",
      ["ls", [], { limit: 0 }],
      /`limit` in bytes, a whole number of 1 or more, got 0$/,
    ],
  ] as const) {
    test(`${what} is refused`, async () => {
      const call = createSubprocessExec as (...args: unknown[]) => Promise<unknown>;
      await assert.rejects(call(...args), { code: "ERR_ASYNCIO_INVALID_ARGUMENT", message });
      assert.equal(existsSync(file), false);
    });
  }
});

describe("the end of a run", () => {
  test("ends the processes that are left, by SIGTERM and then by SIGKILL", async () => {
    let pid = 0;
    let returncode: Promise<number> | undefined;
    await run(async () => {
      const process = await createSubprocessExec("sleep", ["100"], { stdin: "ignore" });
      pid = process.pid;
      returncode = process.wait();
      returncode.catch(() => {});
    });

    assert.equal(isAlive(pid), false);
  });

  for (const [scenario, end] of [
    ["left over", { code: 0, signal: null }],
    ["waited for", { code: null, signal: "SIGTERM" }],
    ["in runProcess", { code: null, signal: "SIGTERM" }],
    ["stuck", { code: null, signal: "SIGTERM" }],
    ["exits", { code: 7, signal: null }],
    ["throws", { code: 1, signal: null }],
  ] as const) {
    test(`leaves no process: one that is ${scenario}`, async () => {
      const { code, signal, stdout } = await runFixture("processes", scenario, {
        onOutput(output, child) {
          // Twice the same in a moment could be one Ctrl-C.
          if (output.endsWith("ready\n")) child.kill(scenario === "stuck" ? "SIGINT" : "SIGTERM");
          if (output.endsWith("again\n")) child.kill("SIGTERM");
        },
      });
      const pids = [...stdout.matchAll(/^pid (\d+)$/gm)].map(([, pid]) => Number(pid));

      assert.deepEqual({ code, signal }, end, stdout);
      assert.ok(pids.length >= 2, stdout);
      await allGone(...pids);
    });
  }

  for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const) {
    test(`leaves no process when ${signal} comes, and nobody listens to it`, async () => {
      const ended = await runFixture("processes", "not listening", {
        onOutput(output, child) {
          if (output.endsWith("ready\n")) child.kill(signal);
        },
      });
      const pids = [...ended.stdout.matchAll(/^pid (\d+)$/gm)].map(([, pid]) => Number(pid));

      assert.deepEqual([ended.signal, pids.length], [signal, 2]);
      await allGone(...pids);
    });
  }

  test("does not come by a signal that the program listens to", async () => {
    const { signal, stdout } = await runFixture("processes", "listening itself", {
      onOutput(output, child) {
        if (output.endsWith("ready\n")) child.kill("SIGHUP");
        if (output.endsWith("again\n")) child.kill("SIGTERM");
      },
    });

    assert.equal(signal, "SIGTERM");
    assert.match(stdout, /ready\nagain\n$/);
  });

  for (const [what, scenario, second, end] of [
    ["a second signal", "half ended", "SIGTERM", { code: null, signal: "SIGTERM" }],
    ["an exit", "half ended", "SIGUSR1", { code: 4, signal: null }],
    ["an uncaught error", "half ended", "SIGUSR2", { code: 1, signal: null }],
    [
      "the end of `shutdownDelay`",
      "half ended, in a hurry",
      undefined,
      { code: null, signal: "SIGTERM" },
    ],
  ] as const) {
    test(`by ${what} kills what a process has left that has ended on request`, async () => {
      const { code, signal, stdout } = await runFixture("processes", scenario, {
        onOutput(output, child) {
          if (output.endsWith("ready\n")) child.kill(second === "SIGTERM" ? "SIGINT" : "SIGTERM");
          if (output.endsWith("gone\n") && second !== undefined) child.kill(second);
        },
      });
      const [, pid] = /^pid (\d+)$/m.exec(stdout) ?? [];

      assert.deepEqual({ code, signal }, end, stdout);
      await allGone(Number(pid));
    });
  }

  test("is told by debug mode", async () => {
    const { stderr } = await runFixture("processes", "left over, in debug mode");

    assert.match(stderr, /the run has ended what was left open:\n {2}process \d+ \(sleep 100\)/);
  });

  test("a test that leaves one running is told its name", async () => {
    const error = await rejection(
      runTest(async () => {
        await createSubprocessExec("sleep", ["100"], { stdin: "ignore" });
      }),
    );

    assert.ok(error instanceof LeakError);
    assert.match(error.message, /process \d+ \(sleep 100\), still running/);
  });

  test("virtual time stands still while a process is waited for", async () => {
    await runTest(async (t) => {
      const process = await createSubprocessExec("sleep", ["0.05"], { stdin: "ignore" });
      await timeout(0.001, () => process.wait());

      assert.equal(t.now, 0);
    });
  });
});

/** A child that does what the test says, since no test could tell a real one when to do it. */
function claimedChild(stdout: object | null = null): Child {
  const host = Object.assign(new EventEmitter(), { stdin: null, stdout, stderr: null });
  const spec = { api: "test", asked: "x", program: "x", args: [], command: "x", options: {} };
  return new Child(here().loop, spec, host as unknown as ChildProcess, 0);
}

describe("output that somebody else holds open when the process has ended", () => {
  const openOutput = () =>
    Object.assign(new EventEmitter(), { bytesRead: 0, closed: false, destroy() {} });

  test("is waited for as long as something comes, for however long", async (t) => {
    let now = 0;
    t.mock.method(realHost, "now", () => now);
    t.mock.method(realHost, "setTimer", (when: number, callback: () => void) => {
      const timer = setImmediate(() => {
        now = when;
        if (++stdout.bytesRead === 100) stdout.closed = true;
        callback();
      });
      return { ref() {}, unref() {}, clear: () => clearImmediate(timer) };
    });
    const stdout = openOutput();
    await run(async () => {
      const child = claimedChild(stdout);
      const drained = createTask(() => child.drained());
      child.host.emit("exit", 0, null);
      while (!stdout.closed) await new Promise((resolve) => setImmediate(resolve));
      assert.equal(drained.done(), false);
      stdout.emit("close");
      await drained;
    });

    assert.equal(stdout.bytesRead, 100);
    assert.ok(now >= 49, `${now} s`);
  });

  test("is not waited for longer than it is open", async () => {
    await run(async () => {
      const stdout = openOutput();
      const child = claimedChild(stdout);
      const drained = createTask(() => child.drained());
      child.host.emit("exit", 0, null);
      stdout.closed = true;
      stdout.emit("close");
      for (let hops = 0; hops < 3; hops++) await new Promise((resolve) => setImmediate(resolve));

      assert.equal(drained.done(), true);
    });
  });
});

// What a process does cannot be told from within a step, so this one only claims to be one.
let claimed: Child | undefined;
conforms(
  "Process.wait",
  {
    wakes: "all",
    hasFastPath: true,
    holdsTime: true,
    within: async (check) => {
      claimed = claimedChild();
      try {
        await check();
      } finally {
        claimed.host.emit("exit", 5, null);
      }
    },
  },
  () => ({
    begin: async () => await claimed?.wait(),
    complete() {
      claimed?.host.emit("exit", 5, null);
      return 5;
    },
  }),
);
