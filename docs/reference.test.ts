// The reference is made of the doc comments, so each public name has one that says enough. The
// names are read from the types of the public doors, so that nothing new can be forgotten. The
// rules are those of CONTRIBUTING, "Doc comments". A test that fails lists what is missing, and
// where.

import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  API,
  SignatureKind,
  SymbolFlags,
  type Type,
  type Symbol as TypeSymbol,
} from "typescript/unstable/sync";

const root = fileURLToPath(new URL("..", import.meta.url));
const src = join(root, "packages/asyncio/src/");
/** The doors, and what examples call them. */
const doors = {
  index: "asyncio",
  executors: "executors",
  lowlevel: "lowlevel",
  patterns: "patterns",
  testing: "testing",
  worker: "worker",
};
const pages = ["README.md", ...globSync("docs/**/*.md", { cwd: root })];

/**
 * Numbers that count something. Every other `number` is a duration or a time, and its unit has to
 * be told.
 */
const counts = new Set(
  (
    "ahead attempt attempts available backlog burst busy bytesWritten capacity completed " +
    "connections consumed count depth deviations distinct dropped exitCode expected factor " +
    "failedHandshakes gid highWaterMark index interleave iterations jobs length limit loss " +
    "lowWaterMark max maxConnections maxMemoryMb maxQueue maxsize maxSteps maxTasksPerWorker " +
    "maxWorkers megabytes min minWorkers missed most nWaiting parties permits pid places port " +
    "position priority probes queued queueSize ratio receiveBufferSize replaced replay " +
    "returncode running runs schedule schedules seed sendBufferSize share size steps uid unsent " +
    "value weight"
  ).split(" "),
);

/** What is in code that they call, and not on their way. */
const neverThrown: Record<string, readonly string[]> = {
  "asyncio.StreamReader.readLine": ["IncompleteReadError"], // that of `readUntil`
  "asyncio.StreamReader.lines": ["IncompleteReadError"],
};

/** A public name, or a public member of one. */
interface Entry {
  /** As a program writes it: `asyncio.Queue`, `asyncio.Queue.get`. */
  readonly name: string;
  readonly place: string;
  /** What comes before the first tag. */
  readonly summary: string;
  /** The doc comment as a whole; of a class, that of its constructor as well. */
  readonly text: string;
  /** False for members. */
  readonly isExported: boolean;
  readonly isValue: boolean;
  /** Of a function or a method. Without `options`: each of them has its own doc comment. */
  readonly parameters: readonly string[];
  /** Parameters that are numbers, or the name itself if it is one. */
  readonly numbers: readonly string[];
  /** Its declarations, without comments; of a class nothing, as its members have their own. */
  readonly code: string;
  readonly file: string;
}

const sources = new Map(
  globSync("**/*.ts", { cwd: src }).map((file) => [
    join(src, file),
    withoutComments(read(join(src, file))),
  ]),
);
const entries = readEntries();
const errorNames = entries
  .filter(({ name }) => /^\w+\.\w+\.code$/.test(name))
  .map(({ name }) => name.split(".")[1] ?? "");

test("every public name, and every public member of one, has a summary", () => {
  check(({ name, summary }) =>
    summary.trim() !== "" || /\.code$/.test(name) ? [] : ["a summary"],
  );
});

test("of several parameters, each is named in the doc comment", () => {
  check(({ name, text, parameters }) => {
    const isMadeByLibrary = errorNames.includes(name.split(".")[1] ?? "");
    const isNamed = (parameter: string): boolean =>
      new RegExp(`\`[^\`]*\\b${parameter}\\b[^\`]*\`|@param ${parameter}\\b`).test(text);
    return isMadeByLibrary || parameters.length < 2
      ? []
      : parameters.filter((parameter) => !isNamed(parameter));
  });
});

test("every duration and every time has its unit", () => {
  check(({ text, numbers }) => {
    const hasUnit = /\bseconds?\b|clock of the loop/i.test(text);
    return numbers.filter((name) => !hasUnit && name !== "seconds" && !counts.has(name));
  });

  const used = new Set(entries.flatMap(({ numbers }) => numbers));
  assert.deepEqual(
    [...counts].filter((name) => !used.has(name)),
    [],
  );
});

test("every error that is thrown is in the doc comment", () => {
  const texts = new Map(entries.map(({ name, text }) => [name, text]));

  check(({ name, code, file, text }) => {
    const owner = texts.get(name.split(".").slice(0, 2).join("."));
    const errors = [...thrownIn(code, file)].filter((error) => errorNames.includes(error));
    return errors.filter(
      (error) => !`${text} ${owner}`.includes(error) && !neverThrown[name]?.includes(error),
    );
  });
});

test("every public value has an example, or is used in one of a page", () => {
  const blocks = pages.flatMap(
    (page) => read(join(root, page)).match(/^```ts.*\n[\s\S]*?^```$/gm) ?? [],
  );
  const isUsed = (name: string): boolean => {
    const [, plain] = name.split(".");
    const use = `\\b${name}\\b|import \\{[^}]*\\b${plain}\\b[^}]*\\} from "asyncio-ts`;
    return blocks.some((block) => new RegExp(use).test(block));
  };

  check(({ name, text, isExported, isValue }) =>
    isExported && isValue && !text.includes("@example") && !isUsed(name) ? ["an example"] : [],
  );
});

function check(missingIn: (entry: Entry) => string[]): void {
  const wrong = entries.flatMap((entry) => {
    const missing = missingIn(entry);
    return missing.length === 0 ? [] : [`${entry.place} ${entry.name}: ${missing.join(", ")}`];
  });

  assert.ok(wrong.length === 0, `\n${wrong.join("\n")}`);
}

