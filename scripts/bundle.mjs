// Puts the code of a package into a few files: `node scripts/bundle.mjs packages/asyncio dist`.
// With a file for each of a hundred modules, most of the time to import it is spent on finding and
// linking them.
//
// Each door is an entry. What several of them need is in chunks, so that all doors share one
// kernel. What a bundler leaves out most surely is a whole file of which nothing is used
// (`sideEffects: false`), so what a program without locks and queues, or without streams, sockets
// and processes, does not need has chunks of its own.

import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { build } from "esbuild";
import { productionBuild } from "./production.mjs";

/**
 * What is special about a package. `folders`: those of the sources by part of the first door; all
 * others are its first part. `workers`: what workers begin with, loaded by their files, and
 * imported by nobody. `platform`: "node" for one that imports modules of the host by name.
 */
const packages = {
  "asyncio-ts": {
    platform: "neutral",
    folders: {
      primitives: ["sync", "queues"],
      outside: ["streams", "net", "process", "executors"],
    },
    workers: ["executors/thread-main", "executors/process-main"],
  },
  "asyncio-ts-db": { platform: "node", folders: undefined, workers: ["sqlite/worker"] },
};

const [home, out] = process.argv.slice(2).map((folder) => resolve(folder));
// `npm run bench -- --compare` builds what is older, where `register` gives nothing back.
const marksClasses = !process.argv.includes("--leave-classes");
const source = join(home, "src");
const { name, exports } = JSON.parse(readFileSync(join(home, "package.json"), "utf8"));
const { platform, folders, workers: all } = packages[name];
// What is older may lack some of them.
const workers = all.filter((name) => existsSync(join(source, `${name}.ts`)));
const doors = Object.values(exports)
  .filter((door) => typeof door === "object")
  .map((door) => door.default.replace(/^\.\/dist\/(.*)\.js$/, "$1"));

// The parts of the first door, as entries that nobody imports: a chunk holds what the same entries
// need.
const parts = folders === undefined ? {} : partsOf(folders);

await bundle(out, []);
if (existsSync(join(source, "production"))) {
  const production = join(out, "production");
  rmSync(production, { recursive: true, force: true }); // declarations of what nobody imports
  await bundle(production, [productionBuild(source)]);
}

async function bundle(outdir, plugins) {
  const { metafile } = await build({
    absWorkingDir: home,
    entryPoints: [
      ...[...doors, ...workers].map((name) => ({ in: join(source, `${name}.ts`), out: name })),
      ...Object.keys(parts).map((part) => ({ in: `part:${part}`, out: `part-${part}` })),
    ],
    outdir,
    bundle: true,
    splitting: true,
    format: "esm",
    platform,
    packages: "external",
    external: ["node:*"], // of the first package older revisions only have some
    target: "es2022",
    sourcemap: true,
    sourcesContent: false, // src is in the package
    metafile: true,
    plugins: [{ name: "parts", setup: addParts }, ...plugins],
  });
  for (const [output, { entryPoint }] of Object.entries(metafile.outputs)) {
    const file = resolve(home, output);
    if (entryPoint?.startsWith("part:")) rmSync(file);
    else if (file.endsWith(".js")) {
      const code = withNames(readFileSync(file, "utf8"));
      writeFileSync(file, withoutBareImports(marksClasses ? withLooseClasses(code) : code));
    }
  }
  // The maps of the parts are empty.
  for (const part of Object.keys(parts)) rmSync(join(outdir, `part-${part}.js.map`));
}

function partsOf(folders) {
  const exported = readFileSync(join(source, "index.ts"), "utf8").match(
    /^export \{[^}]*\} from "\.\/[^"]+";$/gm,
  );
  const parts = { inside: "", primitives: "", outside: "" };
  for (const line of exported) {
    const [, folder] = /from "\.\/([^/]+)\//.exec(line);
    const [part] = Object.entries(folders).find(([, those]) => those.includes(folder)) ?? [
      "inside",
    ];
    parts[part] += `${line}\n`;
  }
  return parts;
}

/**
 * esbuild makes `var Task = class _Task` of a class that uses its own name, and then a task prints
 * as `_Task`. The space keeps the columns of the source map.
 */
function withNames(code) {
  const classes = [...code.matchAll(/^var (\w+) = class _\1\b/gm)].map(([, name]) => name);
  if (classes.length === 0) return code;
  return code.replaceAll(new RegExp(`\\b_(${classes.join("|")})\\b`, "g"), "$1 ");
}

/**
 * Makes loose what a bundler keeps whether it is used or not: a class with a computed name in it or
 * an object of its own, and an error class, which is registered by a call after it (`register`
 * gives it back). A program that has one queue would have all of them. Lines stay where they are.
 */
function withLooseClasses(code) {
  const call = /^register\((\w+), ("\w+")\);$/gm;
  const registered = new Map([...code.matchAll(call)].map(([, name, text]) => [name, text]));
  const loose = code.replaceAll(
    /^var (\w+) = class (\1 )? ?(extends \w+ )?\{\n([\s\S]*?)^\};$/gm,
    (all, name, own = `${name} `, parent = "", body) => {
      const text = registered.get(name);
      if (text === undefined && !/^ {2}(?:\[(?!Symbol\.)|static #?kept\b)/m.test(body)) return all;
      registered.delete(name);
      const made = `class ${own}${parent}{\n${body}}`;
      return `var ${name} = /* @__PURE__ */ (() => ${text === undefined ? made : `register(${made}, ${text})`})();`;
    },
  );
  return loose.replaceAll(call, (all, name) => (registered.has(name) ? all : ""));
}

/**
 * An import of nothing would have the chunk loaded for what that does. No module of ours does
 * anything then, and bundlers warn that they leave such an import out.
 */
function withoutBareImports(code) {
  return code.replaceAll(/^import "\.\.?\/chunk-\w+\.js";$/gm, "");
}

function addParts(build) {
  build.onResolve({ filter: /^part:/ }, ({ path }) => ({
    path: path.replace("part:", ""),
    namespace: "part",
  }));
  build.onLoad({ filter: /.*/, namespace: "part" }, ({ path }) => ({
    contents: parts[path],
    loader: "ts",
    resolveDir: source,
  }));
}
