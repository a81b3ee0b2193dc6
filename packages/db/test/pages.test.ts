import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const home = fileURLToPath(new URL("..", import.meta.url));
const read = (file: string): string => readFileSync(join(home, file), "utf8");
const sources = globSync("src/**/*.ts", { cwd: home });
const pages = ["README.md", ...globSync("docs/*.md", { cwd: home })];

test("each code of an error has a row, and each row a code", () => {
  const text = sources.map(read).join("\n");
  const written = [...text.matchAll(/ERR_DATABASE\w*/g)].map(([code]) => code);
  const failures = [...text.matchAll(/\bfail\(\s*"([A-Z_]+)"/g)].map(
    ([, kind]) => `ERR_DATABASE_${kind}`,
  );
  const used = new Set([...written, ...failures].filter((code) => code !== "ERR_DATABASE_"));
  const rows = [...read("docs/errors.md").matchAll(/^\| `(ERR_DATABASE\w*)`/gm)].map(
    ([, code]) => code,
  );
  assert.deepEqual([...used].sort(), rows.sort());
});

test("links of the pages lead somewhere", () => {
  for (const page of pages)
    for (const [, link = ""] of read(page).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (/^https?:/.test(link)) continue;
      assert.ok(existsSync(join(home, dirname(page), link)), `${page} links to ${link}`);
    }
});

test("the package uses the doors of asyncio-ts, and no driver but where it is asked for", () => {
  const doors = new Set([
    "asyncio-ts",
    "asyncio-ts/executors",
    "asyncio-ts/lowlevel",
    "asyncio-ts/patterns",
    "asyncio-ts/testing",
  ]);
  const drivers: Record<string, string> = {
    "src/kysely.ts": "kysely",
    "src/pglite/driver.ts": "pg",
    "src/pg.ts": "pg",
    "src/postgres/driver.ts": "pg",
    "src/postgres/wire.ts": "pg",
  };
  for (const file of sources)
    for (const [, module = ""] of read(file).matchAll(/^[^*\n]*from "([^"]+)"/gm)) {
      if (module.startsWith(".") || module.startsWith("node:") || doors.has(module)) continue;
      assert.equal(module, drivers[file], `${file} imports ${module}`);
    }
});

test("files are read in one go", () => {
  for (const file of sources) assert.ok(read(file).split("\n").length <= 450, file);
});
