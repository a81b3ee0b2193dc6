/**
 * The programs and the commands of README.md, run as they stand there. Their internet is the farm; a
 * service and a key of this test stand where README.md says `http://127.0.0.1:8080` and `KEY`.
 */

import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import * as asyncio from "asyncio-ts";
import { type Farm, openFarm } from "../farm/farm.ts";
import { exampleDomain } from "../farm/sites/plain.ts";
import { runCommand } from "../src/cli/command.ts";
import { egressOf, withApi } from "./support/api.ts";
import { run } from "./support/farm.ts";

const home = join(import.meta.dirname, "..");
const root = join(home, "../..");
const readme = readFileSync(join(home, "README.md"), "utf8");

const blocks = (language: string): readonly string[] =>
  [...readme.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, "gm"))].map(
    ([, code = ""]) => code,
  );
const shellLines = blocks("sh").flatMap((block) => block.trim().split("\n"));

const execute = promisify(execFile);
// Here, as a program imports packages from the folder that it stands in.
const folder = mkdtempSync(join(import.meta.dirname, ".readme-"));
const elsewhere = mkdtempSync(join(tmpdir(), "pagefetch-"));
let farm: Farm;
before(async () => {
  farm = await openFarm();
});
after(async () => {
  await farm.close();
  rmSync(folder, { recursive: true });
  rmSync(elsewhere, { recursive: true });
});

describe("programs", () => {
  /** What each of them prints, in the order of README.md. */
  const outputs = [
    /^200 UTF-8 <!doctype html>[\s\S]*Example Domain[\s\S]*url: 'https:\/\/example\.com\/'/,
    /^<!doctype html>[\s\S]*<\/html>\n$/,
    /allowed: false[\s\S]*line: 2/,
    /# Example Domain[\s\S]*verdict: 'allowed'/,
  ];
  const programs = blocks("ts");

  test("all are known here", () => assert.equal(programs.length, outputs.length));

  test("the compiler has nothing to say about them", async () => {
    const config = {
      extends: "../../tsconfig.json",
      include: ["typed-*.ts", "../../src/**/*.d.ts"],
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
    programs.forEach((program, index) => {
      const text = program.replaceAll('"./src/', '"../../src/');
      writeFileSync(join(folder, `typed-${index}.ts`), `${text}export {};\n`);
    });
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    const { stdout } = await execute(process.execPath, [tsc, "-p", folder, "--noEmit"]).catch(
      (error: { stdout: string }) => error,
    );
    assert.equal(stdout, "");
  });

  outputs.forEach((output, index) => {
    test(`number ${index + 1} runs`, async () => {
      const path = join(folder, `run-${index}.ts`);
      const program = (programs[index] ?? "")
        .replaceAll('"./src/index.ts"', '"../support/readme-world.ts"')
        .replaceAll('"./src/', '"../../src/');
      writeFileSync(path, `${program}export {};\n`);

      const runner = join(import.meta.dirname, "support/readme-program.ts");
      const { stdout, stderr } = await execute(process.execPath, [runner, path], { timeout: 60e3 });

      assert.match(stdout, output);
      assert.equal(stderr, "");
    });
  });
});

describe("commands", () => {
  const hasCurl = spawnSync("curl", ["--version"]).status === 0;
  const skip = !hasCurl && process.env.ASYNCIO_ALL_TOOLS !== "1" && "there is no curl";

  test("the line that everybody copies gives the page, byte for byte", { skip }, () =>
    withApi(farm, async ({ address, key }) => {
      const [line = ""] = shellLines;
      assert.match(line, /^curl '/);
      const command = line
        .replace("http://127.0.0.1:8080", address)
        .replace("key=KEY", `key=${key}`);
      const curl = () => execute("sh", ["-c", command]);
      const { stdout } = await asyncio.cancellable(curl);
      assert.equal(stdout, exampleDomain);
    }),
  );

  const call = "npm --prefix apps/pagefetch run pagefetch -- ";
  const env = { PAGEFETCH_STORE: join(elsewhere, "pagefetch.db") };

  test("the others are calls of the command, and a store for it", () => {
    for (const line of shellLines.slice(1)) {
      if (line !== "export PAGEFETCH_STORE=$HOME/pagefetch.db") assert.ok(line.startsWith(call));
    }
  });

  const lines = shellLines.filter((line) => line.startsWith(call)).map((l) => l.slice(call.length));
  for (const line of lines) {
    test(line, () =>
      run(async () => {
        let out = "";
        const listens = new asyncio.Event();
        const world = {
          env,
          out: async (data: string | Uint8Array) => {
            out += Buffer.from(data);
          },
          say: (text: string) => void (/listens at/.test(text) && listens.set()),
          egress: { ...egressOf(farm), allow: [farm.range] },
        };
        const args = line.replace("--port 8080", "--port 0").split(" ");
        const running = asyncio.createTask(() => runCommand(args, world));
        if (args[0] !== "serve") {
          assert.equal(await running, 0);
          assert.match(out, /^pf_\w+|^# Example Domain/m);
          return;
        }
        await asyncio.timeout(30, () => listens.wait());
        running.cancel();
        await asyncio.wait([running]);
      }),
    );
  }

  test("every script that is named is there", () => {
    const scriptsOf = (path: string): object =>
      (JSON.parse(readFileSync(join(path, "package.json"), "utf8")) as { scripts: object }).scripts;
    const named = [...readme.matchAll(/npm (--prefix apps\/pagefetch )?run ([\w:]+)/g)];
    assert.ok(named.length > 5);
    for (const [text, isOurs, name = ""] of named)
      assert.ok(Object.hasOwn(scriptsOf(isOurs === undefined ? root : home), name), text);
  });

  test("every file that is linked is there", () => {
    const links = [...readme.matchAll(/\]\(([^)#:]+)\)/g)].map(([, path = ""]) => path);
    assert.ok(links.length > 4);
    for (const path of links) assert.equal(globSync(path, { cwd: home }).length, 1, path);
  });
});
