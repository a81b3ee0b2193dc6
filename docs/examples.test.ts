// Every example is a test: the ```ts and ```js blocks of README.md and docs/, and the `@example`s
// of the library's doc comments. Each becomes a module of its own, all in TypeScript are
// type-checked at once, and each is run in a process of its own. It has to end by itself with exit
// code 0 and nothing on stderr; where a ```text block follows, that has to be its output. No ```ts
// block is exempt.
//
// - `asyncio`, `patterns`, `testing` and `assert` need no import: they are added where an example has none. A
//   ```js block, which shows what people write without the library, has `delay` and a few others.
// - ```js effect, piscina, workerpool, comlink: written for that package, which is not installed
//   here. It is not run.
// - ```js theirs: the same for a page of guide/migration; examples/migration runs it.
// - A line `...` in a ```text block stands for any number of lines, `...` within a line for any
//   text.
// - ```ts dies=SIGINT: the process has to end by that signal.
// - ```ts file=bank.ts: the module is called that, and its first line is 1, for output that names
//   places in it.
//
// The code keeps its line numbers, so a stack or a compiler error names the line of the page.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { after, suite, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const secondsPerExample = 20;
const foreignPackages = ["theirs", "effect", "piscina", "workerpool", "comlink"];

interface Example {
  readonly file: string;
  readonly language: "ts" | "js";
  /** Of the first line of code; 1 is the first line of the file. */
  readonly line: number;
  readonly code: string;
  /** Undefined where the page says nothing about it. */
  readonly output: string | undefined;
  readonly signal: string | undefined;
  /** Undefined if the module may be called anything. */
  readonly name?: string | undefined;
}

const pages = ["README.md", ...globSync("docs/**/*.md", { cwd: root })].sort();
const sources = globSync("packages/asyncio/src/**/*.ts", { cwd: root }).sort();
/** What an example may use without an import. */
const imports = {
  ts: [
    ["asyncio", 'import * as asyncio from "asyncio-ts";'],
    ["patterns", 'import * as patterns from "asyncio-ts/patterns";'],
    ["testing", 'import * as testing from "asyncio-ts/testing";'],
    ["assert", 'import assert from "node:assert/strict";'],
  ],
  js: [
    ["assert", 'import assert from "node:assert/strict";'],
    ["AsyncLocalStorage", 'import { AsyncLocalStorage } from "node:async_hooks";'],
    ["createServer", 'import { createServer } from "node:http";'],
    ["mock", 'import { mock } from "node:test";'],
    ["delay", 'import { setTimeout as delay } from "node:timers/promises";'],
  ],
} as const;

const examples = [...pages.flatMap(blocksOf), ...sources.flatMap(docExamplesOf)];

mkdirSync(join(root, "docs/.examples"), { recursive: true });
const folder = mkdtempSync(join(root, "docs/.examples/run-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const modules = new Map(examples.map((example) => [example, writeModule(example)]));
const complaints = await typecheck();

suite("examples", { concurrency: availableParallelism() }, () => {
  for (const [example, module] of modules) {
    test(`${example.file}:${example.line}`, async () => {
      const wrong = complaints.filter((line) => line.startsWith(`${module}(`));
      assert.ok(wrong.length === 0, wrong.join("\n"));

      const { code, signal, stdout, stderr } = await start([join(folder, module)]);

      const told = `${stdout}${stderr}`.trimEnd();
      const ending = { code, signal };
      const { signal: expectedSignal = null } = example;
      const expected = { code: expectedSignal === null ? 0 : null, signal: expectedSignal };
      assert.deepEqual(ending, expected, told);
      if (example.output === undefined) assert.equal(stderr, "");
      else assert.match(told, patternOf(example.output));
    });
  }
});

test("the type checker has nothing to say about anything else", () => {
  const known = [...modules.values()].map((module) => `${module}(`);
  const others = complaints.filter((line) => !known.some((start) => line.startsWith(start)));

  assert.deepEqual(others, []);
});

function blocksOf(file: string): Example[] {
  const text = readFileSync(join(root, file), "utf8");
  const fences = /^```(\w*) ?(.*)\n([\s\S]*?)^```$(?:\n+```text\n([\s\S]*?)^```$)?/gm;
  return [...text.matchAll(fences)].flatMap((match) => {
    const [, language, flags = "", code = "", output] = match;
    if (language !== "ts" && language !== "js") return [];
    if (language === "js" && foreignPackages.includes(flags ?? "")) return [];
    const [, signal] = /^dies=(SIG\w+)$/.exec(flags) ?? [];
    const [, name] = /^file=([\w-]+\.ts)$/.exec(flags) ?? [];
    const isKnown = flags === "" || signal !== undefined || name !== undefined;
    assert.ok(isKnown, `${file}: what is "${flags}"?`);
    return { file, language, line: lineAt(text, match.index) + 1, code, output, signal, name };
  });
}

function docExamplesOf(file: string): Example[] {
  const text = readFileSync(join(root, file), "utf8");
  const tags = /^ *\* @example *\n((?: *\*(?! @|\/).*\n)+)/gm;
  return [...text.matchAll(tags)].map((match) => {
    const code = (match[1] ?? "").replaceAll(/^ *\* ?/gm, "");
    const line = lineAt(text, match.index) + 1;
    return { file, language: "ts", line, code, output: undefined, signal: undefined };
  });
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}

/** Writes the example to a file of its own and gives its name. */
function writeModule({ file, language, line, code, name: wanted }: Example): string {
  const header = imports[language]
    .filter(([name]) => !new RegExp(`^import .*\\b${name} from`, "m").test(code))
    .map(([, statement]) => statement)
    .join(" ");
  const extension = language === "ts" ? "ts" : "mjs";
  const stem = `${file.replace(/\.\w+$/, "").replaceAll(/\W+/g, "-")}-${line}`;
  if (wanted !== undefined) {
    mkdirSync(join(folder, stem));
    writeFileSync(join(folder, stem, wanted), `${header} ${code}export {};\n`);
    return `${stem}/${wanted}`;
  }
  const name = `${stem}.${extension}`;
  writeFileSync(join(folder, name), `${header}${"\n".repeat(line - 1)}${code}export {};\n`);
  return name;
}

/** What the compiler says about all modules, one complaint an entry. */
async function typecheck(): Promise<string[]> {
  const config = { extends: "../../tsconfig.json", include: ["**/*.ts"] };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const { stdout, stderr } = await start([tsc, "-p", folder, "--pretty", "false"]);
  return `${stdout}${stderr}`.split(/\n(?=\S)/).flatMap((line) => line.trim() || []);
}

interface Ending {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(args: readonly string[]): Promise<Ending> {
  const env: NodeJS.ProcessEnv = { ...process.env, NO_COLOR: "1" };
  // They would change what an example does or prints.
  for (const name of ["NODE_TEST_CONTEXT", "NODE_OPTIONS", "ASYNCIO_DEBUG"]) delete env[name];
  const timeout = secondsPerExample * 1000;
  const child = spawn(process.execPath, args, { cwd: folder, env, timeout, killSignal: "SIGKILL" });
  const output = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].setEncoding("utf8").on("data", (chunk) => {
      output[stream] += chunk;
    });
  }
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, ...output }));
  });
}

function patternOf(output: string): RegExp {
  const pattern = output
    .trimEnd()
    .replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&")
    .replaceAll(/^\\.\\.\\.$/gm, "[^]*")
    .replaceAll("\\.\\.\\.", ".*");
  return new RegExp(`^${pattern}$`);
}
