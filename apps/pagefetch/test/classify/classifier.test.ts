import assert from "node:assert/strict";
import { test } from "node:test";
import { createClassifier } from "../../src/classify/classifier.ts";
import { readRules } from "../../src/classify/rules.ts";

const url = new URL("https://forum.example/login");
const html = [["content-type", "text/html"]] as const;

test("it wants the beginning of what may be a page, and nothing of the rest", () => {
  const classifier = createClassifier();
  assert.ok(classifier.wants({ url, status: 200, headers: html }) > 0);
  assert.ok(classifier.wants({ url, status: 200, headers: [] }) > 0);
  assert.equal(classifier.wants({ url, status: 200, headers: [["content-type", "image/png"]] }), 0);
});

test("a login page is a wall only for who has asked for something else", () => {
  const classifier = createClassifier();
  const page = new TextEncoder().encode('<form><input type="password"></form>');
  const asked = { url, status: 200, headers: html };
  assert.equal(classifier.judge(asked, page).kind, "page");
  const requested = new URL("https://forum.example/thread/9");
  assert.equal(classifier.judge({ ...asked, requested }, page).kind, "login_wall");
});

test("a refusal without a body is told by its head", () => {
  const verdict = createClassifier().judge({ url, status: 429, headers: [] }, new Uint8Array());
  assert.equal(verdict.kind, "rate_limit");
});

test("new rules are used from the next answer on", () => {
  const classifier = createClassifier();
  const page = new TextEncoder().encode("<html><p>closed on sundays</p></html>");
  const answer = { url, status: 200, headers: html };
  assert.equal(classifier.judge(answer, page).kind, "page");
  const rule = { id: "sunday", kind: "block", weight: 0.9, when: [{ text: "closed on sundays" }] };
  classifier.use(readRules({ version: "2", rules: [rule] }));
  assert.deepEqual(classifier.judge(answer, page).evidence, ["sunday"]);
});
