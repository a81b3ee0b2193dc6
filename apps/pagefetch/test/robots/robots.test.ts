import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MAX_BYTES, parseRobots } from "../../src/robots/parse.ts";
import { rulesFor, verdict } from "../../src/robots/verdict.ts";

function ask(file: string, path: string, token = "foobot") {
  const rules = rulesFor(parseRobots(new TextEncoder().encode(file)), token);
  return verdict(rules, new URL(path, "https://example.org"));
}

const conformance: readonly (readonly [string, string, string, boolean])[] = [
  // RFC 9309, 2.2.1: groups
  ["no group is for us", "User-agent: barbot\nDisallow: /", "/x", true],
  ["the group of all", "User-agent: *\nDisallow: /", "/x", false],
  [
    "our own group hides that of all",
    "User-agent: *\nDisallow: /\n\nUser-agent: foobot\nDisallow: /p",
    "/x",
    true,
  ],
  [
    "our own empty group hides it, too",
    "User-agent: *\nDisallow: /\nUser-agent: foobot\n",
    "/x",
    true,
  ],
  [
    "an own group with an empty rule hides it",
    "User-agent: *\nDisallow: /\nUser-agent: foobot\nDisallow:",
    "/x",
    true,
  ],
  ["letters in either case", "user-AGENT: FooBot\nDISALLOW: /x", "/x", false],
  [
    "groups of one token are one",
    "User-agent: foobot\nDisallow: /a\nUser-agent: barbot\nDisallow: /b\nUser-agent: foobot\nDisallow: /c",
    "/c",
    false,
  ],
  [
    "groups of all are one",
    "User-agent: *\nDisallow: /a\nUser-agent: barbot\nDisallow: /b\nUser-agent: *\nDisallow: /c",
    "/a",
    false,
  ],
  ["two tokens, one group", "User-agent: barbot\nUser-agent: foobot\nDisallow: /x", "/x", false],
  ["an empty line does not end a group", "User-agent: foobot\n\nDisallow: /x", "/x", false],
  ["a token is whole, not a start", "User-agent: foo\nDisallow: /", "/x", true],
  ["rules before any group mean nothing", "Disallow: /\nUser-agent: foobot\nAllow: /", "/x", true],
  // RFC 9309, 2.2.2 and 5.2: the longest match
  [
    "the longest match allows",
    "User-agent: foobot\nAllow: /example/page/\nDisallow: /example/",
    "/example/page/1",
    true,
  ],
  [
    "the longest match forbids",
    "User-agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif",
    "/example/page/disallowed.gif",
    false,
  ],
  ["of the same length, allowing wins", "User-agent: foobot\nDisallow: /x\nAllow: /x", "/x", true],
  ["order does not count", "User-agent: foobot\nDisallow: /\nAllow: /x", "/x", true],
  ["a pattern is a start", "User-agent: foobot\nDisallow: /fish", "/fishheads/yummy.html", false],
  ["case counts in paths", "User-agent: foobot\nDisallow: /fish", "/Fish.asp", true],
  ["the query is part of it", "User-agent: foobot\nDisallow: /x?id=", "/x?id=1", false],
  ["the fragment is not", "User-agent: foobot\nDisallow: /x$", "/x#part", false],
  ["/robots.txt is always allowed", "User-agent: *\nDisallow: /", "/robots.txt", true],
  // RFC 9309, 2.2.3: special characters
  ["$ is the end", "User-agent: foobot\nDisallow: /x$", "/x/y", true],
  ["$ is the end of exactly that", "User-agent: foobot\nDisallow: /x$", "/x", false],
  ["* is anything", "User-agent: foobot\nDisallow: /*.gif$", "/a/b.gif", false],
  [
    "* is anything, but the end is the end",
    "User-agent: foobot\nDisallow: /*.gif$",
    "/a/b.gif?x",
    true,
  ],
  ["* is also nothing", "User-agent: foobot\nDisallow: /a*b", "/ab", false],
  ["the end is not used twice", "User-agent: foobot\nDisallow: /a*a$", "/a", true],
  ["several stars are one", "User-agent: foobot\nDisallow: /a***c", "/abc", false],
  ["a star at the start", "User-agent: foobot\nDisallow: *private", "/very/private", false],
  ["a $ in the middle is a dollar", "User-agent: foobot\nDisallow: /a$b", "/a$b", true],
  ["an encoded star is a star", "User-agent: foobot\nDisallow: /a%2Ab", "/a*b", false],
  ["an encoded star is no wildcard", "User-agent: foobot\nDisallow: /a%2Ab", "/axb", true],
  ["a comment ends a line", "User-agent: foobot # me\nDisallow: /x # private", "/x", false],
  [
    "a hash begins a comment, even in a pattern",
    "User-agent: foobot\nDisallow: /x#y",
    "/xz",
    false,
  ],
  // RFC 9309, 2.2.2: spellings
  ["an encoded tilde", "User-agent: foobot\nDisallow: /%7Ejoe", "/~joe/", false],
  ["a tilde, encoded in the URL", "User-agent: foobot\nDisallow: /~joe", "/%7Ejoe/", false],
  ["letters beyond ASCII", "User-agent: foobot\nDisallow: /ツ", "/%E3%83%84", false],
  ["letters beyond ASCII, encoded", "User-agent: foobot\nDisallow: /%E3%83%84", "/ツ", false],
  ["hex digits in either case", "User-agent: foobot\nDisallow: /%e3%83%84", "/ツ", false],
  ["an encoded slash is no slash", "User-agent: foobot\nDisallow: /a%2Fb", "/a/b", true],
  [
    "encoded plain letters",
    "User-agent: foobot\nDisallow: /foo/bar/%62%61%7A",
    "/foo/bar/baz",
    false,
  ],
  // What Google's parser tolerates
  [
    "a sitemap between two tokens",
    "User-agent: barbot\nSitemap: https://x/y\nUser-agent: foobot\nDisallow: /x",
    "/x",
    false,
  ],
  [
    "an unknown line between two tokens",
    "User-agent: barbot\nnoindex: /\nUser-agent: foobot\nDisallow: /x",
    "/x",
    false,
  ],
  [
    "a crawl-delay between two tokens",
    "User-agent: foobot\nCrawl-delay: 1\nUser-agent: barbot\nDisallow: /x",
    "/x",
    false,
  ],
  ["a misspelt directive", "User-agent: foobot\nDissallow: /x", "/x", false],
  ["a token with a version", "User-agent: foobot/1.2\nDisallow: /x", "/x", false],
  ["a token with a star behind it", "User-agent: foobot *\nDisallow: /x", "/x", false],
  ["a star with words behind it", "User-agent: * all of you\nDisallow: /x", "/x", false],
  ["a space in place of the colon", "User-agent foobot\nDisallow /x", "/x", false],
  ["a byte order mark", "\uFEFFUser-agent: foobot\nDisallow: /x", "/x", false],
  ["lines that end in CR", "User-agent: foobot\rDisallow: /x\r", "/x", false],
  ["lines that end in CR LF", "User-agent: foobot\r\nDisallow: /x\r\n", "/x", false],
  ["spaces around everything", "  User-agent :  foobot \n\t Disallow :\t/x \n", "/x", false],
  ["a page of HTML", "<html><body>Disallow: / is what it says</body></html>", "/x", true],
  ["nothing", "", "/x", true],
];

