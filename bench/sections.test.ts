// A smoke run of what is measured beside the cases, as a user starts it: growth, memory, weight,
// network, fairness. It has a file of its own so that the two run side by side.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { spins } from "./demonstrations/fairness/spin.ts";
import { demonstrationNames } from "./demonstrations.ts";
import { growthSeries } from "./growth.ts";
import type { Report } from "./main.ts";
import { memoryKinds } from "./memory.ts";
import { inThisFolder } from "./program.ts";

const folder = mkdtempSync(join(tmpdir(), "asyncio-bench-"));
after(() => rmSync(folder, { recursive: true }));

describe("a smoke run of the demonstrations", () => {
  const file = join(folder, "all.json");
  const only = demonstrationNames.map((name) => `--only=${name}`);
  const args = [inThisFolder("main.ts"), "--quick", ...only, "--json", file, "--charts", folder];
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  const report = JSON.parse(readFileSync(file, "utf8")) as Report;

  it("says what a task, a timer, a waiter, an item costs among few and among many", () => {
    const { growth = [] } = report.demonstrations;
    assert.deepEqual(
      growth.map(({ name }) => name),
      growthSeries.map(({ name }) => name),
    );
    for (const { lines } of growth) {
      assert.ok(lines.ours !== undefined);
      for (const points of Object.values(lines)) {
        assert.deepEqual(
          points.map(({ count }) => count),
          [10, 100],
        );
        for (const point of points) assert.ok(point.nanosecondsPerOperation > 0);
      }
    }
  });

  it("says how much memory a task takes that sleeps, that waits, that has ended", () => {
    const { memory = [] } = report.demonstrations;
    assert.deepEqual(
      memory.map(({ kind }) => kind),
      [...memoryKinds],
    );
    for (const { findings } of memory) {
      assert.ok(findings.ours !== undefined);
      for (const { tasks, heapBytesPerTask, residentBytesPerTask } of Object.values(findings)) {
        assert.ok(tasks > 0 && Number.isFinite(residentBytesPerTask));
        assert.ok(heapBytesPerTask === undefined || Number.isFinite(heapBytesPerTask));
      }
    }
  });

  it("says how large the libraries are in a bundle, and how long they take to import", () => {
    const { weight = [] } = report.demonstrations;
    const names = ["ours", "Effect 4", "Effection 4", "p-queue"];
    for (const name of names) assert.ok(weight.some((found) => found.name === name));
    for (const { minifiedBytes, gzippedBytes, importMs } of weight)
      assert.ok(minifiedBytes > gzippedBytes && gzippedBytes > 0 && importMs > 0);
  });

  it("has its messages echoed by every server, and holds idle connections to each", () => {
    const { echo, idle } = report.demonstrations;
    for (const name of ["native", "ours"] as const) {
      const [round] = echo?.rounds[name] ?? [];
      assert.ok(round !== undefined && round.messagesPerSecond > 0);
      assert.equal(idle?.[name]?.connections, 20);
    }
  });

  it("sends small and large messages, by TLS too, and a stream, to native and to ours", () => {
    const { traffic = [] } = report.demonstrations;
    const titles = traffic.map(({ what }) => what);
    for (const part of ["64 B", "64 KiB", "TLS", "1 GiB", "lines"])
      assert.ok(
        titles.some((title) => title.includes(part)),
        part,
      );
    for (const { what, rounds } of traffic) {
      for (const name of ["native", "ours"] as const) {
        const [rate] = rounds[name] ?? [];
        assert.ok(rate !== undefined && rate > 0, `${what}, ${name}`);
      }
    }
  });

  it("fetches pages with everybody, and cancels that in the middle", () => {
    const { pages, rounds } = report.demonstrations.fetches ?? {};
    assert.equal(pages, 300);
    for (const name of ["ours", "p-limit", "effect"] as const) {
      const [round] = rounds?.[name] ?? [];
      assert.ok(round !== undefined && round.pagesPerSecond > 0 && round.peakResidentBytes > 0);
      assert.ok(round.cancelMs > 0 && Number.isInteger(round.socketsLeft));
    }
  });

  it("draws a chart of what grows", () => {
    const chart = readFileSync(join(folder, "growth.svg"), "utf8");
    for (const { name } of growthSeries) assert.ok(chart.includes(`>${name}</text>`), name);
    assert.doesNotMatch(chart, /NaN|undefined|Infinity/);
  });

  it("draws a chart of the traffic", () => {
    const chart = readFileSync(join(folder, "traffic.svg"), "utf8");
    for (const { what } of report.demonstrations.traffic ?? [])
      assert.ok(chart.includes(`>${what}</text>`), what);
    assert.doesNotMatch(chart, /NaN|undefined|Infinity/);
  });

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
