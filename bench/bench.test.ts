// A smoke run of everything, as a user starts it. What is checked is that it works, that the
// implementations agree on the result, and what the JSON looks like; never how long something took.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { cases, implementationsOf } from "./cases.ts";
import { spins } from "./demonstrations/fairness/spin.ts";
import type { Report } from "./main.ts";
import { parseOptions, UsageError } from "./options.ts";
import { commonChecksum } from "./rounds.ts";

const folder = mkdtempSync(join(tmpdir(), "asyncio-bench-"));
after(() => rmSync(folder, { recursive: true }));

function bench(...args: readonly string[]) {
  const main = fileURLToPath(new URL("main.ts", import.meta.url));
  return spawnSync(process.execPath, [main, ...args], { encoding: "utf8" });
}

describe("a smoke run", () => {
  const file = join(folder, "all.json");
  const { status, stdout, stderr } = bench("--quick", "--json", file);
  assert.equal(status, 0, stderr);
  const report = JSON.parse(readFileSync(file, "utf8")) as Report;

  it("says where and when it was measured, and how", () => {
    const { date, machine, load, effort, seconds } = report;
    assert.equal(new Date(date).toISOString(), date);
    assert.equal(machine.node, process.version);
    assert.ok(machine.processor !== "" && machine.system !== "" && machine.v8 !== "");
    assert.ok(machine.cores >= 1 && machine.memoryGib >= 0);
    assert.ok(load.before >= 0 && load.after >= 0 && seconds >= 0);
    assert.deepEqual(effort, { quick: true, rounds: 1, samples: 1 });
    const libraries = Object.entries(machine.libraries).map((pair) => pair.join(" "));
    assert.equal(libraries.length, 5);
    for (const text of [date, machine.node, machine.processor, ...libraries])
      assert.ok(stdout.includes(text), text);
  });

  it("measures every case", () => {
    assert.deepEqual(
      report.cases.map(({ name, operations }) => ({ name, operations })),
      cases.map(({ name, quick }) => ({ name, operations: quick.tasks * quick.repeats })),
    );
    for (const { name } of cases) assert.match(stdout, new RegExp(`^\\| ${name} +\\|`, "m"));
  });

  for (const subject of cases) {
    const { name } = subject;
    it(`gives the figures of ${name} for each implementation, with one checksum`, () => {
      const result = report.cases.find((found) => found.name === name);
      assert.ok(result !== undefined && Number.isInteger(result.checksum));
      assert.deepEqual(Object.keys(result.results), [...implementationsOf(subject)]);
      for (const { rounds, spread, nanosecondsPerOperation } of Object.values(result.results)) {
        assert.deepEqual(rounds, [[nanosecondsPerOperation]]);
        assert.ok(nanosecondsPerOperation > 0);
        assert.equal(spread, 0);
      }
      const base = result.results.native?.nanosecondsPerOperation ?? Number.NaN;
      for (const { nanosecondsPerOperation, ratio, ratioOfRounds } of Object.values(
        result.results,
      )) {
        assert.equal(ratio, nanosecondsPerOperation / base);
        assert.deepEqual(ratioOfRounds, [ratio]);
      }
    });
  }

  it("shows that cancelled timers do not pile up", () => {
    const { timeouts, mostEntries, entriesLeft, held } = report.demonstrations.timerHeap ?? {};
    assert.equal(timeouts, 20_000);
    assert.ok(mostEntries !== undefined && entriesLeft !== undefined);
    assert.ok(entriesLeft <= mostEntries);
    assert.equal(held, true);
  });

  it("shows that our spinning tasks let timers fire, and that promises do not", () => {
    const { fairness = [] } = report.demonstrations;
    assert.deepEqual(
      fairness.map(({ spin }) => spin),
      [...spins],
    );
    for (const { spin, findings } of fairness) {
      assert.equal(findings.ours.starved, false);
      assert.equal(findings.native.starved, spin !== "nothing");
      assert.equal(findings.ours.turnsPerSecond > 0, spin !== "nothing");
    }
  });
});

describe("the command", () => {
  it("answers a wrong name with the names there are, and status 2", () => {
    const { status, stderr, stdout } = bench("--only", "swich");
    assert.deepEqual({ status, stdout }, { status: 2, stdout: "" });
    assert.match(stderr, /--only expects one of switch, .*, found "swich"/);
  });

  it("measures only what --only names, with everything that begins with it", () => {
    assert.deepEqual(parseOptions(["--only", "queue", "--only", "cancel", "--only", "condition"]), {
      only: ["queue-1-1", "queue-100-100", "cancel", "condition-ping-pong", "condition-notify-all"],
      quick: false,
      rounds: 5,
      json: undefined,
    });
  });

  it("does not accept a number of rounds that is none", () => {
    for (const text of ["0", "1.5", "many", "101"])
      assert.throws(() => parseOptions(["--rounds", text]), UsageError);
  });
});

describe("a checksum that differs", () => {
  it("fails the measurement and names both implementations", () => {
    const measurements = new Map([
      ["native", [{ checksum: 1, nanosecondsPerOperation: [100] }]],
      ["ours", [{ checksum: 1, nanosecondsPerOperation: [100] }]],
      ["effect", [{ checksum: 2, nanosecondsPerOperation: [100] }]],
    ] as const);
    assert.throws(() => commonChecksum("lock", measurements), /"native" is 1, .*"effect" 2/);
  });
});
