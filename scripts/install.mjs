// Installs a folder's locked packages when they are missing or out of date, and says nothing
// otherwise. Runs on whatever Node the machine has, before anything is installed: plain
// JavaScript, no packages.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { delimiter, join, sep } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

// A failure that is told to the user as it stands, without a stack.
export class SetupError extends Error {}

// Whether `ensureInstalled` would find nothing to do.
export function isInstalledIn(folder) {
  return isInstalled(folder, ...lockOf(folder));
}

// The lock file, the stamp of what was installed by it, and what the stamp has to say.
function lockOf(folder) {
  const lock = join(folder, "package-lock.json");
  const stamp = join(folder, "node_modules", ".installed-lock");
  return [lock, stamp, createHash("sha256").update(readFileSync(lock)).digest("hex")];
}

// What is installed in a folder, and how much it is: it completes the sentence "Installing ...". It
// is the description in its package.json, or `config.installs` where the description is for npm.
export function whatIsInstalledIn(folder) {
  const { config, description } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return config?.installs ?? description;
}

// Runs `npm ci` in `folder` unless its packages already match its lock file. Throws SetupError with
// npm's own words when npm fails.
// Packages of this repository that it stands on, with a lock file of their own, come first.
export function ensureInstalled(folder) {
  const { dependencies = {} } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const links = Object.values(dependencies).filter((version) => version.startsWith("file:"));
  const linked = links.map((version) => join(folder, version.slice("file:".length)));
  for (const one of withLockFile(linked)) ensureInstalled(one);

  const [lock, stamp, hash] = lockOf(folder);
  if (isInstalled(folder, lock, stamp, hash)) return;

  process.stdout.write(`Installing ${whatIsInstalledIn(folder)} ...`);
  const startedAt = Date.now();
  const result = npm(["ci", "--include=dev", "--include=optional"], folder);
  if (result.status !== 0) {
    process.stdout.write(" failed\n");
    const output = `${result.stdout ?? ""}${result.stderr ?? ""}${result.error?.message ?? ""}`;
    throw new SetupError(
      `\`npm ci\` in ${folder} did not succeed:\n\n${output.trim().replace(/^/gm, "  ")}\n\n` +
        "It needs the npm registry and nothing else. Check the network and the registry " +
        "(`npm ping`), the free disk space, then run the command again.",
    );
  }
  writeFileSync(stamp, `${hash}\n`);
  process.stdout.write(` ${((Date.now() - startedAt) / 1000).toFixed(0)} s\n`);
}

// Those of the folders that have a lock file of their own, as some examples have.
export function withLockFile(folders) {
  return [...new Set(folders)].filter((folder) => existsSync(join(folder, "package-lock.json")));
}

// The folders with a lock file of their own whose TypeScript is checked with everything else.
export function foldersWithTypes() {
  const within = (name) => readdirSync(join(root, name)).map((entry) => join(root, name, entry));
  return withLockFile([join(root, "bench"), ...["apps", "examples", "packages"].flatMap(within)]);
}

function isInstalled(folder, lock, stamp, hash) {
  if (existsSync(stamp) && readFileSync(stamp, "utf8").trim() === hash) return true;
  // Somebody ran `npm install` or `npm ci` by hand: npm writes its hidden lock file last.
  const hidden = join(folder, "node_modules", ".package-lock.json");
  if (!existsSync(hidden) || statSync(hidden).mtimeMs + 2000 < statSync(lock).mtimeMs) return false;
  writeFileSync(stamp, `${hash}\n`);
  return true;
}

// `npm ci` deletes node_modules, and with it the Node that npm scripts find first. So npm is run
// by the machine's own Node.
function npm(args, cwd) {
  const path = (process.env.PATH ?? "")
    .split(delimiter)
    .filter((entry) => !entry.includes(`${sep}node_modules${sep}.bin`))
    .join(delimiter);
  const env = { ...process.env, PATH: path };
  // Set by an outer npm for the outer folder; the inner npm works them out for itself.
  for (const name of Object.keys(env)) {
    if (/^npm_(package|lifecycle|command)/.test(name)) delete env[name];
  }
  const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
  const impatient = ["--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"];
  const words = ["npm", ...args, ...quiet, ...impatient];
  if (process.platform === "win32") {
    const stdio = ["ignore", "pipe", "pipe"];
    return spawnSync(words[0], words.slice(1), { cwd, env, encoding: "utf8", shell: true, stdio });
  }
  return spawnSync(process.execPath, [join(root, "scripts/progress.mjs"), "npm", ...words], {
    cwd,
    env,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe", process.stdout.fd],
  });
}
