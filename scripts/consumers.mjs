// Installs the library as it would be published into programs of other people's kind, and runs
// them: what docs/install.md says, row by row. Blocks of that page are the files and commands that
// are tried; where a row has neither, a small program stands here. The tools are pinned in
// frameworks/, the runtimes in runtimes/; both are installed on first use.

import { spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { installFrameworks } from "./frameworks.mjs";
import { root, SetupError } from "./install.mjs";
import { reportProgress } from "./progress.mjs";
import { binaryOf, installRuntimes } from "./runtimes.mjs";

const tools = join(root, "frameworks/node_modules");
/** Below the tools, so that programs in it find them. */
const home = join(root, "frameworks/.projects");
const packageHome = join(home, "node_modules/asyncio-ts");
const page = readFileSync(join(root, "docs/install.md"), "utf8");
const readme = readFileSync(join(root, "README.md"), "utf8");
const seconds = 90;

const node = process.execPath;
const nodes = { 20: binaryOf("Node 20.19"), 22: binaryOf("Node 22"), 24: node };
const tsc = {
  5.2: join(tools, "typescript-5.2/lib/tsc.js"),
  6: join(tools, "typescript/lib/tsc.js"),
  7: join(tools, "typescript-7/bin/tsc"),
};
const jest = [join(tools, "jest/bin/jest.js"), "--no-watchman"];

// --- the programs

const firstProgram = firstBlockOf("README.md");
const firstGuideProgram = firstBlockOf("docs/guide/tasks-and-groups.md");
const firstOutput =
  "Ann: job 1 gives 1\nBob: job 2 gives 4\nAnn: job 600 took too long\nall done\n";
const small = `import * as asyncio from "asyncio-ts";
asyncio.run(async () => console.log(await asyncio.timeout(1, () => asyncio.sleep(0.001, "ran"))));
`;
/** What it prints ends with advice, but in the production build. */
const mistake = `import * as asyncio from "asyncio-ts";
try {
  new asyncio.Future().result();
} catch (error) {
  console.log(error.message);
}
`;
const usingProgram = `import * as asyncio from "asyncio-ts";
const lock = new asyncio.Lock();
await asyncio.run(async () => {
  await using server = await asyncio.startServer(async () => {}, "127.0.0.1", 0);
  using _guard = await lock.acquire();
  console.log(lock.locked(), server.sockets.length);
});
console.log(lock.locked());
`;
const allDoors = `import * as asyncio from "asyncio-ts";
import * as executors from "asyncio-ts/executors";
import * as lowlevel from "asyncio-ts/lowlevel";
import * as patterns from "asyncio-ts/patterns";
import * as worker from "asyncio-ts/worker";
import * as testing from "asyncio-ts/testing";
export const jobs: asyncio.Queue<number> = new asyncio.Queue<number>(1);
export const wrong: asyncio.Queue<string> = jobs; // an error: the declarations have been read
export const doors = [lowlevel.park, patterns.Watch, testing.runTest, executors.module, worker.progress];
`;
const testFile = `import * as asyncio from "asyncio-ts";
import { runTest } from "asyncio-ts/testing";

test("real time", async () => {
  const start = asyncio.startServer(async () => {}, "127.0.0.1", 0);
  const server: asyncio.Server = await start;
  await server.shutdown(0);
  for (let turn = 0; turn < 600; turn++) await asyncio.sleep(0);
  expect(await asyncio.run(() => asyncio.timeout(5, () => asyncio.sleep(0.001, "x")))).toBe("x");
});

test("virtual time", async () => {
  await runTest(async (t) => {
    await asyncio.sleep(3600);
    expect(t.now).toBe(3600);
  });
});
`;
/** In jsdom, Buffers and the errors of Node are of another realm, and there is no `TextDecoder`. */
const bytesOfNode = `import assert from "node:assert";
import { readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import * as asyncio from "asyncio-ts";
import { InlineExecutor, module } from "asyncio-ts/executors";

const text = { encoding: "utf-8" };
const path = module("node:path");

test("a server and a client", () => asyncio.run(async () => {
  await using server = await asyncio.startServer(
    async (reader, writer) => {
      for await (const line of reader.lines()) await writer.write(Buffer.from(line + "\\n"));
    },
    "127.0.0.1",
    0,
  );
  await using connection = await asyncio.openConnection("127.0.0.1", server.sockets[0].port);
  await connection.writer.write(Buffer.from("häl"));
  await connection.writer.write("lo\\n");
  expect(await connection.reader.readUntil(Buffer.from("l"), text)).toBe("hä");
  expect(await connection.reader.readLine(text)).toBe("lo");
}));

test("streams and processes", () => asyncio.run(async () => {
  expect(await asyncio.readerFrom(Readable.from([Buffer.from("hi")])).readLine(text)).toBe("hi");
  const input = Buffer.from("yo");
  expect((await asyncio.runProcess("cat", [], { input })).stdout).toBe("yo");
}));

test("copies and web streams", async () => {
  await InlineExecutor.load(path);
  await using executor = new InlineExecutor();
  expect(await executor.run(path.format, { dir: "/a", base: "b" })).toBe("/a/b");
  const [near, far] = asyncio.connectionPair();
  await near.writer.write("hi\\n");
  const reader = asyncio.readerFrom(asyncio.toWebStream(far.reader));
  expect(await reader.readLine(text)).toBe("hi");
  near.writer.abort();
  far.writer.abort();
});

test("errors of Node", async () => {
  const missing = await readFile("/there/is/none").catch((error) => error);
  const group = new asyncio.ExceptionGroup("both", [missing, new assert.AssertionError({})]);
  const [failed, others] = group.split(assert.AssertionError);
  expect([failed.errors.length, others.errors[0]]).toEqual([1, missing]);
});
`;

// --- the rows of the page

const works = {
  "Node 20.19, 22, 24, 26": async (project) => {
    project.write("main.mjs", small);
    for (const name of ["Node 20.19", "Node 22", "Node 24", "Node 26"])
      await project.prints("ran\n", binaryOf(name), ["main.mjs"]);
  },
  Bun: async (project) => {
    project.write("main.mts", firstProgram);
    await project.prints(firstOutput, binaryOf("Bun"), ["--no-install", "run", "main.mts"]);
  },
  Deno: async (project) => {
    project.write("main.mts", firstProgram);
    project.install(); // Deno does not look in the folders above
    const args = ["run", "--allow-all", "--node-modules-dir=manual", "--no-lock", "--no-remote"];
    await project.prints(firstOutput, binaryOf("Deno"), [...args, "--quiet", "main.mts"]);
  },
  "npm init -y": async (project) => {
    project.write("package.json", '{ "type": "commonjs" }');
    project.write("main.mts", firstProgram);
    await project.prints(firstOutput, node, ["main.mts"]);
    project.write("package.json", '{ "type": "module" }');
    project.write("main.ts", firstProgram);
    await project.prints(firstOutput, node, ["main.ts"]);
  },
  CommonJS: async (project) => {
    project.write("package.json", '{ "type": "commonjs" }');
    project.write(
      "main.js",
      `const asyncio = require("asyncio-ts");
asyncio.run(async () => {
  console.log((await import("asyncio-ts")).sleep === asyncio.sleep, await asyncio.sleep(0.001, "ran"));
});
`,
    );
    for (const version of [20, 22, 24])
      await project.prints("true ran\n", nodes[version], ["--no-warnings", "main.js"]);
  },
  "TypeScript 5.2 to 7.0": async (project) => {
    project.write("main.mts", allDoors);
    const modules = { nodenext: "nodenext", esnext: "bundler", preserve: "bundler" };
    for (const [version, compiler] of Object.entries(tsc)) {
      for (const [module, moduleResolution] of Object.entries(modules)) {
        if (version === "5.2" && module === "preserve") continue; // it came with 5.4
        const settings = { target: "es2022", module, moduleResolution, strict: true };
        const types = module === "nodenext" ? { types: ["node"], lib: ["es2023"] } : { types: [] };
        project.tsconfig({ ...settings, ...types, skipLibCheck: false, noEmit: true });
        const { output } = await project.run(node, [compiler, "-p", "."]);
        const errors = output.match(/error TS.*/g) ?? [];
        const isRight = errors.length === 1 && output.startsWith("main.mts(8,14): error TS2322");
        if (!isRight) throw new Error(`TypeScript ${version}, module ${module}:\n${output}`);
      }
    }
  },
  using: async (project) => {
    project.write("main.mts", usingProgram);
    project.write("tsconfig.json", blockOf("tsconfig.json"));
    for (const compiler of Object.values(tsc)) {
      await project.prints("", node, [compiler, "-p", "."]);
      for (const version of [20, 22, 24])
        await project.prints("true 1\nfalse\n", nodes[version], ["main.mjs"]);
    }
    project.write("main.mjs", usingProgram); // as it stands
    await project.prints("true 1\nfalse\n", nodes[24], ["main.mjs"]);
    for (const version of [20, 22])
      await project.fails(/SyntaxError: Unexpected identifier/, nodes[version], ["main.mjs"]);
  },
  Vitest: async (project) => {
    project.write("main.test.ts", testFile);
    const args = [join(tools, "vitest/vitest.mjs"), "run", "--globals", "--root", "."];
    await project.says(/2 passed/, node, args);
  },
  "Jest on Node 24.9": async (project) => {
    // As `npm init -y` and ts-jest's own first page have it.
    project.write("main.test.ts", testFile);
    project.write("jest.config.json", '{ "preset": "ts-jest" }');
    project.tsconfig({ module: "commonjs", target: "es2022", isolatedModules: true });
    await project.says(/2 passed/, node, ["--experimental-vm-modules", ...jest]);
  },
  "Jest with ts-jest": async (project) => {
    project.write("main.test.ts", testFile);
    project.write("jest.config.json", blockOf("jest.config.json", "Jest with ts-jest"));
    const settings = { module: "commonjs", target: "es2022", isolatedModules: true };
    project.tsconfig({ ...settings, allowJs: true });
    await project.says(/2 passed/, nodes[22], jest);
  },
  "Jest with Babel": async (project) => {
    project.write("main.test.ts", testFile);
    for (const name of ["jest.config.json", "babel.config.json"])
      project.write(name, blockOf(name, "Jest with Babel"));
    await project.says(/2 passed/, nodes[20], jest);
  },
  "Jest's jsdom": async (project) => {
    project.write("main.test.ts", testFile);
    project.write("bytes.test.ts", bytesOfNode);
    project.write("jest.config.json", '{ "testEnvironment": "jsdom" }');
    project.write("babel.config.json", blockOf("babel.config.json", "Jest with Babel"));
    await project.says(/6 passed/, node, ["--experimental-vm-modules", ...jest]);
  },
  esbuild: async (project) => {
    project.write("main.mjs", small);
    for (const format of ["esm", "cjs"]) {
      const out = `out.${format === "esm" ? "mjs" : "cjs"}`;
      const args = ["main.mjs", "--bundle", "--platform=node", `--format=${format}`];
      const flags = ["--log-level=warning", `--outfile=${out}`];
      await project.prints("", join(tools, ".bin/esbuild"), [...args, ...flags]);
      await project.printsAlone("ran\n", node, out);
    }
    project.write("using.mjs", usingProgram);
    const args = ["using.mjs", "--bundle", "--platform=node", "--format=esm", "--target=node20"];
    await project.says(/Done/, join(tools, ".bin/esbuild"), [...args, "--outfile=using.out.mjs"]);
    await project.printsAlone("true 1\nfalse\n", nodes[20], "using.out.mjs");
  },
  Rollup: async (project) => {
    project.write("main.mjs", small);
    project.write(
      "build.mjs",
      `import { nodeResolve } from "@rollup/plugin-node-resolve";
import { rollup } from "rollup";
const onLog = (level, log) => console.log(level, log.message);
const bundle = await rollup({ input: "main.mjs", plugins: [nodeResolve()], onLog });
await bundle.write({ file: "out.mjs", format: "es" });
await bundle.write({ file: "out.cjs", format: "cjs" });
`,
    );
    await project.prints("", node, ["build.mjs"]);
    for (const out of ["out.mjs", "out.cjs"]) await project.printsAlone("ran\n", node, out);
  },
  Vite: async (project) => {
    project.write("main.mjs", small);
    project.write(
      "build.mjs",
      `import { build } from "vite";
const output = { entryFileNames: "[name].mjs" };
for (const noExternal of [undefined, true]) {
  const outDir = noExternal ? "all" : "some";
  const settings = { ssr: "main.mjs", outDir, rollupOptions: { output } };
  await build({ logLevel: "warn", configFile: false, build: settings, ssr: { noExternal } });
}
`,
    );
    await project.prints("", node, ["build.mjs"]);
    await project.prints("ran\n", node, ["some/main.mjs"]);
    await project.printsAlone("ran\n", node, "all/main.mjs");
  },
  webpack: async (project) => {
    project.write("main.mjs", small);
    project.write(
      "build.mjs",
      `import webpack from "webpack";
const entry = "./main.mjs";
const output = { path: import.meta.dirname, filename: "out.cjs" };
webpack({ mode: "production", target: "node", entry, output }, (error, stats) => {
  if (error || stats.hasErrors() || stats.hasWarnings()) console.log(error ?? stats.toString());
});
`,
    );
    await project.prints("", node, ["build.mjs"]);
    await project.printsAlone("ran\n", node, "out.cjs");
  },
  "Vite and webpack for production": async (project) => {
    project.write("main.mjs", mistake);
    project.write(
      "build.mjs",
      `import { build } from "vite";
import webpack from "webpack";
const rollupOptions = { output: { entryFileNames: "[name].mjs" } };
for (const outDir of ["less", "all"]) {
  const resolve = outDir === "all" ? { conditions: ["module", "node"] } : undefined;
  const settings = { ssr: "main.mjs", outDir, rollupOptions };
  const ssr = { noExternal: true, resolve };
  await build({ logLevel: "warn", configFile: false, build: settings, ssr });
  const output = { path: import.meta.dirname, filename: outDir + ".cjs" };
  const names = outDir === "all" ? { conditionNames: ["import", "node", "default"] } : {};
  const options = { mode: "production", target: "node", entry: "./main.mjs", output };
  webpack({ ...options, resolve: names }, (error, stats) => {
    if (error || stats.hasErrors() || stats.hasWarnings()) console.log(error ?? stats.toString());
  });
}
`,
    );
    await project.prints("", node, ["build.mjs"]);
    for (const out of ["less/main.mjs", "less.cjs"])
      await project.printsAlone("a future is not done yet\n", node, out);
    for (const out of ["all/main.mjs", "all.cjs"])
      await project.printsAlone("a future is not done yet. Await it first\n", node, out);
  },
  "esbuild for production": async (project) => {
    project.write("main.mjs", mistake);
    const args = ["main.mjs", "--bundle", "--platform=node", "--format=esm", "--outfile=out.mjs"];
    const flags = ["--log-level=warning", "--conditions=production"];
    await project.prints("", join(tools, ".bin/esbuild"), [...args, ...flags]);
    await project.printsAlone("a future is not done yet\n", node, "out.mjs");
  },
  "Rollup for production": async (project) => {
    project.write("main.mjs", mistake);
    project.write(
      "build.mjs",
      `import { nodeResolve } from "@rollup/plugin-node-resolve";
import { rollup } from "rollup";
const plugins = [nodeResolve({ exportConditions: ["production"] })];
const bundle = await rollup({ input: "main.mjs", plugins });
await bundle.write({ file: "out.mjs", format: "es" });
`,
    );
    await project.prints("", node, ["build.mjs"]);
    await project.printsAlone("a future is not done yet\n", node, "out.mjs");
  },
  "Node for production": async (project) => {
    project.write("main.mjs", mistake);
    project.install(); // for Deno, as above
    const deno = ["run", "--allow-all", "--node-modules-dir=manual", "--no-lock", "--no-remote"];
    const hosts = {
      "Node 20.19": [],
      "Node 24": [],
      Bun: ["--no-install", "run"],
      Deno: [...deno, "--quiet"],
    };
    for (const [name, args] of Object.entries(hosts)) {
      const flag = "--conditions=production";
      const all = name === "Deno" ? [...args, flag] : [flag, ...args];
      await project.prints("a future is not done yet\n", binaryOf(name), [...all, "main.mjs"]);
    }
  },
};

const doesNotWork = {
  browsers: async (project) => {
    project.write("main.mjs", small);
    const args = ["main.mjs", "--bundle", "--platform=browser", "--log-level=warning"];
    await project.prints("", join(tools, ".bin/esbuild"), [...args, "--outfile=out.js"]);
    project.write("webpack.mjs", webpackForBrowsers);
    await project.prints("", node, ["webpack.mjs"]);
    project.write("vite.mjs", viteForBrowsers);
    await project.prints("", node, ["vite.mjs"]);
    for (const out of ["out.js", "webpack/out.js", "vite/out.js"]) {
      const page = `require("node:vm").runInNewContext(require("node:fs").readFileSync("${out}", "utf8"), {
        console, performance, setTimeout, navigator: { userAgent: "Mozilla/5.0" },
      })`;
      await project.fails(/Error: asyncio-ts runs on Node .*and not here \(Mozilla\/5\.0\)/, node, [
        "-e",
        page,
      ]);
    }
  },
  "edge functions": async (project) => {
    project.write("main.mjs", small);
    const args = ["main.mjs", "--bundle", "--conditions=edge-light,worker,browser"];
    const flags = ["--log-level=warning", "--outfile=out.js"];
    await project.prints("", join(tools, ".bin/esbuild"), [...args, ...flags]);
    const edge = `const { EdgeVM } = require("@edge-runtime/vm");
      new EdgeVM().evaluate(require("node:fs").readFileSync("out.js", "utf8"))`;
    await project.fails(/Error: asyncio-ts runs on Node .*and not here/, node, ["-e", edge]);
  },
  "TypeScript 5.1": async (project) => {
    project.write("main.mts", small);
    project.tsconfig({ module: "nodenext", target: "es2022", types: [], noEmit: true });
    const compiler = join(tools, "typescript-5.1/lib/tsc.js");
    await project.fails(/Cannot find lib definition for 'esnext.disposable'/, node, [
      compiler,
      "-p",
      ".",
    ]);
  },
  "Jest without flag and transform": async (project) => {
    project.write("main.test.ts", testFile);
    project.write("babel.config.json", blockOf("babel.config.json", "Jest with Babel"));
    project.write("jest.config.json", "{}");
    await project.fails(/Must use import to load ES Module/, node, jest);
  },
  "fake timers": async (project) => {
    project.write(
      "main.mjs",
      `import sinon from "sinon";
import * as asyncio from "asyncio-ts";
const fakes = sinon.useFakeTimers();
await asyncio.run(() => asyncio.sleep(0.001));
fakes.restore();
`,
    );
    await project.says(/asyncio-ts waits in real time, but the timers .* fake/, node, ["main.mjs"]);
  },
  "two copies": async (project) => {
    project.install("library/node_modules/asyncio-ts"); // npm puts a second version below its user
    project.write("library/index.mjs", 'export { sleep } from "asyncio-ts";\n');
    project.write("bundled.mjs", small.replace(/asyncio\.run.*\n/, "export { asyncio };\n"));
    const args = ["bundled.mjs", "--bundle", "--platform=node", "--format=esm"];
    const flags = ["--log-level=warning", "--outfile=bundle.mjs"];
    await project.prints("", join(tools, ".bin/esbuild"), [...args, ...flags]);
    const meet = (call) => `import * as a from "asyncio-ts";
import { sleep } from "./library/index.mjs";
import { asyncio } from "./bundle.mjs";
await a.run(() => a.timeout(1, () => ${call}));
`;
    for (const [call, other] of [
      ["sleep(0.001)", "library/node_modules/asyncio-ts/dist"],
      ["asyncio.sleep(0.001)", "bundle.mjs"],
    ]) {
      project.write("main.mjs", meet(call));
      const { status, output } = await project.run(node, ["main.mjs"]);
      const isRight = /^asyncio-ts: two copies are at work.*main\.mjs:4/.test(output);
      if (status !== 0 || !isRight || !output.includes(other)) throw new Error(output);
      if (output.trim().includes("\n")) throw new Error(`more than one line:\n${output}`);
    }
  },
};

const webpackForBrowsers = `import webpack from "webpack";
const entry = "./main.mjs";
const output = { path: import.meta.dirname + "/webpack", filename: "out.js" };
webpack({ mode: "development", devtool: false, target: "web", entry, output }, (error, stats) => {
  if (error || stats.hasErrors() || stats.hasWarnings()) console.log(error ?? stats.toString());
});
`;
const viteForBrowsers = `import { build } from "vite";
const output = { format: "iife", entryFileNames: "out.js" };
const settings = { outDir: "vite", rollupOptions: { input: "main.mjs", output } };
await build({ logLevel: "warn", configFile: false, build: settings });
`;

/** The commands of a page on a machine with nothing but that Node, in the order of the page. */
function fromAnEmptyFolder(version, page) {
  return async (project) => {
    project.write("main.mts", firstProgram);
    project.write("guide.mts", firstGuideProgram);
    for (const { commands, since } of shellBlocks(page)) {
      if (version < since) continue;
      let told = "";
      for (const command of commands) told += (await project.shell(command, version)).stdout;
      if (!commands.at(-1).startsWith("node ")) continue;
      if (!told.endsWith(firstOutput)) throw new Error(`${commands.join("\n")}\n${told}`);
      const guide = commands.at(-1).replace("main", "guide");
      const { stdout } = await project.shell(guide, version);
      if (!/^Map\(3\) \{/.test(stdout)) throw new Error(stdout);
    }
  };
}

// --- running them

/** Gives { passed, failed }. */
export async function testConsumers(wanted = []) {
  installFrameworks();
  await installRuntimes();
  if (!Object.values(nodes).every((binary) => existsSync(binary))) {
    const reason = `no other Nodes in the registry for ${process.platform}-${process.arch}`;
    return { passed: 0, failed: 0, skipped: 1, leftOut: [`consumers: all rows (${reason})`] };
  }
  rmSync(home, { recursive: true, force: true });
  mkdirSync(packageHome, { recursive: true });
  const tarball = await pack();
  await mustRun("tar", ["-xzf", tarball, "-C", packageHome, "--strip-components=1"]);

  const rows = [
    ...[20, 22, 24].map((version) => [
      `From an empty folder, Node ${version}`,
      fromAnEmptyFolder(version, page),
    ]),
    ["From an empty folder, by the README", fromAnEmptyFolder(24, readme)],
    ...Object.entries(works),
    ...Object.entries(doesNotWork),
  ].filter(([name]) => wanted.length === 0 || wanted.some((part) => name.includes(part)));
  const failures = wanted.length === 0 ? missingRows() : [];
  let passed = 0;
  const all = rows.length;
  const atWork = new Set();
  const stop = reportProgress(
    () => `${all - rows.length - atWork.size} of ${all} rows; at work: ${[...atWork].join(", ")}`,
  );
  const worker = async () => {
    for (let row = rows.shift(); row !== undefined; row = rows.shift()) {
      const [name, run] = row;
      atWork.add(name);
      try {
        await run(new Project(name, tarball));
        passed++;
      } catch (error) {
        failures.push(`${name}: ${error.message}`);
      }
      atWork.delete(name);
    }
  };
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), 4) }, worker));
  stop();
  for (const failure of failures) console.log(`\n  not ok - ${failure.replaceAll("\n", "\n    ")}`);
  if (failures.length === 0) rmSync(home, { recursive: true, force: true });
  return { passed, failed: failures.length };
}

