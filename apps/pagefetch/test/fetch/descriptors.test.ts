import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { openFarm } from "../../farm/farm.ts";

test("without descriptors requests fail by name, and the next ones work", {
  skip: process.platform !== "linux",
}, async () => {
  const farm = await openFarm();
  const { zone, range } = farm;
  const port = farm.portOf({ address: "127.0.1.1", port: 80 });
  const program = join(import.meta.dirname, "few-descriptors.ts");
  const where = JSON.stringify({ zone, range, port });
  const shell = `ulimit -n 100 && exec "$0" "$1" "$2"`;

  const run = promisify(execFile);
  const { stdout } = await run("sh", ["-c", shell, process.execPath, program, where]);
  await farm.close();

  const { counts, status } = JSON.parse(stdout);
  const { page, ...failures } = counts;
  assert.equal(status, 200);
  assert.ok(page > 20, stdout);
  assert.deepEqual(Object.keys(failures), ["the host could not be connected to (EMFILE)"]);
  assert.equal(page + Object.values<number>(failures).reduce((sum, one) => sum + one, 0), 150);
});
