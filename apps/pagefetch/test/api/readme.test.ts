/**
 * The tables of README.md are made from the source: parameters, codes, and what becomes of the
 * parameters of other services. `UPDATE_README=1` writes them. What a table stands between are
 * comments: <!-- table: NAME --> and <!-- end -->.
 */

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type Dialect, proxiesApi, scraperApi, scrapingBee, zyte } from "../../src/api/dialects.ts";
import { parameters } from "../../src/api/docs-page.ts";
import { configSchema } from "../../src/cli/config.ts";
import { errorKinds } from "../../src/contract/errors.ts";

const home = join(import.meta.dirname, "../..");
const file = join(home, "README.md");

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function dialectTable(dialect: Dialect): string {
  const rows = Object.entries(dialect.parameters).map(([name, parameter]) => [
    `\`${name}\``,
    "refused" in parameter ? `refused: ${parameter.refused}` : parameter.does,
  ]);
  return table([`parameter of ${dialect.name}`, "here"], rows);
}

const tables: Readonly<Record<string, string>> = {
  parameters: table(
    ["parameter", "what it says"],
    parameters.map(([name, text]) => [`\`${name}\``, text]),
  ),
  codes: table(
    ["code", "status", "who has to act"],
    Object.entries(errorKinds).map(([code, { status, fault }]) => [
      `\`${code}\``,
      String(status),
      fault,
    ]),
  ),
  proxiesapi: dialectTable(proxiesApi),
  scrapingbee: dialectTable(scrapingBee),
  scraperapi: dialectTable(scraperApi),
  zyte: dialectTable(zyte),
};

test("every table of README.md is what the source says", () => {
  const readme = readFileSync(file, "utf8");
  const seen: string[] = [];
  const pattern = /<!-- table: (\w+) -->\n[\s\S]*?<!-- end -->/g;
  const wanted = readme.replace(pattern, (_, name: string) => {
    seen.push(name);
    return `<!-- table: ${name} -->\n\n${tables[name]}\n\n<!-- end -->`;
  });
  assert.deepEqual(seen.sort(), Object.keys(tables).sort());
  if (process.env.UPDATE_README === "1") writeFileSync(file, wanted);
  else assert.ok(readme === wanted, "UPDATE_README=1 node --test test/api/readme.test.ts");
});

test("every parameter has a description", () => {
  assert.deepEqual(
    parameters.filter(([, text]) => text === "").map(([name]) => name),
    [],
  );
});

test("README.md names every setting of the configuration", () => {
  const readme = readFileSync(file, "utf8");
  const missing = Object.keys(configSchema.shape).filter((name) => !readme.includes(`\`${name}`));
  assert.deepEqual(missing, []);
});

test("every claim of SECURITY.md names a test that there is", () => {
  const claims = readFileSync(join(home, "SECURITY.md"), "utf8");
  const rows = claims.match(/^\| [A-Z].*\|$/gm) ?? [];
  const missing: string[] = [];
  for (const row of rows) {
    const [, path, name] = /\]\((test\/[\w/.-]+)\) "([^"]+)" \|$/.exec(row) ?? [];
    const text = path === undefined ? "" : readFileSync(join(home, path), "utf8");
    if (name === undefined || !text.includes(name)) missing.push(row);
  }
  assert.ok(rows.length > 20);
  assert.deepEqual(missing, []);
});

/** Table 1a of what their documentation lists: a parameter that is missing is told as unknown. */
const documented: readonly [Dialect, string][] = [
  [proxiesApi, "url render session use_headers country"],
  [
    scrapingBee,
    "url render_js mode wait wait_for wait_browser js_scenario premium_proxy stealth_proxy own_proxy country_code session_id forward_headers forward_headers_pure cookies device window_width window_height timeout screenshot screenshot_full_page screenshot_selector extract_rules ai_query ai_extract_rules return_page_markdown transparent_status_code",
  ],
  [
    scraperApi,
    "url render wait_for_selector instruction_set premium ultra_premium country_code session_number keep_headers device_type retry_404 binary_target screenshot autoparse output_format max_cost",
  ],
  [
    zyte,
    "url browserHtml httpResponseBody javascript actions ipType geolocation session sessionContext customHttpRequestHeaders requestHeaders requestCookies responseCookies device httpRequestMethod httpRequestBody httpRequestText screenshot product article",
  ],
];
for (const [dialect, names] of documented) {
  test(`each documented parameter of ${dialect.name} is translated or refused by name`, () => {
    const missing = names.split(" ").filter((name) => !Object.hasOwn(dialect.parameters, name));
    assert.deepEqual(missing, []);
  });
}
