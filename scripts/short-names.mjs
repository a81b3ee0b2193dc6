// Which properties the production build of a package gives a short name (docs/design.md, D56):
// those that no other code knows. What is known, and keeps its name, is
//
// - what the declarations of the doors say, and all that they refer to;
// - what the host has: the libraries of TypeScript, the types of Node;
// - every word of a string, since it may be the name of a property (`"exception" in context`);
// - what copies of the library tell each other (ports/copies.ts), and what the sources declare of
//   hosts (platform.d.ts).
//
// One build makes all doors and workers, so a name is the same in all of them.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { transformSync } from "esbuild";
import { root } from "./install.mjs";

// Below these the sources deal with objects of the library alone. What is declared in them, and is
// not known, gets a short name wherever it is used.
const inside = ["structures", "errors", "kernel", "tasks", "sync", "queues", "interop", "runner"];
// By folder, those of its files that count: of a browser nothing does.
const host = {
  "node_modules/@typescript": /\/lib\.(es|decorators)[^/]*\.d\.ts$/,
  "node_modules/@types/node": /\.d\.ts$/,
  "node_modules/undici-types": /\.d\.ts$/,
};

const hole = /\$\{(?:[^{}`]|`[^`]*`|\{[^{}]*\})*\}/g;
const string = RegExp(`"[^"\\n]*"|'[^'\\n]*'|\`(?:\\\\.|${hole.source}|[^\`\\\\])*\``, "g");

// Of `process.versions`, and in no declaration.
const hostOnly = ["bun", "deno"];

/**
 * The short name of each property that has one. `declarations` is the folder with what `tsc` has
 * made of `source`; `doors` are the names of modules in it.
 */
export function shortNames(source, declarations, doors) {
  const known = knownNames(source, declarations, doors);
  const counts = new Map();
  for (const name of namesIn(codeBelow(source, [""]))) {
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const own = propertiesIn(source, inside).filter(
    (name) => !known.has(name) && !hostOnly.includes(name),
  );
  own.sort((a, b) => counts.get(b) - counts.get(a) || (a < b ? -1 : 1));
  const free = candidates((name) => !known.has(name) && !counts.has(name));
  return Object.fromEntries(own.map((name) => [name, free.next().value]));
}

/** Names that others know, and words that may be such names. */
export function knownNames(source, declarations, doors) {
  const known = new Set(reachedFrom(declarations, doors));
  const files = Object.entries(host).flatMap(([folder, pattern]) =>
    filesIn(join(root, folder)).filter((file) => pattern.test(file.replaceAll("\\", "/"))),
  );
  if (files.length < 100) throw new Error("the declarations of the host are not where they were");
  const contract = ["ports/copies.ts", "platform.d.ts"].map((file) => join(source, file));
  for (const file of [...files, ...contract]) {
    for (const name of namesIn(withoutComments(readFileSync(file, "utf8")))) known.add(name);
  }
  addWordsOfStrings(known, codeBelow(source, [""]));
  return known;
}

function addWordsOfStrings(known, code) {
  for (const [text] of code.matchAll(string)) {
    for (const name of namesIn(text.replaceAll(hole, " "))) known.add(name);
    for (const [inner] of text.matchAll(hole)) addWordsOfStrings(known, inner);
  }
}

/** All names in the declarations of what doors export, and of what these refer to. */
function reachedFrom(declarations, doors) {
  const modules = new Map();
  const exported = new Map(); // what a door calls so
  const reached = new Set();
  const seen = new Set();
  for (const door of doors) {
    for (const [name, place] of moduleAt(join(declarations, `${door}.d.ts`)).imports) {
      exported.set(name, place);
    }
  }
  for (const [name, place] of exported) reach(place, name);
  return reached;

  function reach({ file, name }, as = name) {
    reached.add(as);
    if (seen.has(`${file} ${name}`)) return;
    seen.add(`${file} ${name}`);
    const { imports, declared } = moduleAt(file);
    if (!declared.has(name) && imports.has(name)) return reach(imports.get(name));
    for (const word of namesIn(declared.get(name) ?? "")) {
      reached.add(word);
      // Users know a class of the kernel by what a door calls so, where that is an interface of it.
      if (exported.has(word)) continue;
      if (imports.has(word)) reach(imports.get(word));
      else if (declared.has(word)) reach({ file, name: word });
    }
  }

  function moduleAt(file) {
    const known = modules.get(file);
    if (known !== undefined) return known;
    const text = withoutComments(readFileSync(file, "utf8"));
    const module = { imports: importsIn(text, file), declared: declarationsIn(text) };
    modules.set(file, module);
    return module;
  }
}

function importsIn(text, file) {
  const lists = text.matchAll(/^(?:im|ex)port (?:type )?\{([^}]*)\} from "(\.[^"]+)\.[jt]s"/gm);
  const imports = new Map();
  for (const [, list, from] of lists) {
    for (const one of list.split(",").filter((part) => part.trim() !== "")) {
      const [name, as = name] = one
        .trim()
        .replace(/^type /, "")
        .split(" as ");
      imports.set(as, { file: join(dirname(file), `${from}.d.ts`), name });
    }
  }
  return imports;
}

/** What is declared at the top of a file, by its name; overloads and merged ones together. */
function declarationsIn(text) {
  const head =
    /^(?:export )?(?:declare )?(?:abstract )?(?:class|interface|type|function|const|let) (\w+)/;
  const declared = new Map();
  let name;
  for (const line of text.split("\n")) {
    name = head.exec(line)?.[1] ?? (/^(?:import|export)\b/.test(line) ? undefined : name);
    if (name !== undefined) declared.set(name, `${declared.get(name) ?? ""}${line}\n`);
  }
  return declared;
}

/** What is a property in the sources below `folders`. */
function propertiesIn(source, folders) {
  const properties = {};
  for (const file of filesBelow(source, folders)) {
    const code = readFileSync(file, "utf8");
    const settings = { loader: "ts", mangleProps: /^[a-z]\w\w/i, mangleCache: {} };
    Object.assign(properties, transformSync(code, settings).mangleCache);
  }
  return Object.keys(properties);
}

/** Without types and comments. */
function codeBelow(source, folders) {
  return filesBelow(source, folders)
    .map(
      (file) =>
        transformSync(readFileSync(file, "utf8"), { loader: "ts", minifyWhitespace: true }).code,
    )
    .join("\n");
}

function filesBelow(source, folders) {
  const files = folders.flatMap((folder) => filesIn(join(source, folder)));
  return files.filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts")).sort();
}

function filesIn(folder) {
  return readdirSync(folder, { recursive: true }).map((file) => join(folder, file));
}

const withoutComments = (text) => text.replaceAll(/\/\*[\s\S]*?\*\/|(?<![:"'`\w])\/\/.*$/gm, " ");
const namesIn = (text) => text.match(/[A-Za-z_$][\w$]*/g) ?? [];

/** A small letter and a large one. Few have such a name in a class that extends one of ours. */
function* candidates(isFree) {
  for (const first of "etsinroachdlumpfgbwvkyxjqz") {
    for (const second of "ETSINROACHDLUMPFGBWVKYXJQZ") {
      if (isFree(first + second)) yield first + second;
    }
  }
}
