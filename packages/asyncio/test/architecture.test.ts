// The rules of CONTRIBUTING's layer diagram, checked on the sources. Imports are read with regular
// expressions over code whose comments are blanked out: the sources keep to a form they can read.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path/posix";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const src = fileURLToPath(new URL("../src/", import.meta.url));
const snapshot = fileURLToPath(new URL("./api-snapshot.txt", import.meta.url));

// Lowest first. A module may import from its own folder and from lower rows, not from beside it.
const layers = [
  ["structures"],
  ["errors"],
  ["ports"],
  ["kernel"],
  ["tasks", "sync", "queues", "interop", "streams"],
  ["patterns"],
  ["runner", "net", "process", "executors", "inspect", "testing"],
  [
    "index.ts",
    "lowlevel.ts",
    "patterns.ts",
    "executors.ts",
    "worker.ts",
    "inspect.ts",
    "testing.ts",
  ],
];
const doors = layers.at(-1)?.filter((door) => existsSync(join(src, door))) ?? [];
// These only fall.
const kernelLines = { file: 324, total: 2382 };
const linesBelow = 994;
const linesOfStandIns = 100;
const linesOfAFile = 450;
const linesOfATest = 739;
const codeOfPatterns = 3721; // without comments and blank lines

interface Import {
  readonly from: string;
  // A path below src for our own modules, else the specifier as it is written.
  readonly to: string;
  // True if the import is gone when the types are: `import type`, `export type`.
  readonly isType: boolean;
}

