// Packs the packages as they would be published and looks at the result as their users would:
// publint for the manifest, attw for how the types resolve, and a consumer that imports every door
// with all declarations checked. What it ships to be read has no dead links, and cites nothing that
// is only here.

import { spawnSync } from "node:child_process";
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { root } from "./install.mjs";

// Rules, fine points and decisions of the design (R1, F1, D1), behaviours of asyncio (S1), cases of
// the benchmarks, and files.
const citations =
  /\b[RFDS]\d+\b|\b8\.\d+\b|\b[Rr]ules? \d+|\b[Ff]ine points? \d+|\b(?:deviation|decision)s? \d+|\bbench:|\bdocs\/\S+|\bdesign\.md\b|(?<!\.\/)\b\w+\.(?:test\.)?ts\b/g;

const packages = [
  { name: "asyncio-ts", folder: "packages/asyncio", types: [], beside: [] },
  // Two of its doors are for drivers and builders, whose types have to be there; it stands on Node.
  {
    name: "asyncio-ts-db",
    folder: "packages/db",
    types: ["node"],
    beside: ["@types", "kysely", "pg", "undici-types"],
  },
];

const work = mkdtempSync(join(tmpdir(), "asyncio-ts-package-"));
try {
  for (const one of packages) check(one);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}

function check(one) {
  const pack = ["pack", "--silent", `--pack-destination=${work}`];
  const tarball = run("npm", pack, join(root, one.folder)).trim().split("\n").at(-1);
  const packed = join(work, tarball);

  tool("publint/src/cli.js", [packed, "--strict"]);
  tool("@arethetypeswrong/cli/dist/index.js", [packed, "--profile", "esm-only", "--no-emoji"]);
  const home = unpack(packed, one.name);
  checkTexts(home);
  checkConsumer(home, one);
  console.log(`${tarball} is ready to publish`);
}

function unpack(packed, name) {
  const home = join(work, "consumer/node_modules", name);
  mkdirSync(home, { recursive: true });
  run("tar", ["-xzf", packed, "-C", home, "--strip-components=1"]);
  return home;
}

// Links between the pages lead somewhere; doc comments, which editors show, cite no numbers and
// files of the repository.
function checkTexts(home) {
  const problems = globSync("{*,docs/**/*}.md", { cwd: home }).flatMap((page) => {
    const prose = readFileSync(join(home, page), "utf8").replaceAll(
      /^```[\s\S]*?^```$|`[^`\n]*`/gm,
      "",
    );
    const links = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link.split("#")[0]);
    return links
      .filter((link) => link !== "" && !/^[a-z]+:/.test(link))
      .filter((link) => !existsSync(join(home, dirname(page), link)))
      .map((link) => `${page}: ${link} leads nowhere`);
  });
  for (const file of publicDeclarations(home)) {
    const text = readFileSync(join(home, file), "utf8");
    const comments = [...text.matchAll(/\/\*\*[\s\S]*?\*\//g)].filter(({ index }) => index > 0); // the first is the file's
    for (const [comment] of comments) {
      for (const [citation] of comment.matchAll(citations)) problems.push(`${file}: "${citation}"`);
    }
  }
  if (problems.length > 0) throw new Error(problems.join("\n"));
}

// The declarations of the modules from which a door exports something.
function publicDeclarations(home) {
  const doors = globSync("dist/*.d.ts", { cwd: home })
    .map((door) => join(home, door))
    .filter((door) => readFileSync(door, "utf8").includes("@module"));
  const modules = doors.flatMap((door) =>
    [...readFileSync(door, "utf8").matchAll(/from "\.\/([^"]+)\.ts"/g)].map(([, name]) => name),
  );
  return [...new Set(modules)].map((name) => `dist/${name}.d.ts`);
}

// A program outside the repository, with the strictest reading of the declarations and no types
// but its own: finds a declaration that stripInternal left dangling, or one that needs Node's
// types.
function checkConsumer(home, { name, folder, types, beside }) {
  const { exports: doors } = JSON.parse(readFileSync(join(home, "package.json"), "utf8"));
  const names = Object.keys(doors).filter((door) => !door.endsWith(".json"));
  const lines = names.map(
    (door, index) => `import * as door${index} from "${name}${door.slice(1)}";`,
  );
  lines.push(
    `console.log(${names.map((_, index) => `Object.keys(door${index}).length`).join(", ")});`,
  );
  const options = {
    target: "ES2022",
    lib: ["ES2023", "ESNext.Disposable", "DOM"],
    types,
    module: "nodenext",
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    outDir: "out",
  };
  for (const more of beside) {
    const there = join(root, folder, "node_modules", more);
    symlinkSync(there, join(work, "consumer/node_modules", more));
  }
  writeFileSync(join(work, "consumer/package.json"), '{ "type": "module" }\n');
  writeFileSync(join(work, "consumer/main.ts"), `${lines.join("\n")}\n`);
  writeFileSync(
    join(work, "consumer/tsconfig.json"),
    JSON.stringify({ compilerOptions: options, files: ["main.ts"] }),
  );
  tool("typescript/bin/tsc", ["-p", join(work, "consumer"), "--pretty", "false"]);
  run(process.execPath, [join(work, "consumer/out/main.js")]);
}

function tool(path, args) {
  return run(process.execPath, [join(root, "node_modules", path), ...args]);
}

function run(command, args, cwd = root) {
  const result = spawnSync(command, args, {
    cwd,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, FORCE_COLOR: "0" },
  });
  if (result.status === 0) return result.stdout;
  const said = `${result.stdout ?? ""}${result.stderr ?? ""}${result.error?.message ?? ""}`;
  throw new Error(`${command} ${args.join(" ")}\n${said}`);
}
