// Type-checks everything that is TypeScript here: library, tests, examples, benchmarks, and the
// portable layers once more without Node's types. The projects are checked side by side.

import { spawn } from "node:child_process";
import { existsSync, globSync } from "node:fs";
import { join } from "node:path";
import { buildLibrary } from "./build.mjs";
import { ensureInstalled, foldersWithTypes, root } from "./install.mjs";

const projects = [
  { config: "packages/asyncio/tsconfig.json", needs: "packages/asyncio/src/**/*.ts" },
  { config: "packages/asyncio/tsconfig.portable.json", needs: "packages/asyncio/src/kernel/*.ts" },
  { config: "packages/asyncio/tsconfig.test.json", needs: "packages/asyncio/test/**/*.ts" },
  {
    config: "packages/asyncio/test-types/tsconfig.json",
    needs: "packages/asyncio/test-types/*.ts",
  },
  { config: "packages/db/tsconfig.json", needs: "packages/db/src/**/*.ts" },
  { config: "packages/db/tsconfig.test.json", needs: "packages/db/test/**/*.ts" },
  { config: "apps/pagefetch/tsconfig.json", needs: "apps/pagefetch/src/**/*.ts" },
  { config: "examples/tsconfig.json", needs: "examples/**/*.ts" },
  { config: "bench/tsconfig.json", needs: "bench/**/*.ts" },
  { config: "docs/tsconfig.json", needs: "docs/**/*.ts" },
];

for (const folder of foldersWithTypes()) ensureInstalled(folder);
buildLibrary(); // apps are checked against what is built of the databases, which needs pg
const results = await Promise.all(
  projects.filter(exists).map(async ({ config }) => ({ config, ...(await check(config)) })),
);
for (const { config, code, output } of results) {
  if (code !== 0) console.log(`${config}\n${output}`);
}
process.exitCode = results.some(({ code }) => code !== 0) ? 1 : 0;

function exists({ config, needs }) {
  if (!existsSync(join(root, config))) return false;
  return globSync(needs, { cwd: root, exclude: (name) => name === "node_modules" }).length > 0;
}

function check(config) {
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const child = spawn(process.execPath, [tsc, "-p", config, "--noEmit", "--pretty", "false"], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => {
    output += chunk;
  });
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, output })));
}