/** Rows of the page without a test here, and the other way round. */
function missingRows() {
  const [tried] = page.split("\n## What nobody has tried\n");
  const named = [...tried.matchAll(/^\| ([^|]+) \|/gm)].map(([, cell]) => cell.replaceAll("`", ""));
  const onPage = named.filter((cell) => !/^(-+|with|where)$/.test(cell));
  const here = [...Object.keys(works), ...Object.keys(doesNotWork)];
  return [
    ...onPage.filter((row) => !here.includes(row)).map((row) => `${row}: a row that nobody tests`),
    ...here
      .filter((row) => !onPage.includes(row))
      .map((row) => `${row}: no row of docs/install.md`),
  ];
}

async function pack() {
  const args = ["pack", "--silent", "--workspace=asyncio-ts", `--pack-destination=${home}`];
  const { stdout } = await mustRun("npm", args, root);
  return join(home, stdout.trim().split("\n").at(-1));
}

/** A program of somebody else, in a folder of its own. */
class Project {
  #folder;
  #tarball;

  constructor(name, tarball) {
    this.#tarball = tarball;
    const stem = name.toLowerCase().replaceAll(/\W+/g, "-");
    const isBare = name.startsWith("From an empty folder");
    this.#folder = isBare ? mkdtempSync(join(tmpdir(), "asyncio-ts-bare-")) : join(home, stem);
    mkdirSync(this.#folder, { recursive: true });
    if (!isBare) this.write("package.json", "{}");
  }

  write(file, text) {
    const path = join(this.#folder, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }

  tsconfig(compilerOptions) {
    this.write("tsconfig.json", JSON.stringify({ compilerOptions }));
  }

  install(where = "node_modules/asyncio-ts") {
    cpSync(packageHome, join(this.#folder, where), { recursive: true });
  }

  run(command, args) {
    return run(command, args, this.#folder);
  }

  /** Passes if the program prints exactly that on stdout and succeeds. */
  async prints(expected, command, args) {
    const { status, stdout, output } = await this.run(command, args);
    if (status !== 0 || stdout !== expected)
      throw new Error(`${command} ${args.join(" ")}\nstatus ${status}\n${output}`);
  }

  /** `prints`, where no package is in reach: the bundle has all that it needs. */
  async printsAlone(expected, command, file) {
    const alone = mkdtempSync(join(tmpdir(), "asyncio-ts-bundle-"));
    try {
      cpSync(join(this.#folder, file), join(alone, file.replaceAll("/", "-")));
      const { status, output } = await run(command, [file.replaceAll("/", "-")], alone);
      if (status !== 0 || output !== expected) throw new Error(`${file}\n${output}`);
    } finally {
      rmSync(alone, { recursive: true, force: true });
    }
  }

  async says(pattern, command, args) {
    const { status, output } = await this.run(command, args);
    if (status !== 0 || !pattern.test(output))
      throw new Error(`${command} ${args.join(" ")}\nstatus ${status}\n${output}`);
  }

  async fails(pattern, command, args) {
    const { status, output } = await this.run(command, args);
    if (status === 0 || !pattern.test(output))
      throw new Error(`${command} ${args.join(" ")}\nstatus ${status}\n${output}`);
  }

  /**
   * A command of the page. What it would fetch from the registry is what frameworks/ has,
   * TypeScript's newest included.
   */
  async shell(command, version) {
    const bin = join(this.#folder, ".bin");
    if (!existsSync(bin)) {
      mkdirSync(bin);
      symlinkSync(nodes[version], join(bin, "node"));
    }
    if (command.startsWith("npm install --save-dev ")) return this.#linkTools();
    const line = command.replace(/\S+\.tgz/, this.#tarball);
    const env = { ...outerEnvironment(), PATH: `${bin}${delimiter}${process.env.PATH}` };
    const result = await run("sh", ["-c", line], this.#folder, env);
    if (result.status !== 0) throw new Error(`Node ${version}: ${command}\n${result.output}`);
    return result;
  }

  #linkTools() {
    const modules = join(this.#folder, "node_modules");
    mkdirSync(join(modules, "@types"), { recursive: true });
    mkdirSync(join(modules, ".bin"), { recursive: true });
    symlinkSync(join(tools, "typescript-7"), join(modules, "typescript"));
    symlinkSync(join(tools, "@types/node"), join(modules, "@types/node"));
    symlinkSync(tsc[7], join(modules, ".bin/tsc"));
    return { stdout: "" };
  }
}

function outerEnvironment() {
  const env = { ...process.env, NO_COLOR: "1", npm_config_update_notifier: "false" };
  for (const name of Object.keys(env)) {
    if (/^npm_(package|lifecycle|command)|^(NODE_OPTIONS|FORCE_COLOR|ASYNCIO_DEBUG)$/.test(name))
      delete env[name];
  }
  return env;
}

async function mustRun(command, args, cwd = home) {
  const result = await run(command, args, cwd);
  if (result.status !== 0) throw new SetupError(`${command} ${args.join(" ")}\n${result.output}`);
  return result;
}

function run(command, args, cwd, env = outerEnvironment()) {
  const child = spawn(command, args, {
    cwd,
    env,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: seconds * 1000,
    killSignal: "SIGKILL",
  });
  const result = { status: null, stdout: "", output: "" };
  for (const stream of ["stdout", "stderr"]) {
    child[stream].setEncoding("utf8").on("data", (text) => {
      if (stream === "stdout") result.stdout += text;
      result.output += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => resolve(Object.assign(result, { status })));
  });
}

// --- the page

function firstBlockOf(file) {
  const [, code] = /^```ts\n([\s\S]*?)^```$/m.exec(readFileSync(join(root, file), "utf8"));
  return code;
}

/** The block of docs/install.md that is called `file`, and belongs to `row` if several are. */
function blockOf(file, row) {
  const title = row === undefined ? `file=${file}` : `file=${file} row="${row}"`;
  const start = page.indexOf(`\`\`\`json ${title}\n`);
  if (start < 0) throw new Error(`docs/install.md has no block "${title}"`);
  return page.slice(page.indexOf("\n", start) + 1, page.indexOf("\n```", start));
}

/** The commands for the empty folder, and the oldest Node for which each block is meant. */
function shellBlocks(page) {
  const blocks = page.matchAll(/^```sh bare(?: node=(\d+))?\n([\s\S]*?)^```$/gm);
  return [...blocks].map(([, since = "0", text]) => ({
    since: Number(since),
    commands: text.trim().split("\n"),
  }));
}

if (import.meta.main) {
  const { passed, failed } = await testConsumers(process.argv.slice(2));
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}
