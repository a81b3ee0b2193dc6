/** The command and the first run as a user meets them: processes, exit codes, Ctrl-C. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";

const home = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "pagefetch-"));
after(() => rmSync(folder, { recursive: true }));

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

const pagefetch = (
  args: readonly string[],
  env?: Readonly<Record<string, string>>,
  until?: RegExp,
) => program("src/cli/main.ts", args, env, until);

function file(name: string, json: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof json === "string" ? json : JSON.stringify(json));
  return path;
}

describe("wrong use ends with 2 and a sentence", () => {
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
    [["serve", "--config", "/nowhere.json"], /cannot be read/],
    [["serve", "--config", file("odd.json", { colour: "red" })], /colour/],
    [
      ["serve", "--config", file("pool.json", { pools: [{ name: "p", file: "none" }] })],
      /pool "p"/,
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
});

test("an address that is not public is policy, 3; a name that is none is the network, 4", async () => {
  const blocked = await pagefetch(["get", "http://127.0.0.1/", "--quiet"]);
  assert.deepEqual([blocked.code, blocked.out], [3, ""]);
  assert.match(blocked.err, /blocked_address/);
  const nobody = await pagefetch(["get", "http://nobody.invalid/", "--quiet", "--timeout", "20"]);
  assert.equal(nobody.code, 4);
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

test("a key that makes no sense is wrong use", async () => {
  const store = join(folder, "none.db");
  const scope = await pagefetch(["keys", "new", "b", "--scope", "all"], { PAGEFETCH_STORE: store });
  assert.deepEqual([scope.code, existsSync(store)], [2, false], scope.err);
  const rate = await pagefetch(["keys", "new", "b", "--rate", "0"], { PAGEFETCH_STORE: store });
  assert.equal(rate.code, 2, rate.err);
  assert.match(rate.err, /`rate` is a number above 0/);
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
});

test("serve runs until Ctrl-C, and ends by it", async () => {
  const { signal, err } = await pagefetch(["serve", "--port", "0"], {}, /no key yet/);
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
