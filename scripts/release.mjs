// `npm run release`: publishes what is in packages/ with npm, and tags the commit. `-- --dry-run`
// does all of it but the publishing and the tag, and needs no network. Looks first, and says
// everything that stands in the way at once: nothing is built, and nothing leaves the machine,
// before all of it is in order.
//
// The version and the date are written by hand, and committed: `version` in each package.json, the
// heading of CHANGELOG.md.

import { spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { buildLibrary } from "./build.mjs";
import { ensureInstalled, root, SetupError, withLockFile } from "./install.mjs";

const args = process.argv.slice(2);
const isDry = args.includes("--dry-run");

try {
  const unknown = args.filter((arg) => arg !== "--dry-run");
  if (unknown.length > 0)
    throw new SetupError(`\`npm run release\` takes --dry-run and nothing else, got ${unknown}`);
  const packages = readPackages();
  const problems = [
    ...problemsOfTree(),
    ...problemsOfVersions(packages),
    ...packages.flatMap(problemsOfManifest),
  ];
  const version = packages[0]?.version;
  problems.push(...problemsOfChangelog(version), ...problemsOfPages(version));
  if (!isDry) problems.push(...problemsOfPlace());
  if (problems.length > 0) {
    const list = problems.map((problem) => `  - ${problem.replaceAll("\n", "\n    ")}`);
    throw new SetupError(`Not released:\n${list.join("\n")}`);
  }
  release(packages, version);
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

function release(packages, version) {
  const tag = `v${version}`;
  step("build", () => {
    for (const folder of withLockFile(packages.map(({ folder }) => join(root, folder))))
      ensureInstalled(folder);
    buildLibrary({ force: true });
  });
  step("package", () => show(process.execPath, [join(root, "scripts/check-package.mjs")]));
  if (!isDry) step("test", () => show(process.execPath, [join(root, "scripts/test.mjs")]));
  for (const { name, folder } of packages) {
    const home = join(root, folder);
    if (isDry) step(`pack ${name}`, () => showPacked(home));
    else if (isPublished(name, version)) console.log(`\n${name}@${version} is published already`);
    else step(`publish ${name}`, () => show("npm", ["publish", "--provenance"], home));
  }
  mustBeClean();
  if (isDry) {
    console.log(`\nA dry run: nothing was published, and ${tag} was not tagged.`);
    return;
  }
  git("tag", "--annotate", tag, `--message=${tag}`);
  console.log(`\n${version} is published. \`git push origin ${tag}\` shares its tag.`);
}

// --- what may stand in the way

function readPackages() {
  return globSync("packages/*/package.json", { cwd: root })
    .sort()
    .map((file) => ({ ...JSON.parse(read(file)), file, folder: dirname(file) }))
    .filter((manifest) => manifest.private !== true);
}

function problemsOfTree() {
  const changes = git("status", "--porcelain");
  if (changes === "") return [];
  return [`the tree is not clean. Commit these, or put them away:\n${changes}`];
}

// All packages carry one version, also where they name each other.
function problemsOfVersions(packages) {
  const versions = new Set(packages.map(({ version }) => version));
  if (versions.size === 0) return ["packages/ has no package to publish"];
  const problems = packages
    .filter(({ version }) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
    .map(({ file, version }) => `${file}: "${version}" is no version, such as 1.2.3`);
  if (versions.size > 1) {
    const list = packages.map(({ name, version }) => `${name} is ${version}`).join(", ");
    return [...problems, `the versions are not in step: ${list}`];
  }
  const [version] = versions;
  const names = packages.map(({ name }) => name);
  for (const { file, dependencies, peerDependencies } of packages) {
    for (const [name, range] of Object.entries({ ...dependencies, ...peerDependencies })) {
      if (names.includes(name) && range.replace(/^[\^~]/, "") !== version)
        problems.push(`${file} wants ${name} ${range}, and this is ${version}`);
    }
  }
  const locked = JSON.parse(read("package-lock.json")).packages;
  for (const { folder } of packages) {
    const entry = locked[folder];
    if (entry !== undefined && entry.version !== version)
      problems.push(
        `package-lock.json has ${entry.version} for ${folder}: \`npm install --package-lock-only\` repairs it`,
      );
  }
  if (git("tag", "--list", `v${version}`) !== "")
    problems.push(`the tag v${version} exists already: raise the version`);
  return problems;
}

// What npm shows of a package, and what it needs to sign where it comes from.
function problemsOfManifest(manifest) {
  const { file, folder, repository, homepage, bugs } = manifest;
  const wanted = ["description", "license", "keywords", "engines"];
  const problems = wanted
    .filter((field) => manifest[field] === undefined)
    .map((field) => `${file} has no "${field}"`);
  if (repository === undefined) {
    problems.push(
      `${file} has no "repository": write { "type": "git", "url": "git+https://...", "directory": "${folder}" }. ` +
        "npm compares it with the repository in which the release is made, and refuses others",
    );
  } else if (repository.directory !== folder || !/^git\+https:/.test(repository.url)) {
    problems.push(
      `${file}: "repository" needs a "url" that begins with git+https:, and the "directory" ${folder}`,
    );
  }
  if (homepage === undefined) problems.push(`${file} has no "homepage"`);
  if (bugs === undefined) problems.push(`${file} has no "bugs": where one reports them`);
  return problems;
}

function problemsOfChangelog(version) {
  const [heading = "", found, date] = /^## (\S+) - (.+)$/m.exec(read("CHANGELOG.md")) ?? [];
  if (found !== version)
    return [
      `CHANGELOG.md begins with "${heading}", and the version is ${version}: write "## ${version} - ${today()}"`,
    ];
  const isDate =
    /^\d{4}-\d\d-\d\d$/.test(date) && !Number.isNaN(Date.parse(date)) && date <= today();
  if (isDate) return [];
  return [
    `CHANGELOG.md has no date for ${version}, but "${date}": write "${heading.replace(date, today())}"`,
  ];
}

// Pages say how the packed file is called.
function problemsOfPages(version) {
  return ["README.md", "docs/install.md"].flatMap((page) => {
    const named = [...read(page).matchAll(/asyncio-ts-(\d\S*?)\.tgz/g)].map(([, named]) => named);
    const wrong = new Set(named.filter((name) => name !== version));
    return [...wrong].map(
      (name) => `${page} speaks of asyncio-ts-${name}.tgz, and this is ${version}`,
    );
  });
}

// npm signs where a package comes from on the machines of GitHub and GitLab only.
function problemsOfPlace() {
  const { ACTIONS_ID_TOKEN_REQUEST_URL: github, SIGSTORE_ID_TOKEN: gitlab } = process.env;
  if (github || gitlab) return [];
  return [
    "npm signs the provenance in a job of GitHub (permission `id-token: write`) or of GitLab (`SIGSTORE_ID_TOKEN`), " +
      "and this is none. Here, only `npm run release -- --dry-run` works",
  ];
}

function today() {
  return new Date().toISOString().slice(0, 10);
}

// --- steps

function step(name, run) {
  console.log(`\n== ${name}`);
  const startedAt = performance.now();
  run();
  console.log(`ok (${((performance.now() - startedAt) / 1000).toFixed(1)} s)`);
}

// The files of the package, counted, and what it will be called.
function showPacked(home) {
  const [packed] = JSON.parse(mustRun("npm", ["pack", "--dry-run", "--json", "--silent"], home));
  const { filename, entryCount, size, unpackedSize } = packed;
  const kilobytes = (bytes) => `${Math.round(bytes / 1000)} kB`;
  console.log(
    `${filename}: ${entryCount} files, ${kilobytes(size)} packed, ${kilobytes(unpackedSize)} unpacked`,
  );
}

// A release that was broken off goes on where it stopped.
function isPublished(name, version) {
  const words = ["view", `${name}@${version}`, "version"];
  return spawnSync("npm", words, { encoding: "utf8" }).stdout?.trim() === version;
}

// What was built and packed is what is committed.
function mustBeClean() {
  const changes = git("status", "--porcelain");
  if (changes !== "") throw new SetupError(`The steps have changed files:\n${changes}`);
}

function read(file) {
  return readFileSync(join(root, file), "utf8");
}

function git(...words) {
  return mustRun("git", words, root).trimEnd();
}

function mustRun(command, words, cwd) {
  const result = spawnSync(command, words, { cwd, encoding: "utf8" });
  if (result.status === 0) return result.stdout;
  const said = `${result.stderr ?? ""}${result.error?.message ?? ""}`;
  throw new SetupError(`${command} ${words.join(" ")}\n${said}`);
}

function show(command, words, cwd = root) {
  const { status, error } = spawnSync(command, words, { cwd, stdio: ["ignore", 1, 2] });
  if (status !== 0)
    throw new SetupError(
      `${command} ${words.join(" ")} failed${error ? `: ${error.message}` : ""}`,
    );
}
