// The first program of all: that it says what it should, and that the three sleep side by side,
// which only virtual time can tell on a busy machine.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import * as asyncio from "asyncio-ts";
import { VirtualLoop } from "asyncio-ts/testing";

const program = fileURLToPath(new URL("hello.ts", import.meta.url));
const expected = [
  "Processing 1",
  "Processing 2",
  "Processing 3",
  "Done with 1",
  "Done with 2",
  "Done with 3",
];

test("prints in order, and ends by itself", async () => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [program]);

  assert.deepEqual(stdout.trimEnd().split("\n"), expected);
  assert.equal(stderr, "");
});

test("takes exactly one second of virtual time", async (t) => {
  const print = t.mock.method(console, "log", () => {});
  const loop = new VirtualLoop();

  await asyncio.run(await importMain(), { loop });

  const printed = print.mock.calls.map(({ arguments: [text] }) => text);
  assert.deepEqual(printed, expected);
  assert.equal(loop.time(), 1);
});

/** The program's `main`, without the line that runs it. */
async function importMain(): Promise<() => Promise<void>> {
  const source = readFileSync(program, "utf8")
    .replace('"asyncio-ts"', JSON.stringify(import.meta.resolve("asyncio-ts")))
    .replace("await asyncio.run(main);", "export { main };");
  const folder = mkdtempSync(join(tmpdir(), "asyncio-ts-hello-"));
  try {
    const copy = join(folder, "hello.mts");
    writeFileSync(copy, source);
    const { main } = await import(pathToFileURL(copy).href);
    return main;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
