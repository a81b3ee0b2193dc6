import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import * as testing from "asyncio-ts/testing";
import { Program } from "../program.ts";
import { type Failure, type JobsOptions, type Result, runJobs } from "./jobs.ts";

const mayPass: Failure = { why: "not today", mayPass: true };
const forGood: Failure = { why: "never", mayPass: false };

/**
 * A command is a number of seconds, for each attempt, and "!" where that fails: "1! 2" passes at
 * last.
 */
class FakeShell {
  running = 0;
  most = 0;
  read = 0;
  readonly log: string[] = [];

  async *lines(...all: readonly string[]): AsyncGenerator<string> {
    for (const line of all) {
      this.read++;
      yield line;
    }
  }

  readonly attempt: JobsOptions["attempt"] = async ({ command, number }, attempt) => {
    const what = command.split(" ")[attempt - 1] ?? "0!";
    this.most = Math.max(this.most, ++this.running);
    this.log.push(`${number} at ${asyncio.getRunningLoop().time()}`);
    try {
      await asyncio.sleep(0);
      await asyncio.sleep(Number.parseFloat(what));
    } finally {
      this.running--;
    }
    return what.endsWith("!!") ? forGood : what.endsWith("!") ? mayPass : undefined;
  };

  async run(lines: readonly string[], options: Partial<JobsOptions> = {}): Promise<Result[]> {
    const all = runJobs(this.lines(...lines), {
      limit: 2,
      attempts: 3,
      backoff: 10,
      attempt: this.attempt,
      random: () => 1,
      ...options,
    });
    return await Array.fromAsync(all);
  }
}

const show = ({ job, attempts, seconds, failure }: Result) =>
  `${job.number}: ${attempts} in ${seconds} s${failure === undefined ? "" : `, ${failure.why}`}`;

describe("in virtual time", () => {
  test("so many at a time, results as they come, comments left out", () =>
    testing.runTest(async (t) => {
      const shell = new FakeShell();

      const results = await shell.run(["5", "", "1", "# 100", "1", "1"]);

      assert.deepEqual(results.map(show), [
        "2: 1 in 1 s",
        "3: 1 in 1 s",
        "4: 1 in 1 s",
        "1: 1 in 5 s",
      ]);
      assert.equal(shell.most, 2);
      assert.equal(t.now, 5);
    }));

  test("the list is read as places become free", () =>
    testing.runTest(async () => {
      const shell = new FakeShell();
      const endless = Array.from({ length: 1000 }, () => "1");

      await asyncio.moveOnAfter(3.5, () => shell.run(endless));

      assert.equal(shell.running, 0);
      assert.ok(shell.read <= 9, String(shell.read));
    }));

  test("a failure is tried again, later each time, and in the end told", () =>
    testing.runTest(async () => {
      const shell = new FakeShell();

      const results = await shell.run(["1! 1! 1", "1! 1! 1!"]);

      assert.deepEqual(results.map(show), ["1: 3 in 33 s", "2: 3 in 33 s, not today"]);
      const first = shell.log.filter((line) => line.startsWith("1 "));
      assert.deepEqual(first, ["1 at 0", "1 at 11", "1 at 32"]);
    }));

  test("what cannot pass is not tried again, and disturbs no other", () =>
    testing.runTest(async () => {
      const results = await new FakeShell().run(["1!!", "2"]);

      assert.deepEqual(results.map(show), ["1: 1 in 1 s, never", "2: 1 in 2 s"]);
    }));

  test("jobs that failed together do not come back together", () =>
    testing.runTest(async () => {
      const shell = new FakeShell();
      const chances = [0, 1];

      await shell.run(["1! 1", "1! 1"], { random: () => chances.shift() ?? 0 });

      assert.deepEqual(shell.log, ["1 at 0", "2 at 0", "1 at 6", "2 at 11"]);
    }));

  test("a mistake in an attempt ends everything, and comes out as it is", () =>
    testing.runTest(async () => {
      const shell = new FakeShell();
      const attempt: JobsOptions["attempt"] = async (job, number) => {
        if (job.number === 2) throw new RangeError("a bug");
        return await shell.attempt(job, number);
      };

      await assert.rejects(shell.run(["100", "1"], { attempt }), RangeError);

      assert.equal(shell.running, 0);
    }));

  const some = async () => {
    const shell = new FakeShell();
    const results = await shell.run(["1! 1", "1", "1!!", "1"], { limit: 3 });
    assert.equal(results.length, 4);
    assert.ok(shell.most <= 3);
  };

  test("jobs go well under every schedule", async () => {
    const found = await testing.explore(some, { iterations: 100, seconds: 30 });

    assert.ok(found.distinct > 5, String(found.distinct));
  });

  test("wherever it is cancelled, nothing is left", async () => {
    const found = await testing.cancelSweep(some, { depth: 1, seconds: 10 });

    assert.ok(found.places > 5, String(found.places));
  });
});

