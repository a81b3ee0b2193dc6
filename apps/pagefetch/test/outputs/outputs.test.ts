import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { InlineExecutor, module } from "asyncio-ts/executors";
import { runTest } from "asyncio-ts/testing";
import { createOutputs, type OutputOptions, type Outputs } from "../../src/outputs/outputs.ts";
import { readExtractRules } from "../../src/outputs/rules.ts";
import { extract, toLinks, toMarkdown, toText } from "../../src/outputs/work.ts";

const page = `<!doctype html><html><head><title>Lamps</title><style>p{}</style></head><body>
<h1>Lamps  of
 the house</h1><p>Two <b>lamps</b>.</p><script>var hidden = 1;</script>
<ul><li>Red</li><li>Blue</li></ul>
<a href="/red#top" rel="nofollow">The <i>red</i> one</a> <a href="red">again</a>
<a href="mailto:a@b.example">mail</a><a href="javascript:x()">no</a><a>nothing</a>
<div class="offer"><span class="price">3</span><img src="a.png"></div>
<div class="offer"><span class="price">4</span></div>
<table><tr><th>Name</th><th>Watt</th></tr><tr><td>Red</td><td>40</td></tr></table></body></html>`;
const base = "https://shop.example/lamps/";

describe("what a worker does", () => {
  test("text is what a reader sees, a line for each block", () => {
    assert.equal(
      toText(page),
      "Lamps of the house\nTwo lamps.\nRed\nBlue\nThe red one again mailnonothing\n3\n4\nName\tWatt\nRed\t40",
    );
  });

  test("markdown keeps headings, lists and links, and leaves scripts out", () => {
    const markdown = toMarkdown(page);
    assert.match(markdown, /^# Lamps of the house/m);
    assert.match(markdown, /^-\s+Red$/m);
    assert.match(markdown, /\*\*lamps\*\*/);
    assert.doesNotMatch(markdown, /hidden|p\{\}/);
  });

  test("links are absolute, each once, and pages only", () => {
    assert.deepEqual(toLinks(page, base), [
      { url: "https://shop.example/red", text: "The red one", rel: "nofollow" },
      { url: "https://shop.example/lamps/red", text: "again" },
    ]);
    const other = '<base href="https://cdn.example/x/"><a href="y">y</a>';
    assert.equal(toLinks(other, base)[0]?.url, "https://cdn.example/x/y");
  });

  test("rules take out values, lists, attributes, tables and what is within", () => {
    const rules = readExtractRules({
      title: "h1",
      none: "h2",
      image: "img@src",
      items: { selector: "li", type: "list" },
      offers: { selector: ".offer", type: "list", output: { price: ".price", image: "img@src" } },
      table: { selector: "table", output: "table_json" },
      rows: { selector: "table", output: "table_array" },
      bold: { selector: "b", output: "html" },
    });
    assert.deepEqual(JSON.parse(JSON.stringify(extract(page, rules, base))), {
      title: "Lamps of the house",
      none: null,
      image: "https://shop.example/lamps/a.png",
      items: ["Red", "Blue"],
      offers: [
        { price: "3", image: "https://shop.example/lamps/a.png" },
        { price: "4", image: null },
      ],
      table: [{ Name: "Red", Watt: "40" }],
      rows: [
        ["Name", "Watt"],
        ["Red", "40"],
      ],
      bold: "<b>lamps</b>",
    });
  });

  test("a page a hundred thousand elements deep has a text", () => {
    assert.equal(toText(`${"<div>".repeat(100_000)}deep`), "deep");
  });

  test("names of rules cannot reach into objects", () => {
    const rules = readExtractRules(JSON.parse('{ "__proto__": "h1", "constructor": "h1" }'));
    const found = JSON.stringify(extract(page, rules, base));
    assert.match(found, /"__proto__":"Lamps of the house"/);
    assert.equal(({} as Record<string, unknown>).title, undefined);
  });
});

describe("rules that cannot be used are refused by name", () => {
  const deep = JSON.parse(
    `${'{"a":{"selector":"b","output":'.repeat(6)}{"c":"d"}${"}}".repeat(6)}`,
  );
  const table: [unknown, RegExp][] = [
    [[], /object of rules/],
    ["h1", /object of rules/],
    [{}, /no rule/],
    [{ a: 1 }, /extract\.a/],
    [{ a: { type: "list" } }, /"selector" is missing/],
    [{ a: { selector: "b", kind: "list" } }, /unknown key "kind"/],
    [{ a: { selector: "b", type: "all" } }, /"type"/],
    [{ a: { selector: "b", output: "png" } }, /"output"/],
    [{ a: "//h1" }, /XPath/],
    [{ a: "" }, /1 to 500/],
    [{ a: "b".repeat(501) }, /1 to 500/],
    [{ a: "h1:not(" }, /extract\.a: expected a CSS selector, got "h1:not\(": Missing closing/],
    [{ a: "h1[@src" }, /extract\.a: expected a CSS selector, got "h1\[": Expected name/],
    [{ a: { selector: "p:eq(0)", type: "list" } }, /extract\.a: .* Unknown pseudo-class :eq/],
    [
      { a: { selector: "b", output: { c: "d::before" } } },
      /extract\.a\.output\.c: .* not supported/,
    ],
    [{ a: `${":not(".repeat(11)}a${")".repeat(11)}` }, /10 deep/],
    [deep, /5 deep/],
    [Object.fromEntries(Array.from({ length: 201 }, (_, n) => [n, "a"])), /more than 200/],
  ];
  for (const [json, message] of table) {
    test(String(message), () => {
      assert.throws(() => readExtractRules(json), { code: "bad_request", message });
    });
  }
});

/** With processes, which are the subject here. */
async function withOutputs(
  options: OutputOptions,
  body: (outputs: Outputs) => Promise<void>,
): Promise<void> {
  await asyncio.run(async () => {
    await using outputs = createOutputs(options);
    await body(outputs);
  });
}

describe("in processes of their own", () => {
  test("pages are worked on", async () => {
    await withOutputs({}, async (outputs) => {
      assert.match(await outputs.text(page), /^Lamps of the house/);
      assert.match(await outputs.markdown(page), /^# Lamps/m);
      assert.equal((await outputs.links(page, base)).length, 2);
      const good = readExtractRules({ a: "h1" });
      const found = await outputs.extract(page, good, base);
      assert.deepEqual({ ...(found as object) }, { a: "Lamps of the house" });
    });
  });

  test("a page that takes too long is stopped, and the next one is served", async () => {
    await withOutputs({ maxWorkers: 1, timeout: 1 }, async (outputs) => {
      const slow = `<p>${"<i><b>x</b></i>".repeat(20_000)}</p>`;
      const rules = readExtractRules({ a: { selector: ":has(:has(:has(u)))", type: "list" } });
      await assert.rejects(outputs.extract(`${"<div>".repeat(3000)}${slow}`, rules, base), {
        code: "timeout",
        details: { phase: "consume", limit: { name: "outputs.timeout", value: 1 } },
      });
    });
    await withOutputs({ maxWorkers: 1 }, async (outputs) => {
      assert.equal(await outputs.text("<p>next</p>"), "next");
    });
  });

  test("a page that wants too much memory costs its own worker", async () => {
    await withOutputs({ maxWorkers: 1, timeout: 60, memoryMb: 24 }, async (outputs) => {
      const large = "<p a=b c=d><i>x</i>".repeat(400_000);
      await assert.rejects(outputs.text(large), { code: "too_large" });
      assert.equal(await outputs.text("<p>next</p>"), "next");
    });
  });
});

describe("in virtual time", () => {
  const { sleep } = module<typeof asyncio>(import.meta.resolve("asyncio-ts"));

  test("a page that waits for its turn is not the page that takes too long", async () => {
    await runTest(async () => {
      const executor = new InlineExecutor();
      await using outputs = createOutputs({ timeout: 5 }, executor);
      executor.submit(sleep, 60, undefined); // as other pages would, or a process that is slow to start
      assert.equal(await outputs.text("<p>late</p>"), "late");
      assert.equal(Math.floor(asyncio.getRunningLoop().time()), 60);
    });
  });

  test("one whose caller gives up in line is never begun", async () => {
    await runTest(async () => {
      const executor = new InlineExecutor();
      await using outputs = createOutputs({ timeout: 5 }, executor);
      executor.submit(sleep, 60, undefined);
      await assert.rejects(
        asyncio.timeout(10, () => outputs.text("<p>late</p>")),
        asyncio.TimeoutError,
      );
      assert.equal(executor.stats().queued, 0);
    });
  });

  test("more than may wait are overloaded, and told which limit that is", async () => {
    await runTest(async () => {
      const executor = new InlineExecutor();
      await using outputs = createOutputs({ maxWorkers: 1, maxQueue: 1 }, executor);
      executor.submit(sleep, 60, undefined);
      const waiting = ["a", "b"].map((html) => asyncio.createTask(() => outputs.text(html)));
      await asyncio.sleep(0);
      await assert.rejects(outputs.text("c"), {
        code: "overloaded",
        details: { retryAfter: 1, limit: { name: "outputs.maxQueue", value: 1 } },
      });
      assert.deepEqual(await asyncio.gather(waiting), ["a", "b"]);
    });
  });

  test("owners take turns, however many pages one of them has", async () => {
    await runTest(async () => {
      const executor = new InlineExecutor();
      await using outputs = createOutputs({ maxWorkers: 1 }, executor);
      executor.submit(sleep, 60, undefined);
      const order: string[] = [];
      const pages = ["a1", "a2", "a3", "b1"].map((html) =>
        asyncio.createTask(async () => {
          order.push(await outputs.text(html, html.slice(0, 1)));
        }),
      );
      await asyncio.gather(pages);
      assert.deepEqual(order, ["a1", "a2", "b1", "a3"]);
    });
  });

  test("one owner may not have all places, and a cancelled page gives its place back", async () => {
    await runTest(async () => {
      const executor = new InlineExecutor();
      await using outputs = createOutputs({ maxWorkers: 1, maxQueue: 17 }, executor);
      executor.submit(sleep, 60, undefined);
      const pages = Array.from({ length: 16 }, () =>
        asyncio.createTask(() => outputs.text("a", "a")),
      );
      await asyncio.sleep(0);
      await assert.rejects(outputs.text("a", "a"), { code: "overloaded" });
      pages[5]?.cancel();
      await assert.rejects(pages[5] as Promise<unknown>, asyncio.CancelledError);
      pages[5] = asyncio.createTask(() => outputs.text("a", "a"));
      await asyncio.sleep(0);
      assert.equal(await outputs.text("b", "b"), "b");
      assert.equal((await asyncio.gather(pages)).length, 16);
    });
  });
});

test("bad options are refused by name", () => {
  assert.throws(() => createOutputs({ timeout: 0 }), /outputs\.timeout/);
  assert.throws(() => createOutputs({ memoryMb: Number.NaN }), /outputs\.memoryMb/);
});