/** The classes of the errors that the code throws itself, or in what it calls of its own file. */
function thrownIn(code: string, file: string): Set<string> {
  const text = sources.get(file) ?? "";
  const thrown = new Set<string>();
  const seen = new Set<string>();
  const look = (part: string): void => {
    for (const [, name = ""] of part.matchAll(/(?:throw|reject(?:ed)?\(|fail\() ?new (\w+)/g))
      thrown.add(name);
    for (const [, owner, name = ""] of part.matchAll(/(?<![.\w])(this\.)?(#?\w+)(?=\()/g)) {
      if (seen.has(name)) continue;
      seen.add(name);
      const indent = owner === undefined ? "" : "  ";
      const head = `^${indent}(?:export )?(?:async )?(?:function )?${name}[<(]`;
      const [body] = new RegExp(`${head}[\\s\\S]*?^${indent}\\}`, "m").exec(text) ?? [];
      if (body !== undefined) look(body);
    }
  };
  look(code);
  return thrown;
}

function withoutComments(code: string): string {
  return code.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
}

function read(path: string): string {
  return readFileSync(path, "utf8");
}

function readEntries(): Entry[] {
  const config = join(root, "packages/asyncio/tsconfig.json");
  const api = new API({ cwd: root });
  after(() => api.close());
  const project = api.updateSnapshot({ openProject: config }).getProject(config);
  assert.ok(project !== undefined);
  const { program, checker } = project;
  const found = new Map<string, Entry>();

  const typeOf = (symbol: TypeSymbol): Type => {
    const type = checker.getTypeOfSymbol(symbol) ?? assert.fail();
    return checker.getNonNullableType(type) ?? type;
  };
  const isNumber = (symbol: TypeSymbol): boolean =>
    /^(?:number|null|undefined| \| )+$/.test(checker.typeToString(typeOf(symbol)));
  const isPublic = (member: TypeSymbol): boolean =>
    !/^__|^#|^prototype$/.test(member.name) &&
    !checker.getJsDocTagsOfSymbol(member).some(({ name }) => name === "internal");
  const commentOf = (symbol: TypeSymbol): string =>
    [
      checker.getDocumentationCommentOfSymbol(symbol),
      ...checker.getJsDocTagsOfSymbol(symbol).map(({ name, text }) => `@${name} ${text}`),
    ].join("\n");

  const add = (name: string, symbol: TypeSymbol, isExported: boolean): void => {
    const declarations = symbol.declarations.map((one) => one.resolve(project) ?? assert.fail());
    const [declaration] = declarations;
    const file = declaration?.getSourceFile();
    if (declaration === undefined || file === undefined || !file.fileName.startsWith(src)) return; // inherited from the host
    const line = file.text.slice(0, declaration.getStart()).split("\n").length;
    const place = `${relative(root, file.fileName)}:${line}`;
    if (found.has(place)) return; // inherited from one of ours
    const isClass = (symbol.flags & SymbolFlags.Class) !== 0;
    const isProperty = (symbol.flags & SymbolFlags.Property) !== 0;
    const isValue = (symbol.flags & SymbolFlags.Value) !== 0;
    const maker = isClass ? symbol.getMembers().get("__constructor" as never) : undefined;
    const isCalled =
      isValue && (maker === undefined || isPublic({ ...maker, name: "new" } as TypeSymbol));
    const kind = isClass ? SignatureKind.Construct : SignatureKind.Call;
    const signatures = isCalled ? checker.getSignaturesOfType(typeOf(symbol), kind) : [];
    const parameters = signatures.flatMap((signature) => signature.getParameters());
    const ownNumber = isValue && !isClass && isNumber(symbol) ? [symbol.name] : [];
    found.set(place, {
      name,
      place,
      summary: checker.getDocumentationCommentOfSymbol(symbol),
      text: [symbol, ...(maker === undefined ? [] : [maker])].map(commentOf).join("\n"),
      isExported,
      isValue,
      parameters: (isProperty ? [] : namesOf(parameters)).filter(
        (one) => one !== "options" && !one.startsWith("_"),
      ),
      numbers: [...ownNumber, ...namesOf(parameters.filter(isNumber))],
      code: isClass ? "" : declarations.map((one) => withoutComments(one.getText())).join("\n"),
      file: file.fileName,
    });
  };

  for (const [door, namespace] of Object.entries(doors)) {
    const file = program.getSourceFile(`${src}${door}.ts`) ?? assert.fail();
    const module = checker.getSymbolAtLocation(file) ?? assert.fail();
    for (const exported of checker.getExportsOfModule(module)) {
      const isAlias = (exported.flags & SymbolFlags.Alias) !== 0;
      const symbol = isAlias ? checker.getAliasedSymbol(exported) : exported;
      const name = `${namespace}.${exported.name}`;
      add(name, symbol, true);
      const { Class, Interface } = SymbolFlags;
      const types = [
        ...(symbol.flags & (Class | Interface) ? [checker.getDeclaredTypeOfSymbol(symbol)] : []),
        ...(symbol.flags & Class ? [typeOf(symbol)] : []),
      ];
      for (const member of types.flatMap((type) => checker.getPropertiesOfType(type)))
        if (isPublic(member)) add(`${name}.${member.name}`, member, false);
    }
  }
  return [...found.values()];
}

function namesOf(symbols: readonly TypeSymbol[]): string[] {
  return [...new Set(symbols.map(({ name }) => name))];
}