describe("with a real shell", () => {
  async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), "asyncio-ts-jobs-"));
    try {
      await body(folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  const start = (folder: string, lines: readonly string[], ...args: string[]) => {
    const file = join(folder, "jobs");
    writeFileSync(file, lines.map((line) => `${line}\n`).join(""));
    return new Program("jobs/main.ts", ...args, file);
  };

  test("output, exit codes, attempts, and a summary", () =>
    inFolder(async (folder) => {
      const logs = join(folder, "logs");
      const jobs = [
        "echo $JOB; echo to stderr >&2",
        "echo $ATTEMPT; test $ATTEMPT = 2",
        "exit 3",
        "no-such-program",
      ];

      const program = start(folder, jobs, "--attempts", "2", "--backoff", "0", "--logs", logs);
      const { code, stderr } = await program.end();

      assert.equal(code, 1);
      const lines = stderr
        .trimEnd()
        .replace(/\d+\.\d s/g, "N s")
        .split("\n");
      assert.equal(lines.pop(), "jobs: 2 done, 2 failed, all");
      assert.deepEqual(lines.sort(), [
        "[1] echo $JOB; echo to stderr >&2: done (N s)",
        "[2] echo $ATTEMPT; test $ATTEMPT = 2: done (N s, attempt 2)",
        "[3] exit 3: failed, exit code 3 (N s, attempt 2)",
        "[4] no-such-program: failed, exit code 127 (N s)",
      ]);
      assert.equal(readFileSync(join(logs, "1.log"), "utf8"), "1\nto stderr\n");
      assert.equal(readFileSync(join(logs, "2.log"), "utf8"), "1\n2\n");
    }));

  test("an attempt that takes too long is ended, with all that it has started", () =>
    inFolder(async (folder) => {
      const job = "trap '' TERM; sleep 3600 & sleep 3600; sleep 3600";
      const program = start(folder, [job], "--seconds", "0.2", "--kill", "0.1");

      // It ends when its output does, which is that of all that the job has started.
      const { code, stderr } = await program.end();

      assert.equal(code, 1);
      assert.match(stderr, /: failed, not done in 0\.2 s \(/);
    }));

  test("--fail-fast ends what runs", () =>
    inFolder(async (folder) => {
      const { code, stderr } = await start(
        folder,
        ["sleep 3600", "exit 1", "touch never"],
        ...["--jobs", "2", "--fail-fast"],
      ).end();

      assert.equal(code, 1);
      assert.match(stderr, /jobs: 0 done, 1 failed, stopped at a failure\n$/);
    }));

  test("--deadline ends all of it", () =>
    inFolder(async (folder) => {
      const { code, stderr } = await start(folder, ["sleep 3600"], "--deadline", "0.1").end();

      assert.equal(code, 1);
      assert.match(stderr, /jobs: 0 done, 0 failed, cut off after 0\.1 s\n$/);
    }));

  test("Ctrl-C lets jobs clean up, starts no other, and says what was done", () =>
    inFolder(async (folder) => {
      const job = `exec 2>/dev/null; trap 'echo cleaned; exit 0' TERM; echo $$; while :; do sleep 0.01; done`;
      const program = start(folder, [job, `touch ${folder}/never`], "--jobs", "1", "--kill", "30");
      const pid = Number(await program.line());

      const ending = program.end("SIGINT");

      assert.equal(await program.line(), "cleaned");
      const { signal, stderr } = await ending;
      assert.equal(signal, "SIGINT");
      assert.equal(stderr, "jobs: 0 done, 0 failed, cut off\n");
      assert.equal(existsSync(join(folder, "never")), false);
      assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
    }));

  test("a line that is too long, and a list that is not there, end with a sentence", () =>
    inFolder(async (folder) => {
      const long = await start(folder, ["true", `echo ${"x".repeat(100_000)}`]).end();
      assert.equal(long.code, 1);
      assert.match(
        long.stderr,
        /^(\[1\] true: done .*\n)?jobs: \d done, 0 failed, cut off by a line that is too long\n$/,
      );

      const none = await new Program("jobs/main.ts", join(folder, "none")).end();
      assert.equal(none.code, 1);
      assert.match(none.stderr, /\nENOENT: .*none'\n$/);
    }));
});

test("wrong arguments end with a sentence", async () => {
  for (const args of [
    ["--jobs", "0"],
    ["a", "b"],
    ["--seconds", "soon"],
  ]) {
    const { code, stderr } = await new Program("jobs/main.ts", ...args).end();
    assert.equal(code, 2);
    assert.match(stderr, /^[^\n]+\n\nUsage: /);
  }
});
