// What is built (bundle.mjs), and what a program's own bundle takes of it.

import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { root } from "./install.mjs";

const library = join(root, "packages/asyncio");
const { exports } = JSON.parse(readFileSync(join(library, "package.json"), "utf8"));
const [doors, productionDoors] = ["default", "production"].map((condition) =>
  Object.values(exports)
    .filter((door) => typeof door === "object")
    .map((door) => join(library, door[condition])),
);

for (const [name, built] of Object.entries({ default: doors, production: productionDoors })) {
  describe(`the ${name} build`, () => {
    test("has a file for each door, which needs few others", () => {
      for (const door of built) {
        const files = filesBehind(door);
        assert.ok(files.size <= 26, `${door}: ${[...files].join(", ")}`);
      }
    });

    test("has classes with their own names: an object prints as one of its class", async () => {
      for (const door of built) {
        const actual = await import(door);
        const source = await import(door.replace(/dist(?:\/production)?(.*)\.js$/, "src$1.ts"));

        assert.deepEqual(namesIn(actual), namesIn(source));
      }
    });

    // They keep an object for good (D57), which is nobody else's business.
    test("has classes that print without what they keep", async () => {
      const { Lock, Condition, Event, Queue } = await import(built[0]);

      assert.equal(
        inspect([Lock, Condition, Event, Queue]),
        "[ [class Lock], [class Condition], [class Event], [class Queue] ]",
      );
    });

    test("leads back to the sources by its maps", () => {
      const home = dirname(built[0]);
      for (const map of globSync("*.js.map", { cwd: home })) {
        const { sources } = JSON.parse(readFileSync(join(home, map), "utf8"));
        const missing = sources.filter((source) => !existsSync(resolve(home, source)));

        assert.deepEqual(missing, [], map);
      }
    });
  });
}

/** Of the classes that a door exports, what each calls itself. */
function namesIn(door) {
  const classes = Object.entries(door).filter(([, value]) => /^class\b/.test(String(value)));
  return classes.map(([name, { name: own }]) => `${name}: ${own}`);
}

// Without streams, sockets, processes, signals as a stream; without context variables, requests,
// locks and queues.
describe("a program of `run`, `taskGroup` and `sleep`", () => {
  test("adds no more than this to a bundle", async () => {
    const { contents } = await bundleOf(doors[0]);

    assert.ok(contents.byteLength <= 67_710, `${contents.byteLength} bytes`);
    const gzipped = gzipSync(contents, { level: 9 }).byteLength;
    assert.ok(gzipped <= 24_270, `${gzipped} bytes, gzipped`);
  });

  // 18,000 bytes were wanted: bench/README.md, "Weight", says what is left.
  test("adds no more than this under the condition `production`", async () => {
    const { contents } = await bundleOf("asyncio-ts", undefined, ["production"]);

    assert.ok(contents.byteLength <= 60_900, `${contents.byteLength} bytes`);
    const gzipped = gzipSync(contents, { level: 9 }).byteLength;
    assert.ok(gzipped <= 21_390, `${gzipped} bytes, gzipped`);
  });

  test("brings these modules along, beside the kernel and what is below it", async () => {
    const { modules } = await bundleOf(join(library, "src/index.ts"));
    const below = ["structures", "errors", "kernel"];

    assert.deepEqual(modules.filter((module) => !below.includes(dirname(module))).sort(), [
      "interop/dependents.ts",
      "interop/draining.ts",
      "ports/context-storage.ts",
      "ports/copies.ts",
      "ports/globals.ts",
      "ports/js-host.ts",
      "ports/uncaught.ts",
      "runner/deadlock-watch.ts",
      "runner/forgotten.ts",
      "runner/left-open.ts",
      "runner/lost-values.ts",
      "runner/main-run.ts",
      "runner/options.ts",
      "runner/runner.ts",
      "runner/servers.ts",
      "runner/session.ts",
      "runner/shutdown.ts",
      "runner/signals.ts",
      "runner/under-way.ts",
      "tasks/abort.ts",
      "tasks/circle.ts",
      "tasks/condense.ts",
      "tasks/create-task.ts",
      "tasks/deadlock.ts",
      "tasks/debug-watch.ts",
      "tasks/exception-group.ts",
      "tasks/excuse.ts",
      "tasks/fake-timers.ts",
      "tasks/group-child.ts",
      "tasks/host-loop.ts",
      "tasks/leftovers.ts",
      "tasks/owners.ts",
      "tasks/sleep.ts",
      "tasks/task-group-options.ts",
      "tasks/task-group.ts",
    ]);
  });
});

// A class that a bundler cannot leave out takes along whatever it calls.
describe("a program of `run` and one thing more takes as little as of a file for each module", () => {
  const names = ["TimeoutError", "ExceptionGroup", "Queue", "Rendezvous", "QueueEmpty"];
  for (const name of [...names, "Event", "Lock", "Semaphore", "Condition", "gather"]) {
    test(name, async () => {
      const [built, source] = await Promise.all(
        [doors[0], join(library, "src/index.ts")].map((door) => bundleOf(door, `run, ${name}`)),
      );
      const more = built.contents.byteLength - source.contents.byteLength;

      assert.ok(more < 250, `${more} bytes more`);
    });
  }
});

/** What a bundler makes of a program that uses these of the door, minified. */
async function bundleOf(door, names = "run, sleep, taskGroup", conditions = []) {
  const program = `import { ${names} } from ${JSON.stringify(door)};\nconsole.log(${names});\n`;
  const { outputFiles, metafile, warnings } = await build({
    stdin: { contents: program, resolveDir: library },
    absWorkingDir: join(library, "src"),
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    logLevel: "silent",
    format: "esm",
    platform: "node",
    target: "node20",
    conditions,
  });
  assert.deepEqual(warnings, []);
  const [{ contents }] = outputFiles;
  const [{ inputs }] = Object.values(metafile.outputs);
  const modules = Object.entries(inputs)
    .filter(([name, { bytesInOutput }]) => bytesInOutput > 0 && name !== "<stdin>")
    .map(([name]) => name);
  return { contents, modules };
}

/** `file` and what it imports, and so on. */
function filesBehind(file, found = new Set()) {
  if (found.has(file)) return found;
  found.add(file);
  const imports = readFileSync(file, "utf8").matchAll(/(?:from|import)\s*"(\.[^"]+)"/g);
  for (const [, to] of imports) filesBehind(join(dirname(file), to), found);
  return found;
}