describe("robots.txt", () => {
  for (const [name, file, path, allowed] of conformance) {
    test(name, () => assert.equal(ask(file, path).allowed, allowed));
  }

  test("the verdict tells the line that decided", () => {
    const file = "# keep out\nUser-agent: *\nAllow: /public\nDisallow: /*?session=\n";

    assert.deepEqual(ask(file, "/shop?session=1"), {
      allowed: false,
      rule: { line: 4, text: "/*?session=" },
    });
    assert.deepEqual(ask(file, "/public/x"), { allowed: true, rule: { line: 3, text: "/public" } });
    assert.deepEqual(ask(file, "/else"), { allowed: true });
  });

  test("crawl delays, site maps and unknown lines are kept", () => {
    const text =
      "User-agent: foobot\nCrawl-delay: 2.5\nDisallow: /x\nSitemap: https://example.org/map.xml\n" +
      "Content-Signal: ai-train=no\nUser-agent: foobot\nCrawl-delay: soon\nCrawl-delay: -1\n";
    const file = parseRobots(new TextEncoder().encode(text));

    assert.equal(rulesFor(file, "foobot").crawlDelay, 2.5);
    assert.equal(rulesFor(file, "barbot").crawlDelay, undefined);
    assert.deepEqual(file.sitemaps, ["https://example.org/map.xml"]);
    assert.deepEqual(file.otherLines, [{ line: 5, text: "Content-Signal: ai-train=no" }]);
  });

  test("what is beyond 500 KiB is not read, and the file says so", () => {
    const head = "User-agent: foobot\nDisallow: /first\n";
    const long = `${head + "#".repeat(MAX_BYTES - head.length)}\nDisallow: /last\n`;
    const file = parseRobots(new TextEncoder().encode(long));

    assert.equal(file.isCut, true);
    const rules = rulesFor(file, "foobot");
    assert.equal(verdict(rules, new URL("https://example.org/first")).allowed, false);
    assert.equal(verdict(rules, new URL("https://example.org/last")).allowed, true);
  });

  test("bytes that are no UTF-8 spoil their line alone", () => {
    const bytes = new Uint8Array([
      ...new TextEncoder().encode("User-agent: foobot\nDisallow: /"),
      0xff,
    ]);
    const more = new TextEncoder().encode("\nDisallow: /x\n");
    const rules = rulesFor(parseRobots(new Uint8Array([...bytes, ...more])), "foobot");

    assert.equal(verdict(rules, new URL("https://example.org/x")).allowed, false);
    assert.equal(verdict(rules, new URL("https://example.org/y")).allowed, true);
  });

  test("a file made to be slow is refused after a bounded number of steps", () => {
    const part = "*aaaaaaaab";
    const lines = `Disallow: /${part.repeat(40)}\n`.repeat(1000);
    const path = `/${"a".repeat(20_000)}`;

    assert.deepEqual(ask(`User-agent: *\n${lines}`, path), {
      allowed: false,
      because: "too costly",
    });
  });

  test("a legal file of 480 KB stays far below the limit", () => {
    const lines = Array.from({ length: 12_000 }, (_, n) => `Disallow: /shop/*/item-${n}*.html$\n`);
    const path = `/shop/${"category/".repeat(20)}item.html`;

    assert.deepEqual(ask(`User-agent: *\n${lines.join("")}`, path), { allowed: true });
  });

  test("a product token that could not stand in a file is refused", () => {
    assert.throws(() => ask("", "/", "foobot/1.0"), {
      name: "RangeError",
      message: /foobot\/1\.0/,
    });
  });
});
