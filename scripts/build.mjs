// Compiles packages/asyncio to dist with `tsc`, if a source has changed since the last build. The
// new build replaces the old one as a whole: files of deleted modules do not linger, and a program
// that starts meanwhile does not find half a package. Runs on the machine's own Node, as setup
// does.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root, SetupError } from "./install.mjs";

const library = join(root, "packages/asyncio");
const dist = join(library, "dist");
const stamp = join(root, "node_modules/.built-sources");

// Throws SetupError with the compiler's output when a source does not compile.
export function buildLibrary({ force = false } = {}) {
  const hash = hashOfInputs();
  const isBuilt = existsSync(dist) && existsSync(stamp) && readFileSync(stamp, "utf8") === hash;
  if (isBuilt && !force) return;

  process.stdout.write("Building asyncio-ts ...");
  const startedAt = Date.now();
  const next = join(library, `dist-${process.pid}`);
  const result = spawnSync(
    process.execPath,
    [join(root, "node_modules/typescript/bin/tsc"), "-p", library, "--outDir", next],
    { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] },
  );
  if (result.status !== 0) {
    rmSync(next, { recursive: true, force: true });
    process.stdout.write(" failed\n");
    const output = `${result.stdout ?? ""}${result.stderr ?? ""}${result.error?.message ?? ""}`;
    throw new SetupError(output.trim());
  }
  rmSync(stamp, { force: true }); // broken off in between, nothing counts as built
  rmSync(dist, { recursive: true, force: true });
  renameSync(next, dist);
  writeFileSync(stamp, hash);
  process.stdout.write(` ${((Date.now() - startedAt) / 1000).toFixed(1)} s\n`);
}

function hashOfInputs() {
  const sources = readdirSync(join(library, "src"), { recursive: true })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join("packages/asyncio/src", name))
    .sort();
  const settings = ["tsconfig.base.json", "packages/asyncio/tsconfig.json", "package-lock.json"];
  const hash = createHash("sha256");
  for (const name of [...settings, ...sources]) {
    hash.update(`${name}\0${readFileSync(join(root, name), "utf8")}\0`);
  }
  return hash.digest("hex");
}
