import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { builtInRules, classify, threshold } from "../../src/classify/classify.ts";
import { ENOUGH, featuresOf } from "../../src/classify/features.ts";
import { RuleError, readRules, verdictKinds } from "../../src/classify/rules.ts";
import { corpus } from "./corpus.ts";

describe("each specimen", () => {
  for (const { name, kind, vendor, answer } of corpus) {
    test(`${kind}: ${name}`, () => {
      const verdict = classify(answer);
      assert.equal(verdict?.kind ?? "page", kind, JSON.stringify(verdict));
      assert.equal(verdict?.vendor, vendor, JSON.stringify(verdict));
      if (verdict !== undefined) {
        assert.ok(verdict.confidence >= threshold && verdict.confidence < 1);
        assert.ok(verdict.evidence.length > 0);
        assert.equal(verdict.rules, builtInRules.version);
      }
    });
  }
});

test("the confusion matrix has nothing beside its diagonal", (context) => {
  const names = [...verdictKinds, "page"] as const;
  const matrix = new Map(names.map((row) => [row, new Map(names.map((column) => [column, 0]))]));
  for (const { kind, answer } of corpus) {
    const found = classify(answer)?.kind ?? "page";
    const row = matrix.get(kind);
    row?.set(found, (row.get(found) ?? 0) + 1);
  }
  const width = 12;
  const lines = [["is \\ found", ...names].map((name) => name.padEnd(width)).join("")];
  for (const [kind, row] of matrix) {
    lines.push([kind, ...row.values()].map((cell) => String(cell).padEnd(width)).join(""));
  }
  context.diagnostic(`\n${lines.join("\n")}`);
  for (const [kind, row] of matrix) {
    for (const [found, count] of row) assert.ok(kind === found || count === 0, lines.join("\n"));
    assert.ok((row.get(kind) ?? 0) >= 3, `three specimens of ${kind} at least`);
  }
});

test("every built-in rule is used by a specimen or is one of several words of a vendor", () => {
  const used = new Set(corpus.flatMap(({ answer }) => classify(answer)?.evidence ?? []));
  const vendors = new Set(corpus.map(({ vendor }) => vendor));
  const idle = builtInRules.rules.filter(
    ({ id, vendor }) => !used.has(id) && vendor !== undefined && !vendors.has(vendor),
  );
  assert.ok(idle.length < builtInRules.rules.length / 4, idle.map(({ id }) => id).join(", "));
});

test("witnesses of one vendor add up, and the status speaks for each vendor", () => {
  const base = { requestedUrl: "https://a.example/", url: "https://a.example/" };
  const rules = readRules({
    version: "t",
    rules: [
      { id: "one", kind: "block", vendor: "v", weight: 0.6, when: [{ text: "no" }] },
      { id: "two", kind: "block", weight: 0.6, when: [{ status: [403] }] },
    ],
  });
  const verdict = classify({ ...base, status: 403, headers: [], body: "no" }, rules);
  assert.deepEqual(verdict, {
    kind: "block",
    vendor: "v",
    confidence: 0.84,
    evidence: ["one", "two"],
    rules: "t",
  });
  assert.equal(classify({ ...base, status: 403, headers: [], body: "" }, rules)?.vendor, undefined);
});

test("what a browser shows counts in place of what the source holds", () => {
  const base = { requestedUrl: "https://a.example/", url: "https://a.example/", status: 200 };
  const body = '<html><script src="/a.js"></script><div id="root"></div></html>';
  assert.equal(classify({ ...base, headers: [], body })?.kind, "empty_shell");
  assert.equal(
    classify({ ...base, headers: [], body, visibleText: "Hello. ".repeat(300) }),
    undefined,
  );
});

