// The crawler as its user meets it: a child process with arguments, output, signals and an exit
// status; before that, the pure parts.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { Writable } from "node:stream";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import * as asyncio from "asyncio-ts";
import { Agent } from "undici";
import { crawl } from "./crawler.ts";
import { Failure, failureOf } from "./failures.ts";
import { extractLinks, isSameSite, normaliseLink } from "./links.ts";
import { parseOptions, UsageError } from "./options.ts";
import { showProgress } from "./progress.ts";
import { type MeasuredRequest, Report } from "./report.ts";
import { RobotsRules } from "./robots.ts";
import { startSite } from "./site.ts";
import { keyOf, planSite } from "./site-plan.ts";

const base = new URL("http://example.org/a/b");

describe("normaliseLink", () => {
  const cases: readonly (readonly [link: string, expected: string | undefined])[] = [
    ["c", "http://example.org/a/c"],
    ["/c#part", "http://example.org/c"],
    ["../x/./y", "http://example.org/x/y"],
    ["HTTP://EXAMPLE.org:80/c", "http://example.org/c"],
    ["//other.org", "http://other.org/"],
    ["?", "http://example.org/a/b"],
    ["?q=1", "http://example.org/a/b?q=1"],
    ["http://name:secret@example.org/", "http://example.org/"],
    ["/%7euser/%c3%bc", "http://example.org/~user/%C3%BC"],
    ["/%2F", "http://example.org/%2F"],
    [" /c\n", "http://example.org/c"],
    ["mailto:someone@example.org", undefined],
    ["javascript:void 0", undefined],
    ["http://", undefined],
    [`/${"long".repeat(1000)}`, undefined],
  ];
  for (const [link, expected] of cases) {
    it(`makes ${expected} of ${JSON.stringify(link.slice(0, 40))}`, () => {
      assert.equal(normaliseLink(link, base)?.href, expected);
    });
  }
});

describe("extractLinks", () => {
  it("finds each page once, in the order of the document", () => {
    const html = `<a href="two">2</a><AREA HREF=/one><a href="two#again">2</a><a name="x"><link href="style.css">`;

    const links = extractLinks(html, base);

    assert.deepEqual(links.map(String), ["http://example.org/a/two", "http://example.org/one"]);
  });

  it("decodes entities and respects the base element", () => {
    const html = `<base href="/docs/"><a href="page?a=1&amp;b=&#50;">`;

    assert.deepEqual(extractLinks(html, base).map(String), [
      "http://example.org/docs/page?a=1&b=2",
    ]);
  });

  it("reads what is no proper HTML as far as it goes", () => {
    assert.deepEqual(extractLinks(`<p <a href='x'><a href="/y`, base).map(String), []);
    assert.deepEqual(extractLinks(`</p></div><a href=x>`, base).map(String), [
      "http://example.org/a/x",
    ]);
  });
});

it("a site is its host, with or without www, on any port", () => {
  assert.ok(isSameSite(base, new URL("https://www.example.org:8443/")));
  assert.ok(!isSameSite(base, new URL("http://docs.example.org/")));
});

it("robots.txt rules say what is allowed and how fast", () => {
  const rules = new RobotsRules(
    new URL("/robots.txt", base),
    "User-agent: *\nDisallow: /private/\nCrawl-delay: 0.5",
  );

  assert.ok(rules.allows(base));
  assert.ok(!rules.allows(new URL("/private/page", base)));
  assert.equal(rules.delay, 0.5);
});

describe("failureOf", () => {
  it("names the faults of the network", () => {
    const reset = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });

    assert.equal(failureOf(reset).kind, "connection lost");
    assert.equal(failureOf(new Failure("HTTP 404")).kind, "HTTP 404");
  });

  it("throws bugs on", () => {
    const bug = new TypeError("page is not a function");

    assert.throws(() => failureOf(bug), bug);
  });
});

describe("the plan of the site", () => {
  it("is the same for the same seed, another one for another", () => {
    assert.deepEqual(planSite(7), planSite(7));
    assert.notDeepEqual(planSite(7), planSite(8));
  });

  it("leads to every page", () => {
    const { entries } = planSite();
    const reached = new Set(["0 /"]);
    for (const key of reached) {
      const entry = entries.get(key);
      assert.ok(entry, `${key} is linked, but not in the plan`);
      for (const link of entry.links) reached.add(link.target);
      if (entry.behaviour.kind === "redirect") reached.add(entry.behaviour.target);
    }

    assert.deepEqual(
      [...entries.values()].map(keyOf).filter((key) => !reached.has(key)),
      [],
    );
  });
});

