// Makes a fresh clone ready to run: installs what the lock file pins, builds the library. Every npm
// script runs it first; when there is nothing to do it is silent and takes a few hundredths of a
// second. It must work on Node 20, and it must be a script of its own: the shell that runs a script
// line looks `node` up once, and only the next line finds the Node 24 that was installed here.
//
//   --install-only   leave the build out
//   --rebuild        build also when nothing has changed
//   FOLDER           install also what this folder's own lock file pins
//   --summary        on failure, end with the line that `npm test` ends with

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { buildLibrary } from "./build.mjs";
import { ensureInstalled, root, SetupError } from "./install.mjs";

const args = process.argv.slice(2);
const options = new Set(args.filter((arg) => arg.startsWith("--")));
const folders = args.filter((arg) => !options.has(arg));

try {
  ensureInstalled(root);
  requireNode24();
  for (const folder of folders) ensureInstalled(resolve(folder));
  if (!options.has("--install-only")) buildLibrary({ force: options.has("--rebuild") });
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(`\n${error.message}\n`);
  if (options.has("--summary")) console.log("0 passed, 1 failed");
  process.exitCode = 1;
}

// The sources are run as TypeScript, `using` included. On Linux the right Node is a package; on
// other systems it has to be there.
function requireNode24() {
  if (existsSync(join(root, "node_modules/.bin/node"))) return;
  if (Number.parseInt(process.versions.node, 10) >= 24) return;
  throw new SetupError(
    `Development needs Node 24 or newer, and this is ${process.version}. The lock file has a Node ` +
      `for Linux (x64, arm64) and none for ${process.platform}-${process.arch}: install Node 24.`,
  );
}
