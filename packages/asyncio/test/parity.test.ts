// The parity ledger, docs/parity.md, is complete and true: see scripts/parity.mjs.

import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";

interface Row {
  readonly number: number;
  readonly behaviour: string;
  readonly verdict: "same" | "deviates" | "does not apply" | "not yet";
  readonly why?: string;
  readonly isCore: boolean;
  readonly tests: { readonly file: string; readonly title: string }[];
}

interface Generator {
  readonly page: string;
  readLedger(): Row[];
  readPins(): Map<number, unknown>;
  formatLedger(ledger: Row[]): string;
}

const script = new URL("../../../scripts/parity.mjs", import.meta.url);
const { page, readLedger, readPins, formatLedger }: Generator = await import(script.href);
const ledger = readLedger();
const verdicts = ["same", "deviates", "does not apply", "not yet"];

/** Features that are still to be built: streams, subprocesses, executors, the call graph. */
const comesLater = [150, 151, 183, 187, ...range(195, 200)];

test("has every number once, in order", () => {
  assert.deepEqual(
    ledger.map(({ number }) => number),
    range(1, 200),
  );
});

test("says of each behaviour what it is and whether it is the same here", () => {
  const wrong = ledger.filter(
    ({ behaviour, verdict }) => !/^\S.*\.$/.test(behaviour) || !verdicts.includes(verdict),
  );

  assert.deepEqual(wrong, []);
});

test("says why, where a behaviour is not the same", () => {
  const unexplained = ledger.filter(({ verdict, why }) => verdict !== "same" && !why);

  assert.deepEqual(unexplained, []);
});

test("names a test for each behaviour that is the same or deviates", () => {
  const unpinned = ledger.filter(
    ({ verdict, tests }) => ["same", "deviates"].includes(verdict) && tests.length === 0,
  );

  assert.deepEqual(
    unpinned.map(({ number }) => number),
    [],
  );
});

test("says of nothing that it is not there yet, or does not apply, that a test pins", () => {
  const pinned = ledger.filter(
    ({ verdict, tests }) => !["same", "deviates"].includes(verdict) && tests.length > 0,
  );

  assert.deepEqual(pinned, []);
});

test("puts off nothing but what comes with features of its own", () => {
  const putOff = ledger.filter(({ verdict }) => verdict === "not yet");

  assert.deepEqual(
    putOff.map(({ number }) => number).filter((number) => !comesLater.includes(number)),
    [],
  );
});

test("has a core set of 113, each the same or a deviation that the design names", () => {
  const core = ledger.filter(({ isCore }) => isCore);
  const named = /\b(?:[RFD]\d+|design (?:model|deviations))\b/;
  const wrong = core.filter(
    ({ verdict, why = "" }) =>
      verdict === "does not apply" || (verdict === "deviates" && !named.test(why)),
  );

  assert.equal(core.length, 113);
  assert.deepEqual(wrong, []);
});

test("no test pins a number that there is not", () => {
  assert.deepEqual(
    [...readPins().keys()].filter((number) => number < 1 || number > 200),
    [],
  );
});

test("docs/parity.md is what the generator gives", () => {
  const now = formatLedger(ledger);
  if (process.env.UPDATE_SNAPSHOT === "1") writeFileSync(page, now);

  const before = existsSync(page) ? readFileSync(page, "utf8") : "";

  assert.equal(now, before, "run this file with UPDATE_SNAPSHOT=1, or scripts/parity.mjs");
});

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
