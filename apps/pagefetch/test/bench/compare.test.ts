/** That the comparison counts what it says, and what it finds of pagefetch. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { violationsOf } from "../../bench/contenders/violations.ts";

test("what a site has to complain of is counted", () => {
  const requests = [
    { path: "/robots.txt", at: 0 },
    { path: "/private/1", at: 10 },
    { path: "/busy", at: 1010 },
    { path: "/page/1", at: 2020 },
    { path: "/busy", at: 2050 },
    { path: "/page/2", at: 3100 },
  ];
  assert.deepEqual(violationsOf(requests), { disallowed: 1, tooSoon: 1, notWaited: 2 });
  assert.deepEqual(violationsOf([]), { disallowed: 0, tooSoon: 0, notWaited: 0 });
});

test("pagefetch leaves nothing alive, and no site has to complain", async () => {
  const program = join(import.meta.dirname, "../../bench/compare.ts");
  const parts = ["--part", "ends", "--part", "manners"];
  const child = spawn(process.execPath, [program, "--quick", "--only", "pagefetch", ...parts], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = (await text(child.stdout)).split("\n").filter((line) => line.includes("pagefetch"));

  const ten = "0 of 10";
  assert.deepEqual(lines, [
    `| pagefetch | ${ten} | ${ten} | ${ten} | ${ten} |`,
    "| pagefetch | 0 | 0 | 0 |",
  ]);
});