const names = readdirSync(src, { recursive: true, encoding: "utf8" }).map((name) =>
  name.replaceAll("\\", "/"),
);
const files = names.filter((name) => /(?<!\.d)\.ts$/.test(name)).sort();
const texts = new Map(files.map((file) => [file, readFileSync(join(src, file), "utf8")]));
const codes = new Map([...texts].map(([file, text]) => [file, blank(text, /^\/[/*]/)]));
const imports = files.flatMap(importsOf);

test("imports point down only", () => {
  const wrong = imports.filter(({ from, to }) => {
    if (!files.includes(to)) return to.startsWith(".");
    return folder(from) !== folder(to) && rank(to) >= rank(from);
  });

  assert.deepEqual(wrong.map(show), []);
});

test("every module belongs to a layer", () => {
  assert.deepEqual(
    files.filter((file) => rank(file) === -1),
    [],
  );
});

test("no modules import each other in a circle at run time", () => {
  assert.deepEqual(cyclesOf(imports.filter(({ isType }) => !isType)), []);
});

test("type-only circles stay inside the kernel", () => {
  assert.deepEqual(cyclesOf(imports.filter(({ from }) => folder(from) !== "kernel")), []);
});

test("the kernel imports nothing but itself and the rows below it", () => {
  const below = layers.slice(0, 3).flat();
  const outside = imports.filter(
    ({ from, to }) => inKernel(from) && !inKernel(to) && !below.includes(folder(to)),
  );

  assert.deepEqual(outside.map(show), []);
});

test("what the host has is asked for when it is needed, and not imported", () => {
  const loads = /^\s*(?:import|export)\s+(?!type\b)[^;"(]*"node:|\bawait\s+import\(/m;

  assert.deepEqual(filesWith(loads), []); // a bundle for any place can be made, and says what is missing there
});

test("the primitives of the guide use the low-level door alone", () => {
  const folder = fileURLToPath(new URL("./primitives/", import.meta.url));
  const sources = readdirSync(folder).filter((name) => !name.endsWith(".test.ts"));
  const wrong = sources.filter((name) =>
    [...readFileSync(join(folder, name), "utf8").matchAll(/ from "([^"]+)"/g)].some(
      ([, from]) => from !== "../../src/lowlevel.ts",
    ),
  );

  assert.deepEqual([sources.length, wrong], [3, []]);
});

test("the kernel stays small", () => {
  const sizes = files.filter(inKernel).map((file) => ({ file, lines: linesOf(file) }));
  const total = sizes.reduce((sum, { lines }) => sum + lines, 0);

  assert.deepEqual(
    sizes.filter(({ lines }) => lines > kernelLines.file),
    [],
  );
  assert.ok(total <= kernelLines.total, `${total} lines in kernel/, at most ${kernelLines.total}`);
});

test("the reading order of the design page has every file of the kernel", () => {
  assert.deepEqual(readingOrder().sort(), files.filter(inKernel));
});

test("a file of the kernel calls only what comes before it in the reading order", () => {
  const order = readingOrder();
  const skipped = ["kernel/wait.ts", "kernel/scope.ts"].flatMap((from) =>
    ["kernel/delivery.ts", "kernel/rejection.ts"].map((to) => `${from} -> ${to}`),
  );
  const forward = imports.filter(
    ({ from, to, isType }) =>
      !isType && inKernel(from) && inKernel(to) && order.indexOf(to) > order.indexOf(from),
  );
  const wrong = forward.filter((one) => one.to !== "kernel/reports.ts").map(show);

  assert.deepEqual(
    wrong.filter((one) => !skipped.includes(one)),
    [],
  );
});

function readingOrder(): string[] {
  const page = readFileSync(new URL("../../../docs/design.md", import.meta.url), "utf8");
  const [, rest = ""] = page.split("## The kernel, in reading order\n");
  const [order = ""] = rest.split(/\n(?!\d\.|\s|$)/);
  return [...order.matchAll(/`([a-z-]+\.ts)` - /g)].map(([, file]) => `kernel/${file}`);
}

test("what is below the kernel stays small", () => {
  const below = layers.slice(0, 3).flat();
  const total = files
    .filter((file) => below.includes(folder(file)) && !isStandIn(file))
    .reduce((sum, file) => sum + linesOf(file), 0);

  assert.ok(total <= linesBelow, `${total} lines below kernel/, at most ${linesBelow}`);
});

test("what stands for other modules in the production build stays small", () => {
  const standIns = files.filter(isStandIn);
  const total = standIns.reduce((sum, file) => sum + linesOf(file), 0);

  assert.ok(total <= linesOfStandIns, `${total} lines in production/`);
  assert.deepEqual(
    standIns.filter((file) => !files.includes(file.replace("production/", ""))),
    [],
  );
});

test("the patterns stay small", () => {
  const lines = files
    .filter((file) => folder(file) === "patterns")
    .flatMap((file) => (codes.get(file) ?? "").split("\n"))
    .filter((line) => line.trim() !== "").length;

  assert.ok(lines <= codeOfPatterns, `${lines} lines of code in patterns/`);
});

test("no source file is longer than can be read in one go", () => {
  const long = files.filter((file) => linesOf(file) > linesOfAFile);

  assert.deepEqual(long, []); // there is a natural seam: what does its head say in two sentences?
});

test("no test file is longer than can be searched by its names", () => {
  const folder = fileURLToPath(new URL("./", import.meta.url));
  const long = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .filter((name) => lengthOf(readFileSync(join(folder, name), "utf8")) > linesOfATest);

  assert.deepEqual(long, []); // tests mirror src/: which file is the one that it tests?
});

test("only the loop and the host touch time and host scheduling", () => {
  const timely =
    /\b(setTimeout|setInterval|setImmediate|queueMicrotask|performance|nextTick)\b|\bDate\.now\b/;
  const portable = files.filter((file) => ["kernel", "tasks", "queues"].includes(folder(file)));

  const found = portable.filter((file) => timely.test(blank(texts.get(file) ?? "", /^[/"'`]/)));

  // The two of tasks/ guard against code of the program: they wait for nothing.
  const known = ["kernel/host.ts", "kernel/loop.ts", "tasks/excuse.ts", "tasks/fake-timers.ts"];
  assert.deepEqual(except(found, known), []);
});

const contextStorage = "ports/context-storage.ts"; // tries whether the host can

test("only the context module enters a context for good", () => {
  // The last has a slot of its own, for debug mode.
  const known = [contextStorage, "kernel/context.ts", "tasks/host-callbacks.ts"];
  assert.deepEqual(except(filesWith(/\benterWith\b/), known), []);
});

test("nothing waits by Promise.race or AbortSignal.any", () => {
  assert.deepEqual(filesWith(/\bPromise\.race\s*[(<]|\bAbortSignal\.any\s*\(/), []);
});

test("modules are named for what they are", () => {
  const vague = /(^|[/-])(utils?|commons?|helpers?|shared|misc)([/.-]|$)/;

  assert.deepEqual(
    names.filter((name) => vague.test(name)),
    [],
  );
});

test("comments wrap at 100 columns, as code does", () => {
  const root = fileURLToPath(new URL("../../../", import.meta.url));
  const places = ["packages/asyncio/src", "packages/asyncio/test", "examples", "bench", "scripts"];

  const wide = places.flatMap((place) =>
    readdirSync(join(root, place), { recursive: true, encoding: "utf8" })
      .filter((name) => /\.m?[jt]s$/.test(name) && !/(^|\/)(node_modules|dist)\//.test(name))
      .flatMap((name) =>
        widePlaces(join(place, name), readFileSync(join(root, place, name), "utf8")),
      ),
  );

  assert.deepEqual(wide, []);
});

test("a door is a list of named re-exports", () => {
  const list = /export\s+(?:type\s+)?\{[^}]*\}\s*from\s*"[^"]+";/g;

  assert.deepEqual(
    doors.filter((door) => codes.get(door)?.replace(list, "").trim() !== ""),
    [],
  );
});

test("every public name comes out of exactly one door", () => {
  const all = doors.flatMap((door) => namesOf(door).map((name) => name.replace(/^type /, "")));

  assert.deepEqual(
    all.filter((name, index) => all.indexOf(name) !== index),
    [],
  );
});

test("the public names are those of the checked-in snapshot", () => {
  const now = `${doors.map((door) => [door, ...namesOf(door).sort()].join("\n  ")).join("\n\n")}\n`;
  if (process.env.UPDATE_SNAPSHOT === "1") writeFileSync(snapshot, now);

  const before = existsSync(snapshot) ? readFileSync(snapshot, "utf8") : "";

  assert.equal(now, before, "if the change is meant, run this file with UPDATE_SNAPSHOT=1");
});

// Replaces comments and literals by spaces, those whose first characters match `what`; line breaks
// stay. Literals are recognised in any case: what looks like a comment inside one is none.
function blank(text: string, what: RegExp): string {
  const tokens =
    /\/\*[\s\S]*?\*\/|\/\/.*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\[\s\S]|[^`\\])*`/g;
  return text.replace(tokens, (token) => (what.test(token) ? token.replace(/\S/g, " ") : token));
}

function importsOf(file: string): Import[] {
  const statements =
    /^\s*(?:import|export)\s+(type\s+)?(?:[^;"]*?\sfrom\s*)?"([^"]+)"|\bimport\(\s*"([^"]+)"/gm;
  return [...(codes.get(file) ?? "").matchAll(statements)].map(([, type, fixed, dynamic]) => {
    const to = fixed ?? dynamic ?? "";
    const path = to.startsWith(".") ? join(dirname(file), to) : to;
    return { from: file, to: path, isType: type !== undefined };
  });
}

// Depth-first search: an edge back to a module on the current path closes a circle.
function cyclesOf(edges: readonly Import[]): string[] {
  const cycles: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(" -> "));
    if (path.includes(file) || done.has(file)) return;
    for (const edge of edges) if (edge.from === file) visit(edge.to, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  return cycles;
}

function namesOf(door: string): string[] {
  const lists = (codes.get(door) ?? "").matchAll(/export\s+(type\s+)?\{([^}]*)\}/g);
  return [...lists].flatMap(([, type = "", list = ""]) =>
    list
      .split(",")
      .map((item) => item.trim().replace(/^(type\s+)?.*\sas\s+/, "$1"))
      .filter((item) => item !== "")
      .map((item) => (type !== "" ? `type ${item}` : item)),
  );
}

function filesWith(pattern: RegExp): string[] {
  return files.filter((file) => pattern.test(codes.get(file) ?? ""));
}

// A stand-in of the production build is in the layer of the module that it stands for.
function isStandIn(file: string): boolean {
  return file.startsWith("production/");
}

function folder(file: string): string {
  return file.replace("production/", "").split("/")[0] ?? "";
}

function rank(file: string): number {
  return layers.findIndex((row) => row.includes(folder(file)));
}

function inKernel(file: string): boolean {
  return folder(file) === "kernel" && !isStandIn(file);
}

function linesOf(file: string): number {
  return lengthOf(texts.get(file) ?? "");
}

function lengthOf(text: string): number {
  return text.trimEnd().split("\n").length;
}

function except(found: readonly string[], allowed: readonly string[]): string[] {
  return found.filter((file) => !allowed.includes(file));
}

function show({ from, to }: Import): string {
  return `${from} -> ${to}`;
}

// Orders to the linter and to the compiler have to stand on one line.
function widePlaces(file: string, text: string): readonly string[] {
  return text.split("\n").flatMap((line, index) => {
    const isComment = /^\s*(\/\/|\/?\*)(?!.*(biome-ignore|@ts-))/.test(line);
    return isComment && line.length > 100 ? [`${file}:${index + 1}`] : [];
  });
}
