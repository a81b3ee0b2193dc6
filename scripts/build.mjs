// Builds packages/asyncio to dist, if a source has changed since the last build: the declarations
// by `tsc`, one file for each module, and the code by esbuild (bundle.mjs), in a few files. The new
// build replaces the old one as a whole: files of deleted modules do not linger, and a program that
// starts meanwhile does not find half a package. Runs on the machine's own Node, as setup does.

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
  try {
    compileLibrary(library, next);
  } catch (error) {
    rmSync(next, { recursive: true, force: true });
    process.stdout.write(" failed\n");
    throw error;
  }
  rmSync(stamp, { force: true }); // broken off in between, nothing counts as built
  rmSync(dist, { recursive: true, force: true });
  renameSync(next, dist);
  writeFileSync(stamp, hash);
  process.stdout.write(` ${((Date.now() - startedAt) / 1000).toFixed(1)} s\n`);
}

// Puts what is built of the library in the folder `home` into the folder `out`.
export function compileLibrary(home, out) {
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  const flags = ["--emitDeclarationOnly", "--sourceMap", "false", "--outDir", out];
  mustRun([compiler, "-p", home, ...flags]);
  mustRun([join(root, "scripts/bundle.mjs"), home, out]);
}

function mustRun(args) {
  const result = spawnSync(process.execPath, args, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (result.status === 0) return;
  const output = `${result.stdout ?? ""}${result.stderr ?? ""}${result.error?.message ?? ""}`;
  throw new SetupError(output.trim());
}

function hashOfInputs() {
  const sources = readdirSync(join(library, "src"), { recursive: true })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join("packages/asyncio/src", name))
    .sort();
  const settings = ["tsconfig.base.json", "packages/asyncio/tsconfig.json", "package-lock.json"];
  const tools = ["packages/asyncio/package.json", "scripts/build.mjs", "scripts/bundle.mjs"];
  const hash = createHash("sha256");
  for (const name of [...settings, ...tools, ...sources]) {
    hash.update(`${name}\0${readFileSync(join(root, name), "utf8")}\0`);
  }
  return hash.digest("hex");
}