describe("arguments", () => {
  it("have defaults, which depend on the site", () => {
    const bundled = {
      limit: Infinity,
      workers: 20,
      perHost: 8,
      requestSeconds: 1.5,
      retries: 2,
      start: undefined,
    };
    const start = new URL("https://example.org");

    assert.deepEqual(parseOptions([]), bundled);
    assert.deepEqual(parseOptions(["https://example.org"]), {
      ...bundled,
      start,
      requestSeconds: 10,
    });
  });

  it("are read in any order and either spelling", () => {
    const options = parseOptions([
      "--limit",
      "50",
      "http://localhost:8080/x",
      "--timeout=.5",
      "--retries",
      "0",
    ]);

    assert.notEqual(options, "help");
    assert.deepEqual(
      { ...(options as object) },
      {
        start: new URL("http://localhost:8080/x"),
        limit: 50,
        workers: 20,
        perHost: 8,
        requestSeconds: 0.5,
        retries: 0,
      },
    );
  });

  const wrong: readonly (readonly [commandLine: string, message: string])[] = [
    ["--workers many", `--workers expects a whole number from 1 to 1000, found "many"`],
    ["--workers 0", `--workers expects a whole number from 1 to 1000, found "0"`],
    ["--limit -3", `--limit expects a whole number from 1 to 1000000, found "-3"`],
    ["--limit", "--limit expects a value, found none"],
    ["--timeout 1e9", `--timeout expects a number of seconds from 0.01 to 600, found "1e9"`],
    ["--wrokers 3", "--wrokers is not an option of this program"],
    [
      "example.org",
      `an address that begins with http:// or https:// is expected, found "example.org". Try https://example.org`,
    ],
    [
      "ftp://example.org",
      `an address that begins with http:// or https:// is expected, found "ftp://example.org"`,
    ],
    ["http://a.org http://b.org", "one address is expected, found 2: http://a.org http://b.org"],
  ];
  for (const [commandLine, message] of wrong) {
    it(`says what is wrong with ${commandLine}`, () => {
      assert.throws(() => parseOptions(commandLine.split(" ")), new UsageError(message));
    });
  }
});

describe("the progress line", () => {
  for (const columns of [20, 40, 200]) {
    it(`stays within a terminal of ${columns} columns`, async () => {
      const drawn = Promise.withResolvers<string>();
      const output = Object.assign(
        new Writable({
          write(chunk, _encoding, done) {
            drawn.resolve(String(chunk));
            done();
          },
        }),
        { isTTY: true, columns },
      );

      await asyncio.run(async () => {
        await asyncio.taskGroup(async (group) => {
          group.createTask(() => showProgress(new Report(), output));
          await asyncio.cancellable(() => drawn.promise);
          group.cancel();
        });
      });

      const [, line] = (await drawn.promise).split("\u001b[K");
      const visible = stripVTControlCharacters(line ?? "");
      assert.match(visible, /^ {2}0 pages/);
      assert.ok(visible.length < columns, `${visible.length} characters: ${visible}`);
    });
  }
});

describe("a crawl that is cancelled", () => {
  it("leaves no request behind", async () => {
    const site = await startSite();
    const agent = new Agent();
    const report = new WatchedReport(50);
    const options = { limit: Infinity, workers: 20, perHost: 20, retries: 2 };
    try {
      await asyncio.run(async () => {
        await asyncio.taskGroup(async (group) => {
          group.createTask(() => crawl(site.start, options, { agent, report, requestSeconds: 5 }));
          await asyncio.cancellable(() => report.wellUnderWay.promise);
          group.cancel();
        });
      });

      assert.equal(report.inFlight, 0);
      assert.ok(report.visited < report.found);
      await agent.destroy();
      await site.waitUntilDeserted();
    } finally {
      await site.close();
    }
  });
});

