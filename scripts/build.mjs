// Builds the packages to dist, if a source has changed since the last build: the declarations by
// `tsc`, one file for each module, and the code by esbuild (bundle.mjs), in a few files. The new
// build replaces the old one as a whole: files of deleted modules do not linger, and a program that
// starts meanwhile does not find half a package. Runs on the machine's own Node, as setup does.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root, SetupError } from "./install.mjs";

// A package that needs what its own lock file pins is built where that is installed: most commands
// do without it.
const packages = [
  { name: "asyncio-ts", folder: "packages/asyncio", after: [] },
  { name: "asyncio-ts-db", folder: "packages/db", after: ["packages/asyncio"], needs: "pg" },
];

// Throws SetupError with the compiler's output when a source does not compile.
export function buildLibrary({ force = false } = {}) {
  for (const one of packages) {
    const { folder, needs } = one;
    if (needs === undefined || existsSync(join(root, folder, "node_modules", needs)))
      build(one, force);
  }
}

function build({ name, folder, after }, force) {
  const home = join(root, folder);
  const dist = join(home, "dist");
  const stamp = join(root, `node_modules/.built-${folder.replace("/", "-")}`);
  const hash = hashOfInputs([folder, ...after]);
  const isBuilt = existsSync(dist) && existsSync(stamp) && readFileSync(stamp, "utf8") === hash;
  if (isBuilt && !force) return;

  process.stdout.write(`Building ${name} ...`);
  const startedAt = Date.now();
  const next = join(home, `dist-${process.pid}`);
  try {
    compileLibrary(home, next);
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

function hashOfInputs(folders) {
  const sources = folders.flatMap((folder) =>
    readdirSync(join(root, folder, "src"), { recursive: true })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => join(folder, "src", name))
      .sort(),
  );
  const settings = folders.flatMap((folder) => [
    `${folder}/tsconfig.json`,
    `${folder}/package.json`,
  ]);
  const tools = [
    "tsconfig.base.json",
    "package-lock.json",
    "scripts/build.mjs",
    "scripts/bundle.mjs",
    "scripts/production.mjs",
  ];
  const hash = createHash("sha256");
  for (const name of [...settings, ...tools, ...sources]) {
    hash.update(`${name}\0${readFileSync(join(root, name), "utf8")}\0`);
  }
  return hash.digest("hex");
}
