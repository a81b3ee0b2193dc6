// The comparison of two revisions, as a user starts it: that it works, and that nothing of it is
// left.

import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { verdictOn } from "./compare.ts";
import { inThisFolder } from "./program.ts";
import { medianInterval } from "./statistics.ts";

const root = inThisFolder("..");
const main = inThisFolder("main.ts");
const folder = mkdtempSync(join(tmpdir(), "asyncio-bench-test-"));
after(() => rmSync(folder, { recursive: true }));

/** What the command makes, it makes in there. */
const env = { ...process.env, TMPDIR: folder };

function compareWith(revision: string, ...more: readonly string[]) {
  const args = [main, "--compare", revision, "--only", "switch", ...more];
  return spawnSync(process.execPath, args, { encoding: "utf8", env });
}

/** Folders and git worktrees of the command that are left. */
function leftovers(within: string): string[] {
  const worktrees = execFileSync("git", ["worktree", "list"], { cwd: root, encoding: "utf8" });
  return [
    ...readdirSync(within).filter((name) => name.startsWith("asyncio-bench-")),
    ...worktrees.split("\n").filter((line) => line.includes(within)),
  ];
}

const isRepository = existsSync(join(root, ".git"));

describe("the comparison with a revision", { skip: isRepository ? false : "needs git" }, () => {
  it("measures both, and leaves nothing behind", () => {
    const { status, stdout, stderr } = compareWith("HEAD", "--quick", "--rounds", "1");
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^\| switch +\| +\d+ \| +\d+ \| .*too few rounds to tell \|$/m);
    assert.deepEqual(leftovers(folder), []);
  });

  it("leaves nothing behind when it is interrupted", async () => {
    const args = [main, "--compare", "HEAD", "--only", "switch"];
    const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "inherit"] });
    for await (const chunk of child.stdout) if (String(chunk).includes("Building")) break;
    child.kill("SIGINT");
    const [status] = await once(child, "exit");
    assert.equal(status, 130);
    assert.deepEqual(leftovers(folder), []);
  });

  it("answers what is no revision with status 2", () => {
    const { status, stderr } = compareWith("no-such-revision");
    assert.equal(status, 2);
    assert.match(stderr, /--compare expects a revision that git knows, found "no-such-revision"/);
  });

  it("calls a difference noise when 1 is in its range, or when it is small", () => {
    const verdicts = [
      [0.9, 0.8, 1.1],
      [0.99, 0.98, 0.995],
      [0.5, 0.4, 0.6],
      [1.5, 1.4, 1.6],
    ].map(([median = 0, low = 0, high = 0]) => verdictOn({ median, low, high, known: true }));
    assert.deepEqual(verdicts, ["noise", "noise", "50 % faster", "50 % SLOWER"]);
  });
});

describe("the interval for a median", () => {
  it("leaves out as many values on each side as 95 % allow", () => {
    const range = (count: number) => medianInterval(Array.from({ length: count }, (_, i) => i + 1));
    assert.deepEqual(range(5), { median: 3, low: 1, high: 5, known: false });
    assert.deepEqual(range(6), { median: 3.5, low: 1, high: 6, known: true });
    assert.deepEqual(range(10), { median: 5.5, low: 2, high: 9, known: true });
    assert.deepEqual(range(20), { median: 10.5, low: 6, high: 15, known: true });
  });
});
