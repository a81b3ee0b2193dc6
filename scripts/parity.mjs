// Writes docs/parity.md: for each behaviour of asyncio in docs/parity.json, whether it is the same
// here, and the tests that pin it. A test pins the numbers in its title, or in the title of a
// `describe` round it: "(S87, S92)".

import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { root } from "./install.mjs";

const tests = "packages/asyncio/test";
export const page = join(root, "docs/parity.md");

// Gives { number, behaviour, verdict, why, isCore, tests } for S1, S2, ..., in this order.
export function readLedger() {
  const { core, behaviours } = JSON.parse(readFileSync(join(root, "docs/parity.json"), "utf8"));
  const coreNumbers = new Set(numbersIn(core));
  const pins = readPins();
  return Object.entries(behaviours).map(([key, behaviour]) => {
    const number = Number(key.slice(1));
    return { ...behaviour, number, isCore: coreNumbers.has(number), tests: pins.get(number) ?? [] };
  });
}

// Numbers to the tests that pin them: { file, title }.
export function readPins() {
  const pins = new Map();
  const files = globSync("**/*.test.ts", { cwd: join(root, tests) })
    .map((file) => file.replaceAll("\\", "/"))
    .sort();
  for (const file of files) {
    for (const { title, numbers } of titlesIn(readFileSync(join(root, tests, file), "utf8"))) {
      for (const number of new Set(numbers)) {
        pins.set(number, [...(pins.get(number) ?? []), { file, title }]);
      }
    }
  }
  return pins;
}

// The titles of tests, and of suites that name numbers, each with the titles round it. Which suite
// is round which test is told by the indentation, which the formatter keeps true.
function titlesIn(text) {
  const opening = /^([ \t]*)(describe|test|onBothLoops)\(\s*(["'`])((?:\\.|(?!\3)[\s\S])*)\3/gm;
  const found = [];
  let around = [];
  for (const [, indent, kind, , raw] of text.matchAll(opening)) {
    around = around.filter((suite) => suite.indent < indent.length);
    const own = raw.replaceAll(/\\(.)/g, "$1");
    const title = [...around.map((suite) => suite.title), own].map(withoutNumbers).join(": ");
    const numbers = [...own.matchAll(/\bS(\d+)\b/g)].map(([, number]) => Number(number));
    if (numbers.length > 0) found.push({ title, numbers });
    if (kind === "describe") around.push({ indent: indent.length, title: own });
  }
  return found;
}

function withoutNumbers(title) {
  return title.replace(/ \((?:S\d+(?:, )?)+\)$/, "").replace(/^S\d+: /, "");
}

// "1, 2, 5-7"
function numbersIn(list) {
  return list.split(", ").flatMap((range) => {
    const [first, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

export function formatLedger(ledger) {
  const count = (verdict) => ledger.filter((row) => row.verdict === verdict).length;
  const rows = ledger.map((row) => {
    const number = row.isCore ? `**S${row.number}**` : `S${row.number}`;
    const pins = row.tests.map(({ file, title }) => `\`${file}\`: ${cell(title)}`);
    const why = [...(row.why === undefined ? [] : [cell(row.why)]), ...pins].join("<br>");
    return `| ${number} | ${cell(row.behaviour)} | ${row.verdict} | ${why} |`;
  });
  return `<!-- Written by scripts/parity.mjs from docs/parity.json and the titles of the tests: do not edit. -->

# Parity with Python's asyncio

What CPython's asyncio does, as its own tests pin it, and what is done here: ${ledger.length} behaviours, of which
${count("same")} are the same, ${count("deviates")} deviate on purpose, ${count("not yet")} are not there yet and ${count("does not apply")} do not apply. Numbers in bold are the
core set, which is the same or deviates as the [design](design.md) says. R20 is one of its [rules](design.md#the-rules), F14 one
of its [fine points](design.md#fine-points); "model" and "deviations" are its [model](design.md#the-model) and its
[table](design.md#deviations-from-pythons-asyncio).

"Same" is told from what a program sees. Names are in camelCase, a block is a function that takes a body, and errors are those
of JavaScript: a wrong argument is a \`TypeError\` or a \`RangeError\`, a wrong state is an \`InvalidStateError\`.

The tests are in \`${tests}\`. A test whose title names a number pins it; nothing is called the same, or a deviation,
without one.

| | asyncio | here | why, and the tests that pin it |
|---|---|---|---|
${rows.join("\n")}
`;
}

function cell(text) {
  return text
    .replaceAll("|", "\\|")
    .replaceAll("<", "&lt;")
    .replaceAll(/\$\{[^}]*\}/g, "...");
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  writeFileSync(page, formatLedger(readLedger()));
}
