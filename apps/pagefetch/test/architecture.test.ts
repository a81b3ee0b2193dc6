import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join, normalize, sep } from "node:path";
import { test } from "node:test";

const home = join(import.meta.dirname, "..");

/** What a room may import, besides itself and packages. */
const below: Readonly<Record<string, readonly string[]>> = {
  contract: [],
  egress: ["contract"],
  robots: ["contract"],
  retry: ["contract"],
  politeness: ["contract"],
  proxies: ["contract"],
  sessions: ["contract"],
  identity: ["contract"],
  classify: ["contract"],
  outputs: ["contract"],
  store: ["contract"],
  fetch: ["contract", "egress", "robots", "retry"],
  client: ["contract", "fetch"],
  api: "contract egress robots retry politeness proxies sessions identity classify outputs store fetch".split(
    " ",
  ),
};

function importsOf(file: string): readonly string[] {
  const text = readFileSync(join(home, file), "utf8");
  const found = text.matchAll(/(?:from|import)\s*\(?"(\.[^"]+)"/g);
  return [...found].map(([, path = ""]) => normalize(join(dirname(file), path)));
}

test("a room imports from itself and from those below it", () => {
  const files = globSync("src/*/**/*.ts", { cwd: home });
  assert.ok(files.length > 5);
  const strangers: string[] = [];
  for (const file of files) {
    const room = file.split(sep)[1] ?? "";
    if (room === "cli") continue; // it may import everything
    for (const target of importsOf(file)) {
      const other = target.split(sep)[1] ?? "";
      const known =
        target.startsWith(`src${sep}`) && [room, ...(below[room] ?? [])].includes(other);
      if (!known) strangers.push(`${file} imports ${target}`);
    }
  }
  assert.deepEqual(strangers, []);
});

test("the farm knows nothing of the service but its words", () => {
  for (const file of globSync("farm/**/*.ts", { cwd: home }))
    for (const target of importsOf(file))
      assert.match(target, /^(farm|src[\\/]contract)[\\/]/, `${file} imports ${target}`);
});

test("no file has more than 450 lines", () => {
  const long = globSync("{src,test,farm}/**/*.ts", { cwd: home }).filter(
    (file) => readFileSync(join(home, file), "utf8").split("\n").length > 450,
  );
  assert.deepEqual(long, []);
});

test("the service has no `using` in it, which Node 22 cannot parse", () => {
  for (const file of globSync("{src,farm,first-run}/**/*.ts", { cwd: home }))
    assert.doesNotMatch(readFileSync(join(home, file), "utf8"), /^\s*(await )?using \w+ =/m, file);
});
