import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Ended, runFixture } from "../child.ts";

/** Runs a program and sends it `signals`, one each time it has printed another line. */
function interrupted(scenario: string, ...signals: NodeJS.Signals[]): Promise<Ended> {
  let sent = 0;
  return runFixture("signals", scenario, {
    onOutput(output, child) {
      if (output.includes("ready") && sent === 0) child.kill(signals[sent++]);
    },
  });
}

describe("R26: SIGINT and SIGTERM cancel main, and the process ends by that signal", () => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    test(`${signal}: main cleans up, then the process dies by ${signal}, without a stack trace (S178)`, async () => {
      const ended = await interrupted("cleans up", signal);

      assert.deepEqual(ended, { code: null, signal, stdout: "ready\ncleaned up\n", stderr: "" });
    });
  }

  for (const scenario of ["many runs that compute", "computes, with sleep(0)"]) {
    test(`a signal that comes while the program computes is heard: ${scenario}`, async () => {
      const ended = await runFixture("signals", scenario);

      assert.deepEqual(ended, { code: null, signal: "SIGINT", stdout: "", stderr: "" });
    });
  }

  test("main returns in spite of it: run resolves, and the program goes on (S179)", async () => {
    const { code, stdout } = await interrupted("returns", "SIGINT");

    assert.deepEqual([code, stdout], [0, "ready\nrun gives value\n"]);
  });

  test("main fails in the cleanup: run rejects with that (S179)", async () => {
    const { code, stdout } = await interrupted("fails", "SIGINT");

    assert.deepEqual([code, stdout], [0, "ready\nrun rejects with in the cleanup\n"]);
  });

  test("leftover tasks are shut down before the process dies", async () => {
    const { signal, stdout } = await interrupted("leftover tasks", "SIGINT");

    assert.deepEqual([signal, stdout], ["SIGINT", "ready\nleftover ends\n"]);
  });

  test("a second signal ends the process at once", async () => {
    let timer: NodeJS.Timeout | undefined;
    const ended = await runFixture("signals", "stuck", {
      onOutput(_output, child) {
        child.kill("SIGINT");
        // Two signals sent together may arrive as one.
        timer = setInterval(() => child.kill("SIGTERM"), 20);
      },
    });
    clearInterval(timer);

    assert.equal(ended.signal, "SIGTERM");
  });

  test("a main that does not end after a signal is listed after shutdownDelay", async () => {
    const ended = await runFixture("signals", "stuck, listed", {
      onOutput: (_output, running) => void running.kill("SIGINT"),
      onErrors(errors, running) {
        if (errors.includes("foreign await")) running.kill("SIGKILL");
      },
    });

    assert.match(ended.stderr, /task "main" sits in a foreign await/);
  });

  test("a leftover task that does not end is listed on stderr, and run settles", async () => {
    const { stdout, stderr } = await runFixture("signals", "stuck leftover");

    assert.equal(stdout, "end\n");
    assert.match(stderr, /not ended 0\.02 s after .*\n.*task "stuck" sits in a foreign await/);
  });

  test("a listener of the program's own may end the process itself (S180)", async () => {
    const { code, stdout } = await interrupted("own listener", "SIGINT");

    assert.deepEqual([code, stdout], [7, "ready\nown listener\n"]);
  });

  test("who else listens keeps no main from being cancelled; the process ends with 128 + n (S180)", async () => {
    const { code, signal, stdout } = await interrupted("others listen", "SIGINT");

    assert.deepEqual([code, signal, stdout], [130, null, "ready\nheard\n"]);
  });

  test("where the others have gone by then, it dies by the signal (S180)", async () => {
    const { signal, stdout } = await interrupted("others listen, added by main, once", "SIGINT");

    assert.deepEqual([signal, stdout], ["SIGINT", "ready\nheard\n"]);
  });

  test("a listener that the cleanup adds does not keep the process alive", async () => {
    const { code, stdout } = await interrupted("others listen, added in the cleanup", "SIGINT");

    assert.deepEqual([code, stdout], [130, "ready\n"]);
  });

  test("what does not end is listed, and the process ends all the same, whoever listens", async () => {
    const scenario = "others listen, stuck leftover";
    const { code, stderr } = await interrupted(scenario, "SIGTERM");

    assert.equal(code, 143);
    assert.match(stderr, /not ended 0\.01 s after .*\n.*task "stuck" sits in a foreign await/);
  });

  test("a hook that kills the process if it is the only listener runs once, after the cleanup", async () => {
    const scenario = "a hook that kills if it is the only one";
    const { code, stdout } = await interrupted(scenario, "SIGTERM");

    assert.deepEqual([code, stdout], [143, "ready\ncleaned up\nhook 143 null\n"]);
  });

  for (const [scenario, output] of [
    ["signals false", "heard\nmain goes on\n"],
    ["open signals()", "heard\nmain got SIGTERM\n"],
  ] as const) {
    test(`what is the program's by its own words is left to it: ${scenario}`, async () => {
      const { code, stdout } = await runFixture("signals", `others listen, ${scenario}`);

      assert.deepEqual([code, stdout], [0, output]);
    });
  }

  test("a run that goes on leaves the next one its signals, whoever listens", async () => {
    const scenario = "others listen, one run after the other";
    const { code, stdout } = await runFixture("signals", scenario);

    assert.equal(code, 143);
    assert.equal(stdout, "heard\nrun gives value\nheard\nsecond cleaned up\n");
  });

  test("a nested run ends with its caller and one in a worker with the process, whoever listens", async () => {
    const scenario = "others listen, nested and in a worker";
    const { code, stdout } = await interrupted(scenario, "SIGTERM");

    assert.deepEqual([code, stdout], [143, "ready\nheard\ninner ends\nouter ends\n"]);
  });

  describe("one Ctrl-C may come twice, as under a runner of scripts", () => {
    for (const scenario of ["twice at once", "twice within half a second"]) {
      test(`${scenario} is one: the cleanup runs to its end`, async () => {
        const { signal, stdout, stderr } = await runFixture("signals", scenario);

        assert.deepEqual([signal, stdout, stderr], ["SIGINT", "cleaned up\n", ""]);
      });
    }

    for (const scenario of [
      "twice after half a second",
      "three times within half a second",
      "twice at once, then once more",
      "another one at once",
    ]) {
      test(`${scenario} kills, and a line says so`, async () => {
        const { signal, stdout, stderr } = await runFixture("signals", scenario);

        const last = scenario === "another one at once" ? "SIGTERM" : "SIGINT";
        assert.deepEqual([signal, stdout], [last, ""]);
        assert.match(stderr, new RegExp(`^asyncio: ended at once by a second ${last}.*\n$`));
      });
    }
  });

  test("a Runner between two runs ends with its background tasks, and the process by the signal", async () => {
    const { signal, stdout } = await runFixture("signals", "a Runner at rest");

    assert.deepEqual([signal, stdout], ["SIGTERM", "background ends\n"]);
  });

  test("a Runner between two runs leaves a signal to whoever listens to it", async () => {
    const { code, stdout } = await runFixture("signals", "a Runner at rest, others listen");

    assert.deepEqual([code, stdout], [0, "heard\nnext run\nbackground ends\n"]);
  });

  test("a Runner whose main goes on is told of the next signal, too", async () => {
    const { signal, stdout } = await runFixture("signals", "a Runner whose main goes on");

    assert.deepEqual([signal, stdout], ["SIGTERM", "first goes on\nsecond ends\n"]);
  });

  for (const [scenario, report] of [
    ["late", /^$/],
    ["late, failed", /main has failed, and the process ends by a signal [\s\S]*\n.*of main/],
  ] as const) {
    test(`a signal that comes while leftover tasks end is not lost: ${scenario}`, async () => {
      const { signal, stdout, stderr } = await runFixture("signals", scenario);

      assert.deepEqual([signal, stdout], ["SIGTERM", ""]);
      assert.match(stderr, report);
    });
  }

  test("nor is one that comes while servers that still listen are reported", async () => {
    const { signal, stdout } = await runFixture("signals", "late, while servers are reported");

    assert.equal(signal, "SIGTERM");
    assert.equal(stdout, "ready\nmain has ended, and a server still listens\n");
  });

  test("runs side by side are all cancelled, and the last that ends ends the process", async () => {
    const { signal, stdout } = await interrupted("side by side", "SIGTERM");

    assert.equal(signal, "SIGTERM");
    assert.deepEqual(stdout.trim().split("\n").sort(), [
      "first ends",
      "fourth returns",
      "ready",
      "second cleaned up",
      "third cleaned up",
    ]);
  });

  test("a run that begins while the process waits for another to end is cancelled, too", async () => {
    const { signal, stdout } = await interrupted("side by side, one goes on", "SIGTERM");

    assert.deepEqual([signal, stdout], ["SIGTERM", "ready\nends\ngoes on\nnested has run\n"]);
  });

  test("signals: false leaves them alone", async () => {
    const { signal, stdout } = await interrupted("signals false", "SIGINT");

    assert.deepEqual([signal, stdout], ["SIGINT", "ready\n"]);
  });

  test("a list of names picks the signals", async () => {
    const [hangup, interrupt] = await Promise.all([
      interrupted("SIGHUP only", "SIGHUP"),
      interrupted("SIGHUP only", "SIGINT"),
    ]);

    assert.deepEqual([hangup.signal, hangup.stdout], ["SIGHUP", "ready\ncleaned up\n"]);
    assert.deepEqual([interrupt.signal, interrupt.stdout], ["SIGINT", "ready\n"]);
  });

  test("the outermost run has the signals; the inner one is cancelled with it", async () => {
    const { signal, stdout } = await interrupted("inner run", "SIGTERM");

    assert.deepEqual([signal, stdout], ["SIGTERM", "ready\ninner ends\nouter ends\n"]);
  });

  test("the listeners are removed when run ends (S172)", async () => {
    const { stdout } = await runFixture("signals", "listeners removed");

    assert.equal(stdout, "during 1\nafter 0\n");
  });
});

