/**
 * The command and the first run as a user meets them. Most of it is run in this process; what only a
 * process shows, such as exit codes and Ctrl-C, is one.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Farm, openFarm } from "../../farm/farm.ts";
import { readConfig } from "../../src/cli/config.ts";
import { commandOn, type Ran } from "../support/command.ts";

const home = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "pagefetch-"));
let farm: Farm;
before(async () => {
  farm = await openFarm();
});
after(async () => {
  await farm.close();
  rmSync(folder, { recursive: true });
});

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

/** Runs a program of pagefetch. `until` is a text at which it gets a Ctrl-C. */
async function program(
  path: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  until?: RegExp,
): Promise<Ended> {
  const child = spawn(process.execPath, [join(home, path), ...args], {
    env: { ...process.env, PAGEFETCH_CONFIG: "", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  let isStopped = false;
  const look = (): void => {
    if (until === undefined || isStopped || !until.test(out + err)) return;
    isStopped = true;
    child.kill("SIGINT");
  };
  child.stdout.on("data", (data) => {
    out += data;
    look();
  });
  child.stderr.on("data", (data) => {
    err += data;
    look();
  });
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
    child.on("close", (...how) => resolve(how)),
  );
  return { code, signal, out, err };
}

const pagefetch = (args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Ran> =>
  commandOn(farm, args, env);

function file(name: string, json: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof json === "string" ? json : JSON.stringify(json));
  return path;
}

describe("wrong use ends with 2 and a sentence", () => {
  const list = file("one.txt", "http://proxy.example:81\n");
  const table: [args: string[], message: RegExp][] = [
    [["fetch"], /no command "fetch"/],
    [["get"], /expected one URL/],
    [["get", "http://a.example", "b"], /expected one URL/],
    [["get", "http://a.example", "--output", "png"], /--output is/],
    [["get", "http://a.example", "--timeout", "soon"], /--timeout is a number/],
    [["get", "http://a.example", "--header", "none"], /--header is/],
    [["get", "http://a.example", "--colour"], /--colour/],
    [["get", "notaurl"], /bad_request/],
    [["get", "http://a.example", "--identity", "browser"], /unsupported_parameter|browser/],
    [["keys", "new", "a"], /need a store/],
    [["serve", "all"], /serve takes no "all"/],
    [["proxies", "all"], /proxies takes no "all"/],
    [["doctor", "all"], /doctor takes no "all"/],
    [["serve", "--config", "/nowhere.json"], /cannot be read/],
    [["serve", "--host", ""], /configuration: host/],
    [["serve", "--port", "99999"], /configuration: port/],
    [["serve", "--port", "1.5"], /configuration: port/],
    [["serve", "--port", "0", "--host", "192.0.2.1"], /cannot be listened at.*EADDRNOTAVAIL/],
    [["serve", "--config", file("deny.json", { deny: ["ours"] })], /deny\.0: expected an address/],
    [["serve", "--config", file("name.json", { identity: { product: "a b" } })], /`product`/],
    [
      ["keys", "list", "--config", file("my.json", { store: "mysql://ann:hunter2@x/d" })],
      /a file, or/,
    ],
    [["serve", "--config", file("odd.json", { colour: "red" })], /colour/],
    [
      ["serve", "--config", file("refuse.json", { refuse: ["*.example.com"] })],
      /`refuse` expects names of hosts, such as "example\.com" for it and all below it/,
    ],
    [
      ["serve", "--config", file("www.json", { politeness: { sites: { "www.a.example": {} } } })],
      /politeness: sites: .*www\.a\.example.*The site of that host is "a\.example"/,
    ],
    [
      [
        "serve",
        "--config",
        file("site.json", { politeness: { sites: { "http://a.example": {} } } }),
      ],
      /politeness: sites: expected registrable domains/,
    ],
    [["serve", "--config", file("public.json", { publicUrl: "javascript:x" })], /publicUrl/],
    [["serve", "--config", file("store.json", { store: "" })], /configuration: store/],
    [["serve", "--config", file("cut.json", '{ "port": ')], /is no JSON/],
    [
      ["serve", "--config", file("pool.json", { pools: [{ name: "p", file: "none" }] })],
      /pool "p"/,
    ],
    [
      [
        "serve",
        "--config",
        file("none.json", { pools: [{ name: "p", file: file("none.txt", "") }] }),
      ],
      /the pool "p" is empty/,
    ],
    [
      ["serve", "--config", file("taken.json", { pools: [{ name: "auto", file: list }] })],
      /the name "auto" of a pool is taken/,
    ],
    [
      [
        "proxies",
        "--config",
        file("bad.json", { pools: [{ name: "p", file: file("bad.txt", "ftp://ann:hunter2@x") }] }),
      ],
      /line 1/,
    ],
  ];
  for (const [args, message] of table) {
    test(args.join(" ").slice(0, 60), async () => {
      const { code, err } = await pagefetch(args);
      assert.match(err, message);
      assert.doesNotMatch(err, /hunter2|at .*\.ts:/);
      assert.equal(code, 2);
    });
  }
});

test("help is for people", async () => {
  const { code, out } = await pagefetch(["--help"]);
  assert.equal(code, 0);
  assert.match(out, /Exit codes/);
  assert.equal((await pagefetch([])).code, 2);
});

test("the exit code says how it went", async () => {
  const table: [url: string, code: number, err: RegExp][] = [
    ["http://example.com/", 0, /^$/],
    ["http://pages.farm.test/status/404", 1, /^$/],
    ["http://127.0.0.1/", 3, /blocked_address/],
    ["http://closed.robots.test/", 3, /robots_disallowed/],
    ["http://nowhere.farm.test/", 4, /dns_failed/],
    ["http://captcha.farm.test/", 5, /captcha/],
  ];
  for (const [url, expected, message] of table) {
    const { code, out, err } = await pagefetch(["get", url, "--quiet"]);
    assert.equal(code, expected, url);
    assert.match(err, message);
    assert.equal(out !== "", expected < 2);
  }
});

test("get gives the page in each form, and tells what happens", async () => {
  const get = (...args: string[]) => pagefetch(["get", "http://example.com/", ...args]);
  const raw = await get("--head", "--header", "accept-language: de");
  assert.match(raw.out, /^200 OK\n[\s\S]*content-type: text\/html[\s\S]*<h1>Example Domain<\/h1>/);
  assert.match(
    raw.err,
    /robots http:\/\/example\.com\/[\s\S]*200 http:\/\/example\.com\/ {2}\d+ bytes/,
  );
  assert.match((await get("--output", "markdown")).out, /^# Example Domain/m);
  assert.match(
    (await get("--output", "links")).out,
    /^https:\/\/www\.iana\.org\/domains\/example$/m,
  );
});

test("robots tells what decides", async () => {
  const asked = await pagefetch(["robots", "http://partly.robots.test/private/x"]);
  assert.deepEqual([asked.code, asked.out], [3, "disallowed  line 3: /private\ncrawl-delay 2 s\n"]);
});

test("as a program it says and ends the same", async () => {
  const { code, out, err } = await program("src/cli/main.ts", ["get", "notaurl"]);
  assert.deepEqual([code, out], [2, ""]);
  assert.match(err, /bad_request/);
});

test("keys are made, listed and revoked", async () => {
  const env = { PAGEFETCH_STORE: join(folder, "keys.db") };
  const made = await pagefetch(["keys", "new", "ann", "--scope", "fetch", "--budget", "5"], env);
  assert.equal(made.code, 0, made.err);
  const secret = made.out.trim();
  const [, id = ""] = secret.split("_");
  const listed = await pagefetch(["keys", "list"], env);
  assert.match(listed.out, new RegExp(`^${id}  active  fetch  ann`));
  assert.ok(!listed.out.includes(secret));
  assert.equal((await pagefetch(["keys", "revoke", id], env)).code, 0);
  assert.equal((await pagefetch(["keys", "revoke", id], env)).code, 1);
  assert.match((await pagefetch(["keys", "list"], env)).out, /revoked/);
});

test("a variable that is empty is not set", async () => {
  const store = join(folder, "given.db");
  const empty = { PORT: "", PAGEFETCH_CONFIG: " ", DATABASE_URL: "" };
  assert.equal((await pagefetch(["keys", "list"], { ...empty, PAGEFETCH_STORE: store })).code, 0);
  assert.ok(existsSync(store));
  assert.match((await pagefetch(["keys", "list"], empty)).err, /need a store/);
  assert.equal(readConfig(undefined, empty).port, undefined);
});

test("a store in memory makes no file", () => {
  const config = file("memory.json", { store: ":memory:" });
  assert.equal(readConfig(config, {}).store, ":memory:");
});

test("a store that cannot be opened is told without its password", async () => {
  const tell = async (store: string): Promise<string> => {
    const { code, err } = await pagefetch(["keys", "list"], { PAGEFETCH_STORE: store });
    assert.equal(code, 6, err);
    assert.doesNotMatch(err, /hunter2|at .*\.ts:/);
    return err;
  };
  assert.match(await tell(join(folder, "no/such/folder.db")), /the store: .* cannot be opened/);
  assert.match(
    await tell("postgres://ann:hunter2@127.0.0.1:1/d"),
    /the store: .* cannot be reached/,
  );
});

test("what a site has sent does not steer the terminal", async () => {
  const url = "http://steering.robots.test/%1Bcprivate";
  const got = await pagefetch(["get", url]);
  assert.match(got.err, /robots_disallowed: .*line 2: \/\ufffdcprivate/);
  const asked = await pagefetch(["robots", url]);
  assert.equal(asked.out, "disallowed  line 2: /\ufffdcprivate\n");
});

test("a key that makes no sense is wrong use", async () => {
  const store = join(folder, "none.db");
  const scope = await pagefetch(["keys", "new", "b", "--scope", "all"], { PAGEFETCH_STORE: store });
  assert.deepEqual([scope.code, existsSync(store)], [2, false], scope.err);
  const rate = await pagefetch(["keys", "new", "b", "--rate", "0"], { PAGEFETCH_STORE: store });
  assert.equal(rate.code, 2, rate.err);
  assert.match(rate.err, /`rate` is a number above 0/);
  const sum = await pagefetch(["keys", "new", "b", "--budget", "1e999"], {
    PAGEFETCH_STORE: store,
  });
  assert.match(sum.err, /`budget` is 0 or more, got Infinity/);
});

test("proxies are listed without what is secret", async () => {
  const list = file("list.txt", "http://ann:hunter2@proxy.example:81 id=a country=de cost=3\n");
  const config = file("proxies.json", { pools: [{ name: "office", file: list }] });
  const { code, out, err } = await pagefetch(["proxies", "--config", config]);
  assert.deepEqual([code, out], [0, "office  a  country de  cost 3\n"], err);
});

test("the doctor looks at everything", async () => {
  const { code, out } = await pagefetch(["doctor", "--config", file("doctor.json", { port: 0 })]);
  assert.equal(code, 0, out);
  for (const what of ["Node", "configuration", "store", "port", "workers"]) {
    assert.match(out, new RegExp(`^ok    ${what}`, "m"));
  }
  assert.match(out, /^ok {4}processes: this one alone keeps to the pace of a site$/m);
  const three = file("three.json", { port: 0, processes: 3 });
  const shared = await pagefetch(["doctor", "--config", three]);
  assert.match(shared.out, /^ok {4}processes: one of 3 that have the same store/m);
});

test("serve runs until Ctrl-C, and ends by it", async () => {
  const { signal, err } = await program(
    "src/cli/main.ts",
    ["serve", "--port", "0"],
    {},
    /no key yet/,
  );
  assert.match(err, /pagefetch listens at http:\/\/127\.0\.0\.1:\d+ \(sqlite\)/);
  assert.match(err, /there is no key yet/);
  assert.equal(signal, "SIGINT");
});

test("the first run shows five calls, and ends cleanly on Ctrl-C", async () => {
  const { out, err, signal } = await program("first-run/main.ts", [], { PORT: "0" }, /Ctrl-C ends/);
  assert.equal(err, "");
  assert.match(
    out,
    /curl 'http:\/\/127\.0\.0\.1:\d+\/\?key=pf_firstrun_\w+&url=http:\/\/example\.com\/'/,
  );
  assert.match(out, /1\. .*\n.*\n {3}\d+ bytes, the same as the site's; robots\.txt: allowed/);
  assert.match(out, /2\. .*\n.*\n {3}200 after 3 attempts/);
  assert.match(out, /3\. .*\n.*\n {3}200 after 2 attempts/);
  assert.match(out, /4\. .*\n.*\n {3}502 too_large: the page is 200 times as large/);
  assert.match(out, /5\. .*\n.*\n {3}403 blocked_address/);
  assert.match(out, /Ended: no connection is open any more\.\n$/);
  assert.equal(signal, "SIGINT");
});
