// `npm run release` in a copy of this tree, as a repository of its own, with an `npm` that
// publishes nothing.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { after, beforeEach, describe, test } from "node:test";
import { root } from "./install.mjs";

const folder = mkdtempSync(join(tmpdir(), "asyncio-ts-release-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const clone = join(folder, "clone");
const bin = join(folder, "bin");
const published = join(folder, "published");
const manifest = "packages/asyncio/package.json";
const neighbour = "packages/db";
const version = JSON.parse(readFileSync(join(root, manifest), "utf8")).version;
const hasGit = spawnSync("git", ["ls-files"], { cwd: root }).status === 0;

describe("a release", { skip: hasGit ? false : "not a clone, or no git" }, () => {
  if (hasGit) prepare();

  beforeEach(() => {
    git("reset", "--quiet", "--hard", "ready");
    git("clean", "--quiet", "-fd");
    spawnSync("git", ["tag", "--delete", `v${version}`], { cwd: clone });
    rmSync(published, { force: true });
  });

  test("a dry run builds, checks and packs, and leaves nothing behind", () => {
    const { status, output } = release("--dry-run");

    assert.equal(status, 0, output);
    assert.match(output, new RegExp(`asyncio-ts-${version}\\.tgz is ready to publish`));
    for (const name of ["asyncio-ts", "asyncio-ts-db"]) {
      assert.match(output, new RegExp(`${name}-${version}\\.tgz: \\d+ files, \\d+ kB packed`));
    }
    assert.match(output, /A dry run: nothing was published/);
    assert.equal(git("tag", "--list"), "ready\n");
    assert.equal(git("status", "--porcelain"), "");
    assert.throws(() => readFileSync(published), { code: "ENOENT" });
  });

  test("in a job that can sign, all is tested, published with provenance, and tagged", () => {
    stub("test", 'console.log("all tests have run");');

    const { status, output } = release({ ACTIONS_ID_TOKEN_REQUEST_URL: "https://example.org" });

    assert.equal(status, 0, output);
    assert.match(output, /all tests have run/);
    const both = "publish --provenance\npublish --provenance\n";
    assert.equal(readFileSync(published, "utf8"), both);
    assert.equal(git("tag", "--list", "v*"), `v${version}\n`);

    const again = release({ ACTIONS_ID_TOKEN_REQUEST_URL: "https://example.org" });
    assert.equal(again.status, 1);
    assert.match(again.output, /the tag v\S+ exists already: raise the version/);
  });

  test("a test that fails stops it", () => {
    stub("test", "process.exitCode = 1;");

    const { status, output } = release({ ACTIONS_ID_TOKEN_REQUEST_URL: "https://example.org" });

    assert.equal(status, 1);
    assert.match(output, /test\.mjs failed/);
    assert.throws(() => readFileSync(published), { code: "ENOENT" });
    assert.equal(git("tag", "--list", "v*"), "");
  });

  test("a package that does not build stops it", () => {
    writeFileSync(
      join(clone, "packages/asyncio/src/wrong.ts"),
      'export const one: number = "1";\n',
    );
    commit("Break the build");

    const { status, output } = release("--dry-run");

    assert.equal(status, 1);
    assert.match(output, /wrong\.ts\(1,14\): error TS2322/);
  });

  const refusals = [
    {
      name: "a file that is not committed",
      change: () => writeFileSync(join(clone, "new.txt"), ""),
      isCommitted: false,
      says: /the tree is not clean[\s\S]*\?\? new\.txt/,
    },
    {
      name: "a package of another version",
      change: () => {
        const more = { name: "asyncio-ts-more", version: "9.9.9" };
        mkdirSync(join(clone, "packages/more"));
        writeFileSync(join(clone, "packages/more/package.json"), JSON.stringify(more));
      },
      says: /versions are not in step: asyncio-ts is \S+, asyncio-ts-db is \S+, asyncio-ts-more is 9\.9\.9/,
    },
    {
      name: "a package that wants another version of its neighbour",
      change: () => {
        const peerDependencies = { "asyncio-ts": "^0.0.1" };
        const more = { ...readJson(manifest), name: "asyncio-ts-more", peerDependencies };
        mkdirSync(join(clone, "packages/more"));
        writeFileSync(join(clone, "packages/more/package.json"), JSON.stringify(more));
      },
      says: /packages\/more\/package\.json wants asyncio-ts \^0\.0\.1, and this is/,
    },
    {
      name: "a lock file of another version",
      change: () =>
        edit("package-lock.json", (lock) => {
          lock.packages["packages/asyncio"].version = "0.0.1";
        }),
      says: /package-lock\.json has 0\.0\.1 for packages\/asyncio/,
    },
    {
      name: "a version that is none",
      change: () =>
        edit(manifest, (fields) => {
          fields.version = "next";
        }),
      says: /"next" is no version/,
    },
    {
      name: "a change log without the version",
      change: () => replace("CHANGELOG.md", `## ${version} -`, "## 0.0.1 -"),
      says: /CHANGELOG\.md begins with "## 0\.0\.1 - [\d-]+", and the version is/,
    },
    {
      name: "a change log without a date",
      change: () => replace("CHANGELOG.md", /^(## \S+ - ).*$/m, "$1unreleased"),
      says: /CHANGELOG\.md has no date for \S+, but "unreleased": write "## \S+ - \d{4}-\d\d-\d\d"/,
    },
    {
      name: "a date in the future",
      change: () => replace("CHANGELOG.md", /^(## \S+ - ).*$/m, "$12999-01-01"),
      says: /no date for \S+, but "2999-01-01"/,
    },
    {
      name: "a package without a repository",
      change: () =>
        edit(manifest, (fields) => {
          delete fields.repository;
          delete fields.bugs;
        }),
      says: /has no "repository": write[\s\S]*has no "bugs"/,
    },
    {
      name: "a repository without the package's folder",
      change: () =>
        edit(manifest, (fields) => {
          delete fields.repository.directory;
        }),
      says: /"repository" needs a "url" that begins with git\+https:, and the "directory" packages\/asyncio/,
    },
    {
      name: "a page that names another file",
      change: () => replace("README.md", `asyncio-ts-${version}.tgz`, "asyncio-ts-0.0.1.tgz"),
      says: /README\.md speaks of asyncio-ts-0\.0\.1\.tgz/,
    },
  ];
  for (const { name, change, isCommitted = true, says } of refusals) {
    test(`${name} is refused`, () => {
      change();
      if (isCommitted) commit("Change");

      const { status, output } = release("--dry-run");

      assert.equal(status, 1, output);
      assert.match(output, says);
      assert.doesNotMatch(output, /== build/);
    });
  }

  test("a machine that cannot sign is refused", () => {
    const { status, output } = release();

    assert.equal(status, 1);
    assert.match(output, /npm signs the provenance in a job of GitHub/);
  });

  test("an option that does not exist is refused", () => {
    const { status, output } = release("--dry");

    assert.equal(status, 1);
    assert.match(output, /takes --dry-run and nothing else, got --dry\n/);
  });
});

/** The tree as it is, with what a release needs and the repository cannot know yet. */
function prepare() {
  const list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"];
  const files = spawnSync("git", list, { cwd: root, encoding: "utf8" }).stdout.split("\0");
  for (const file of files.filter((name) => name !== "")) {
    mkdirSync(dirname(join(clone, file)), { recursive: true });
    cpSync(join(root, file), join(clone, file), { force: true, errorOnExist: false });
  }
  // A folder of its own, for the build writes into it.
  mkdirSync(join(clone, "node_modules"));
  for (const name of readdirSync(join(root, "node_modules"))) {
    if (name.startsWith(".built-")) continue;
    const target =
      name === "asyncio-ts" ? join(clone, "packages/asyncio") : join(root, "node_modules", name);
    symlinkSync(target, join(clone, "node_modules", name));
  }
  // Its own packages; the one among them that is linked is that of the clone.
  const theirs = join(root, neighbour, "node_modules");
  mkdirSync(join(clone, neighbour, "node_modules"));
  for (const name of readdirSync(theirs)) {
    const target = name === "asyncio-ts" ? join(clone, "packages/asyncio") : join(theirs, name);
    symlinkSync(target, join(clone, neighbour, "node_modules", name));
  }
  for (const directory of ["packages/asyncio", neighbour])
    edit(`${directory}/package.json`, (fields) => {
      fields.repository = { type: "git", url: "git+https://example.org/asyncio-ts.git", directory };
      fields.homepage = "https://example.org/asyncio-ts#readme";
      fields.bugs = "https://example.org/asyncio-ts/issues";
    });
  replace("CHANGELOG.md", /^(## \S+ - ).*$/m, "$12026-01-01");

  mkdirSync(bin);
  const npm = `#!/bin/sh
case $1 in
  publish) echo "$@" >>"${published}" ;;
  view) ;;
  *) PATH=\${PATH#*:} exec npm "$@" ;;
esac
`;
  writeFileSync(join(bin, "npm"), npm);
  chmodSync(join(bin, "npm"), 0o755);
  git("init", "--quiet", "--initial-branch=main");
  commit("Begin");
  git("tag", "ready");
}

/**
 * Has a script of the repository do something short; the package has been checked by the dry run.
 */
function stub(name, code) {
  writeFileSync(join(clone, "scripts/check-package.mjs"), "");
  writeFileSync(join(clone, `scripts/${name}.mjs`), `${code}\n`);
  commit("Be quick");
}

function readJson(file) {
  return JSON.parse(readFileSync(join(clone, file), "utf8"));
}

function edit(file, change) {
  const fields = readJson(file);
  change(fields);
  writeFileSync(join(clone, file), `${JSON.stringify(fields, undefined, 2)}\n`);
}

function replace(file, pattern, text) {
  const before = readFileSync(join(clone, file), "utf8");
  writeFileSync(join(clone, file), before.replace(pattern, text));
}

function commit(message) {
  git("add", "--all");
  git("commit", "--quiet", `--message=${message}`);
}

function git(...args) {
  const own = [
    "-c",
    "user.name=Ann",
    "-c",
    "user.email=ann@example.org",
    "-c",
    "commit.gpgsign=false",
  ];
  const { status, stdout, stderr } = run("git", [...own, ...args]);
  assert.equal(status, 0, `git ${args.join(" ")}: ${stderr}`);
  return stdout;
}

/** Strings are options, an object goes into the environment. */
function release(...words) {
  const args = words.filter((word) => typeof word === "string");
  const { status, stdout, stderr } = run(
    process.execPath,
    [join(clone, "scripts/release.mjs"), ...args],
    Object.assign({}, ...words.filter((word) => typeof word === "object")),
  );
  return { status, output: `${stdout}${stderr}` };
}

function run(command, args, more = {}) {
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}`, ...more };
  const theirs = /^npm_|^GIT_|^NODE_TEST_CONTEXT$|^ACTIONS_ID|^SIGSTORE_/;
  for (const name of Object.keys(env)) if (theirs.test(name) && !(name in more)) delete env[name];
  env.GIT_COMMITTER_NAME = "Ann";
  env.GIT_COMMITTER_EMAIL = "ann@example.org";
  return spawnSync(command, args, { cwd: clone, env, encoding: "utf8" });
}