describe("the program", { concurrency: true }, () => {
  it("crawls the bundled site and ends with the summary", async () => {
    const program = startProgram([]);

    assert.deepEqual(await program.ended, { code: 0, signal: null });

    const { entries } = planSite();
    const count = (...kinds: string[]) =>
      [...entries.values()].filter(({ behaviour }) => kinds.includes(behaviour.kind)).length;
    const summary = program.stdout();
    assert.match(summary, /Crawl of http:\/\/127\.0\.0\.1:\d+\/ finished/);
    assert.deepEqual(
      numbersOf(summary, [
        "pages",
        "not HTML",
        "closed by robots.txt",
        "on other sites",
        "HTTP 404",
        "HTTP 500",
        "timeout",
        "connection lost",
        "connection refused",
        "too large",
        "redirect circle",
        "too many redirects",
      ]),
      [
        count("page", "flaky"),
        count("image"),
        count("private"),
        1,
        count("missing"),
        count("broken"),
        count("hanging", "dripping"),
        count("dropped"),
        1,
        count("huge"),
        2,
        count("endless"),
      ],
    );
    assert.match(summary, /Failures: 20\n/);
    assert.match(summary, /requests, added up .* times the wall time, with 20 workers/);
    assert.match(
      program.stderr(),
      /^\d+ pages?, \d+ in flight, \d+ failures?, [\d.]+ pages\/s, \d+ to do, [\d.]+ s$/m,
    );
    const lines = (summary + program.stderr()).split("\n");
    assert.deepEqual(
      lines.filter((line) => /\p{Cc}/u.test(line)),
      [],
    ); // no control characters
  });

  it("is stopped by SIGINT, with a summary and no socket left", async () => {
    const site = await startSite();
    try {
      const program = startProgram([site.start.href]);
      await program.firstProgress;

      program.interrupt();
      assert.deepEqual(await program.ended, { code: null, signal: "SIGINT" });

      await site.waitUntilDeserted();
      assert.match(program.stdout(), /Crawl of http:\S+ interrupted/);
      assert.match(program.stdout(), /\n {2}unfinished +\d+\n/);
      assert.match(program.stderr(), /^(\d+ pages?, .* s\n)+$/); // progress alone: no stack trace
    } finally {
      await site.close();
    }
  });

  it("is stopped by SIGINT while the bundled site runs", async () => {
    const program = startProgram([]);
    await program.firstProgress;

    program.interrupt();

    assert.deepEqual(await program.ended, { code: null, signal: "SIGINT" });
    assert.match(program.stdout(), /interrupted/);
    assert.match(program.stderr(), /^(\d+ pages?, .* s\n)+$/);
  });

  it("stops at its limit", async () => {
    const program = startProgram(["--limit", "25"]);

    assert.deepEqual(await program.ended, { code: 0, signal: null });
    assert.match(program.stdout(), /ended at its limit/);
    assert.deepEqual(numbersOf(program.stdout(), ["pages"]), [25]);
  });

  it("answers wrong arguments with the usage and status 2", async () => {
    const program = startProgram(["--workers", "many"]);

    assert.deepEqual(await program.ended, { code: 2, signal: null });
    assert.equal(program.stdout(), "");
    assert.match(
      program.stderr(),
      /^crawl: --workers expects a whole number.*found "many"\n\nUsage: /,
    );
  });

  it("prints the usage when asked", async () => {
    const program = startProgram(["--help"]);

    assert.deepEqual(await program.ended, { code: 0, signal: null });
    assert.match(program.stdout(), /^Usage: /);
    assert.equal(program.stderr(), "");
  });

  it("says why the first page could not be loaded, with status 1", async () => {
    const program = startProgram(["http://127.0.0.1:1/", "--retries", "0"]);

    assert.deepEqual(await program.ended, { code: 1, signal: null });
    assert.equal(program.stdout(), "");
    assert.match(
      program.stderr(),
      // On a slow machine a line of its progress comes first.
      /^crawl: http:\/\/127\.0\.0\.1:1\/ could not be loaded: connection refused/m,
    );
  });
});

/** A report that tells when so many requests were made. */
class WatchedReport extends Report {
  readonly wellUnderWay = Promise.withResolvers<void>();
  readonly #requests: number;

  constructor(requests: number) {
    super();
    this.#requests = requests;
  }

  override beginRequest(): MeasuredRequest {
    if (this.requests === this.#requests) this.wellUnderWay.resolve();
    return super.beginRequest();
  }
}

interface Program {
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  /** Settles when the first full line of progress is out. */
  readonly firstProgress: Promise<void>;
  stdout(): string;
  stderr(): string;
  interrupt(): void;
}

function startProgram(commandLine: readonly string[]): Program {
  const { FORCE_COLOR: _, ...env } = process.env;
  const child = spawn(
    process.execPath,
    [fileURLToPath(import.meta.resolve("./main.ts")), ...commandLine],
    {
      env,
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  const printed = { stdout: "", stderr: "" };
  const firstProgress = Promise.withResolvers<void>();
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    printed.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    printed.stderr += text;
    if (printed.stderr.includes("\n")) firstProgress.resolve();
  });
  return {
    ended: once(child, "close").then(([code, signal]) => ({ code, signal })),
    firstProgress: firstProgress.promise,
    stdout: () => printed.stdout,
    stderr: () => printed.stderr,
    interrupt: () => child.kill("SIGINT"),
  };
}

/** The numbers that stand behind these labels in the summary. */
function numbersOf(summary: string, labels: readonly string[]): number[] {
  return labels.map((label) =>
    Number(new RegExp(`^ {2}${RegExp.escape(label)} +(\\d+)`, "m").exec(summary)?.[1]),
  );
}