describe("R27: a deadlock in a real process", () => {
  test("main gets a DeadlockError that lists every task and what it waits for", async () => {
    const { code, stdout } = await runFixture("signals", "deadlock");

    assert.equal(code, 0);
    assert.match(stdout, /^finally\nDeadlockError\n/);
    assert.match(stdout, /task "main" is waiting for Queue "results"\.get/);
    assert.match(stdout, /task "worker" is waiting for Queue "urls"\.get/);
    assert.match(stdout, /^main,worker$/m);
  });

  test("it shows who waits for each other in a circle", async () => {
    const { stdout } = await runFixture("signals", "deadlock by two locks");

    assert.match(stdout, /^They wait for each other in a circle: ("main" -> "ann" -> "main")$/m);
  });

  test("there is none while a listener to the end of the program goes on", async () => {
    const { code, stdout } = await runFixture("signals", "woken at the end");

    assert.deepEqual([code, stdout], [0, "once\ntwice\nDeadlockError\n"]);
  });

  test("a main that sits in a foreign await ends the run as well", async () => {
    const { stdout } = await runFixture("signals", "deadlock in a foreign await");

    assert.match(stdout, /DeadlockError: .*\n.*"main" sits in a foreign await/);
    assert.match(stdout, /^end$/m);
  });
});
