// The pages agree with each other and with the code: links lead somewhere, errors have a section.

import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const pages = ["README.md", ...globSync("docs/**/*.md", { cwd: root })];
const files = globSync(
  "{.ci,packages,docs,examples,scripts,bench,frameworks,runtimes,site}/**/*.*",
  {
    cwd: root,
    exclude: (name) => ["node_modules", "dist", ".examples"].includes(name),
  },
).concat(globSync("*.*", { cwd: root }));
/**
 * Files that a page names and that are not ours: the reader makes them, or they are another
 * library's.
 */
const foreignFiles: Record<string, readonly string[]> = {
  "README.md": ["main.mts"],
  "docs/design.md": ["zone.js"],
  "docs/guide/from-comlink.md": ["worker.mjs"],
  "docs/guide/from-piscina.md": ["jobs.mjs"],
  "docs/guide/from-workerpool.md": ["worker.mjs"],
  "docs/guide/fifteen-minutes.md": ["main.mts"],
  "docs/install.md": ["babel.config.json", "jest.config.json", "main.mjs", "main.mts"],
};

test("every link leads to a file and a heading that exist", () => {
  const dead = pages.flatMap((page) => linksOf(page).filter((link) => !leadsSomewhere(page, link)));

  assert.deepEqual(dead, []);
});

test("README leads to every page, in the order that the site has", () => {
  const [, readOn = ""] = read("README.md").split(/^## Read on$/m);
  const named = [...readOn.matchAll(/\]\((docs\/[\w./-]+\.md)\)/g)].map(([, page]) => page);

  assert.deepEqual(named.toSorted(), pages.slice(1).toSorted());
});

for (const page of ["CONTRIBUTING.md", ...pages]) {
  test(`every file that ${page} names exists`, () => {
    const text = read(page);
    const named = text.matchAll(
      /(?<![\w./@:-])((?:[\w.-]+\/)*[\w-][\w.-]*\.(?:[cm]?[jt]s|json|md|sh|txt|yml))(?![\w/(])/g,
    );
    const shown = [
      ...text.matchAll(/^ *```ts file=(\S+)$/gm),
      ...text.matchAll(/ ([\w-]+\.ts):\d/g),
    ];
    const known = [...shown.map(([, name]) => name), ...(foreignFiles[page] ?? [])];

    const missing = [...named].filter(
      ([, name = ""]) =>
        !/^\.\.?\//.test(name) && // of a module
        !known.includes(name) &&
        !files.some((file) => `/${file}`.endsWith(`/${name}`)),
    );

    assert.deepEqual(
      missing.map(([, name]) => name),
      [],
    );
  });
}

test("every error code of the library has a section in docs/errors.md", () => {
  const sources = globSync("packages/asyncio/src/**/*.ts", { cwd: root }).map(read).join();
  const codes = new Set(sources.match(/ERR_ASYNCIO_[A-Z_]+/g));
  const sections = headingsOf("docs/errors.md");

  assert.deepEqual(
    [...codes].filter((code) => !sections.includes(code)),
    [],
  );
});

test("every rule of docs/design.md is pinned by the test file it names", () => {
  const design = read("docs/design.md");
  const [, section = ""] = /^## The rules$([\s\S]*?)^## /m.exec(design) ?? [];
  const rules = [...section.matchAll(/^- \*\*R(\d+)\.\*\* /gm)].map(([, number]) => Number(number));
  const rows = [...section.matchAll(/^\| ([R\d, -]+) \| `([\w/.-]+)` \|$/gm)];

  const pinned = rows.flatMap(([, numbers = "", file = ""]) => {
    const text = read(`packages/asyncio/test/${file}`);
    return numbersIn(numbers).filter((number) => new RegExp(`\\bR${number}\\b`).test(text));
  });

  assert.ok(rules.length > 0);
  assert.deepEqual(
    rules.filter((number) => !pinned.includes(number)),
    [],
  );
});

test("every rule, fine point and decision that is cited is in docs/design.md, by its number", () => {
  const design = read("docs/design.md");
  const known = new Set([...design.matchAll(/^- \*\*([RFD]\d+)\.\*\*/gm)].map(([, id]) => id));
  const sources = globSync("packages/asyncio/{src,test}/**/*.ts", { cwd: root });

  const wrong = [...sources, "docs/design.md", "docs/parity.json"].flatMap((file) => {
    const prose = file.endsWith(".ts")
      ? (read(file)
          .match(/\/\/.*|^ *\/?\*.*|"[^"\n]*"/gm)
          ?.join("\n") ?? "")
      : read(file);
    const cited = [...prose.matchAll(/\b([RFD]\d{1,2})\b/g)].map(([, id = ""]) => id);
    return cited.filter((id) => !known.has(id)).map((id) => `${file}: ${id}`);
  });

  assert.deepEqual(wrong, []);
});

test("no message of the library cites the design", () => {
  const sources = globSync("packages/asyncio/src/**/*.ts", { cwd: root });

  const citing = sources.flatMap((file) => {
    const code = read(file).replaceAll(/\/\*[\s\S]*?\*\/|(?<=\s)\/\/.*/g, "");
    const texts = code.match(/"[^"\n]*"|`[^`]*`/g) ?? [];
    const numbers = texts.filter((text) => /\b[RFDS]\d{1,3}\b|\b8\.\d+\b/.test(text));
    return numbers.map((text) => `${file}: ${text}`);
  });

  assert.deepEqual(citing, []);
});

test("the glossary is in alphabetical order", () => {
  const terms = [...read("docs/glossary.md").matchAll(/^\*\*([^*]+)\*\*/gm)].map(
    ([, term]) => term,
  );

  assert.deepEqual(
    terms,
    terms.toSorted((a = "", b = "") => a.localeCompare(b)),
  );
});

test("docs/rosetta.md has 25 tasks, each in the four ways and with a remark", () => {
  const sections = read("docs/rosetta.md").split(/^## /m).slice(1);

  const wrong = sections.filter((section, index) => {
    const fences = [...section.matchAll(/^```([a-z].*)$/gm)].map(([, info = ""]) => info);
    const ways = fences.filter((info) => info !== "text").map((info) => info.split(" dies=")[0]);
    const remark = section.split(/^```$/m).at(-1) ?? "";
    return (
      !section.startsWith(`${index + 1}. `) ||
      ways.join() !== "python,js,js effect,ts" ||
      remark.trim() === ""
    );
  });

  assert.equal(sections.length, 25);
  assert.deepEqual(wrong, []);
});

/** "R1, R2, R5-R12" */
function numbersIn(list: string): number[] {
  return list
    .replaceAll("R", "")
    .split(", ")
    .flatMap((range) => {
      const [first = 0, last = first] = range.split("-").map(Number);
      return Array.from({ length: last - first + 1 }, (_, index) => first + index);
    });
}

function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

function linksOf(page: string): string[] {
  const prose = read(page).replaceAll(/^```[\s\S]*?^```$|`[^`\n]*`/gm, "");
  const links = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
  return links.filter((link) => !link.includes("://"));
}

function leadsSomewhere(page: string, link: string): boolean {
  const [path = "", heading] = link.split("#");
  const target = path === "" ? page : join(dirname(page), path);
  if (!existsSync(join(root, target))) return false;
  return heading === undefined || headingsOf(target).map(anchorOf).includes(heading);
}

function headingsOf(page: string): string[] {
  const prose = read(page).replaceAll(/^```[\s\S]*?^```$/gm, "");
  return [...prose.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => heading);
}

function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\w\s-]/g, "")
    .replaceAll(/\s/g, "-");
}
