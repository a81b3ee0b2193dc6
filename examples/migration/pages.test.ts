// The programs of docs/guide/migration that are written for other libraries print what the pages
// say that they print. docs/examples.test.ts runs ours, whose output stands in the same place.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { after, suite, test } from "node:test";
import { promisify } from "node:util";

const pages = globSync(join(import.meta.dirname, "../../docs/guide/migration/*.md")).sort();
mkdirSync(join(import.meta.dirname, ".examples"), { recursive: true });
const folder = mkdtempSync(join(import.meta.dirname, ".examples/run-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const pair = /^```js theirs\n([\s\S]*?)^```\n+```ts\n[\s\S]*?^```\n+```text\n([\s\S]*?)^```$/gm;

for (const page of pages) {
  suite(basename(page), () => {
    const text = readFileSync(page, "utf8");
    const pairs = [...text.matchAll(pair)];

    test("each of their programs has one of ours, and an output", () => {
      assert.equal(pairs.length, text.match(/^```js theirs$/gm)?.length);
    });

    for (const [index, [, code = "", output = ""]] of pairs.entries()) {
      const [, library = "?"] = /from "([^"]+)"/.exec(code) ?? [];
      test(`${library}: program ${index + 1}`, async () => {
        const file = join(folder, `${basename(page, ".md")}-${index}.mjs`);
        const header = 'import { setTimeout as delay } from "node:timers/promises";\n';
        writeFileSync(file, `${header}${code}`);

        const { stdout, stderr } = await promisify(execFile)(process.execPath, [file], {
          timeout: 20_000,
        });

        assert.deepEqual([stdout, stderr], [output, ""]);
      });
    }
  });
}
