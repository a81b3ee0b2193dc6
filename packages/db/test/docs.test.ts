// Every example of the README and the guides is run, each in a process of its own with a database of
// its own. Where a ```text block follows, that has to be its output.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { lacksPostgres, type PostgresServer, startPostgres } from "../src/testing.ts";

const home = fileURLToPath(new URL("..", import.meta.url));
const BLOCK = /^```ts\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?/gms;

interface Example {
  readonly place: string;
  readonly code: string;
  readonly output: string | undefined;
}

const examples: Example[] = ["README.md", ...globSync("docs/*.md", { cwd: home }).sort()].flatMap(
  (page) => {
    const text = readFileSync(join(home, page), "utf8");
    return Array.from(text.matchAll(BLOCK), ({ index, 1: code = "", 2: output }) => {
      const line = text.slice(0, index).split("\n").length;
      return { place: `${page}:${line}`, code, output };
    });
  },
);

describe("examples of the guides", () => {
  let server: PostgresServer | undefined;
  let folder = "";
  before(async () => {
    if (lacksPostgres() === false) server = await startPostgres();
    folder = mkdtempSync(join(home, "test/.examples-"));
  });
  after(async () => {
    rmSync(folder, { recursive: true, force: true });
    await server?.stop();
  });

  for (const [number, { place, code, output }] of examples.entries())
    test(place, { skip: code.includes("DATABASE_URL") && lacksPostgres() }, async () => {
      const database =
        server === undefined ? "" : await createDatabase(server, `example_${number}`);
      const file = join(folder, `example-${number}.ts`);
      writeFileSync(file, code);

      const { status, told } = await run(file, database);

      assert.equal(status, 0, told);
      if (output !== undefined) assert.equal(told.trimEnd(), output.trimEnd());
    });

  test("there are some", () => assert.ok(examples.length >= 8));
});

async function createDatabase(server: PostgresServer, name: string): Promise<string> {
  const client = new pg.Client(server.url());
  await client.connect();
  await client.query(`create database ${name}`);
  await client.end();
  return server.url(name);
}

function run(file: string, url: string): Promise<{ status: number | null; told: string }> {
  const env = { ...process.env, DATABASE_URL: url };
  const child = spawn(process.execPath, [file], { env, cwd: dirname(file) });
  let told = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      told += text;
    });
  return new Promise((resolve) => child.on("close", (status) => resolve({ status, told })));
}