describe("a page is read until it cannot be anything else", () => {
  const field = '<input type="password" id="late">';
  const base = { requestedUrl: "https://a.example/", url: "https://a.example/", status: 200 };
  const pageOf = (body: string) => featuresOf({ ...base, headers: [], body }).page;
  const cases: [string, string, boolean][] = [
    ["a short text", `<p>${"a b ".repeat(1000)}</p>`, true],
    ["a long text", `<p>${"a b ".repeat(1100)}</p>`, false],
    ["what nobody sees is no text", `<script>${"a b ".repeat(2000)}</script>`, true],
    ["elements that end", "<div><br></div>".repeat(1000), true],
    ["elements that nest too deep", "<div>".repeat(1000), false],
  ];
  for (const [name, body, isSeen] of cases) {
    test(name, () => {
      const page = pageOf(`<html>${body}${field}`);
      assert.equal(page.hasPasswordField, isSeen);
      assert.equal(page.marks.includes("late"), isSeen);
    });
  }

  test("a text that is longer is as long as no rule asks for", () => {
    const { text, textLength } = pageOf(`<p>${"a b ".repeat(4000)}</p>`);
    assert.ok(text.length > 4000 && text.length <= ENOUGH);
    assert.ok(textLength >= ENOUGH);
    const condition = { textBelow: ENOUGH + 1 };
    const rule = { id: "x", kind: "block", weight: 0.5, when: [condition] };
    assert.throws(() => readRules({ version: "1", rules: [rule] }), /"textBelow" is 4096 at most/);
  });
});

describe("pages that want to be expensive", () => {
  const nested = "<div>".repeat(200_000);
  const cases = {
    "one tag that never ends": `<div ${"a=b ".repeat(400_000)}`,
    "a tree 200,000 deep": nested,
    "one word a million times": "access denie".repeat(100_000),
    "white space": `<html><p>${" ".repeat(2_000_000)}</p>`,
    "scripts that do not close": "<script>".repeat(200_000),
    "half a comment": `<!--${"-".repeat(1_000_000)}`,
  };
  for (const [name, body] of Object.entries(cases)) {
    test(name, () => {
      // A reading that is not linear in 512 Ki characters would not come to an end here.
      const features = featuresOf({
        requestedUrl: "https://a.example/",
        url: "https://a.example/",
        status: 200,
        headers: [["content-type", "text/html"]],
        body,
      });
      const { title, text, scripts, marks } = features.page;
      const kept = [title, text, scripts, marks];
      assert.ok(kept.join("").length <= 120 * 1024);
    });
  }
});

describe("rules that cannot be used are refused with the place", () => {
  const rule = { id: "x", kind: "block", weight: 0.5, when: [{ status: [403] }] };
  const cases: [string, unknown, RegExp][] = [
    ["no object", [], /expected \{ "version"/],
    ["no version", { rules: [] }, /version/],
    ["two of one id", { version: "1", rules: [rule, rule] }, /two rules have the id "x"/],
    ["unknown kind", { version: "1", rules: [{ ...rule, kind: "ban" }] }, /rule "x": "kind"/],
    ["weight of 1", { version: "1", rules: [{ ...rule, weight: 1 }] }, /"weight"/],
    ["weight NaN", { version: "1", rules: [{ ...rule, weight: Number.NaN }] }, /"weight"/],
    ["no condition", { version: "1", rules: [{ ...rule, when: [] }] }, /no condition/],
    [
      "unknown condition",
      { version: "1", rules: [{ ...rule, when: [{ regex: ".*" }] }] },
      /unknown condition "regex"/,
    ],
    ["unknown key", { version: "1", rules: [{ ...rule, note: "" }] }, /unknown key "note"/],
    ["upper case", { version: "1", rules: [{ ...rule, when: [{ title: "No" }] }] }, /lower case/],
    ["an empty word", { version: "1", rules: [{ ...rule, when: [{ title: "" }] }] }, /1 to 200/],
    [
      "has without header",
      { version: "1", rules: [{ ...rule, when: [{ has: "a" }] }] },
      /"has" needs/,
    ],
    [
      "status of words",
      { version: "1", rules: [{ ...rule, when: [{ status: ["a"] }] }] },
      /"status"/,
    ],
  ];
  for (const [name, json, message] of cases) {
    test(name, () => {
      assert.throws(
        () => readRules(json),
        (error) => {
          assert.ok(error instanceof RuleError);
          assert.equal(error.code, "bad_rules");
          assert.match(error.message, message);
          return true;
        },
      );
    });
  }
});
