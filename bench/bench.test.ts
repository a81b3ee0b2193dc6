// A smoke run of all cases, as a user starts it (sections.test.ts has the rest). What is checked is
// that it works, that the implementations agree on the result, and what the JSON looks like; never
// how long something took.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { cases, implementationsOf, sizeFor } from "./cases.ts";
import { isGuest } from "./contenders.ts";
import type { Report } from "./main.ts";
import { parseOptions, UsageError } from "./options.ts";
import { inThisFolder } from "./program.ts";
import { replaceTables } from "./publish.ts";
import { commonChecksum } from "./rounds.ts";

const folder = mkdtempSync(join(tmpdir(), "asyncio-bench-"));
after(() => rmSync(folder, { recursive: true }));

const main = inThisFolder("main.ts");

function bench(...args: readonly string[]) {
  return spawnSync(process.execPath, [main, ...args], { encoding: "utf8" });
}

const onlyCases = cases.map(({ name }) => `--only=${name}`);

describe("a smoke run of the cases", () => {
  const file = join(folder, "all.json");
  const { status, stdout, stderr } = bench(
    "--quick",
    ...onlyCases,
    "--json",
    file,
    "--charts",
    folder,
  );
  assert.equal(status, 0, stderr);
  const report = JSON.parse(readFileSync(file, "utf8")) as Report;

  it("says where and when it was measured, and how", () => {
    const { date, machine, load, effort, seconds } = report;
    assert.equal(new Date(date).toISOString(), date);
    assert.equal(machine.node, process.version);
    assert.ok(machine.processor !== "" && machine.system !== "" && machine.v8 !== "");
    assert.ok(machine.cores >= 1 && machine.memoryGib >= 0);
    assert.ok(load.before >= 0 && load.after >= 0 && seconds >= 0);
    assert.deepEqual(effort, { quick: true, rounds: 1, samples: 1, budgetMs: 1 });
    assert.deepEqual(Object.keys(machine.libraries).toSorted(), [
      "async-mutex",
      "bluebird",
      "bottleneck",
      "effect",
      "effection",
      "fast-check",
      "generic-pool",
      "p-limit",
      "p-map",
      "p-queue",
      "tarn",
    ]);
    const versions = Object.entries({ ...machine.libraries, ...machine.guests });
    const shown = versions.map((pair) => pair.join(" "));
    for (const text of [date, machine.node, machine.processor, ...shown])
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
      const here = Object.keys(report.machine.guests);
      const expected = implementationsOf(subject).filter(
        (name) => !isGuest(name) || here.includes(name),
      );
      assert.deepEqual(Object.keys(result.results), expected);
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

  it("draws a chart that is well-formed and says where it was measured", () => {
    const chart = readFileSync(join(folder, "ratios.svg"), "utf8");
    const opened = [...chart.matchAll(/<(\w+)\b[^>]*(?<!\/)>/g)].map(([, tag]) => tag);
    const closed = [...chart.matchAll(/<\/(\w+)>/g)].map(([, tag]) => tag);
    assert.deepEqual(opened.toSorted(), closed.toSorted());
    assert.doesNotMatch(chart, /NaN|undefined|Infinity/);
    for (const text of [report.date.slice(0, 10), process.version, report.machine.processor])
      assert.ok(chart.includes(text), text);
  });

  it("marks who did other work, and says what the difference is", () => {
    assert.match(stdout, /^\| +\| +\| Bluebird \* +\|/m);
    assert.match(
      stdout,
      /^- `cancel`, Bluebird; `cancel-1`, Bluebird; .*: A promise that is cancelled/m,
    );
  });

  it("fills every table of the page", () => {
    const page = readFileSync(inThisFolder("README.md"), "utf8");
    const filled = replaceTables(page, report);
    assert.notEqual(filled, page);
    assert.equal(replaceTables(filled, report), filled);
    assert.doesNotMatch(filled, /NaN|\| undefined/);
  });
});

describe("the command", () => {
  it("answers a wrong name with the names there are, and status 2", () => {
    const { status, stderr, stdout } = bench("--only", "swich");
    assert.deepEqual({ status, stdout }, { status: 2, stdout: "" });
    assert.match(stderr, /--only expects one of switch, .*, found "swich"/);
  });

  it("measures only what --only names, with everything that begins with it", () => {
    assert.deepEqual(parseOptions(["--only", "queue", "--only", "lock", "--only", "condition"]), {
      only: ["queue-1-1", "queue-100-100", "lock", "condition-ping-pong", "condition-notify-all"],
      quick: false,
      by: [],
      merge: [],
      rounds: 3,
      json: undefined,
      charts: undefined,
      publish: false,
      compare: undefined,
    });
  });

  it("measures only whom --by names, beside native", () => {
    const file = join(folder, "some.json");
    const { status, stderr } = bench(
      "--quick",
      "--only",
      "lock",
      "--by",
      "p-limit",
      "--json",
      file,
    );
    assert.equal(status, 0, stderr);
    const { cases, demonstrations } = JSON.parse(readFileSync(file, "utf8")) as Report;
    assert.deepEqual(Object.keys(cases[0]?.results ?? {}), ["native", "p-limit"]);
    assert.deepEqual(demonstrations, {});
  });

  it("publishes nothing but a full run", () => {
    for (const other of ["--quick", "--only=lock", "--by=effect", "--compare=HEAD"])
      assert.throws(() => parseOptions(["--publish", other]), UsageError);
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

describe("work of another size", () => {
  it("is a part of the full work, with as many tasks alive", () => {
    for (const subject of cases) {
      for (const implementation of implementationsOf(subject)) {
        const { tasks, repeats } = sizeFor(subject, implementation, false);
        assert.ok(Number.isInteger(tasks) && Number.isInteger(repeats), subject.name);
        if (subject.full.repeats > 1) assert.equal(tasks, subject.full.tasks);
      }
    }
  });
});
