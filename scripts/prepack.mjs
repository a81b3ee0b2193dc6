// Puts beside a package what it ships and does not own: npm packs a README, a licence and pages
// only from the package's own folder. npm runs it in that folder.

import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { buildLibrary } from "./build.mjs";
import { ensureInstalled, root, withLockFile } from "./install.mjs";
import { pagesWith, withLivingLinks } from "./living-links.mjs";

const home = process.cwd();

for (const folder of withLockFile([home])) ensureInstalled(folder);
buildLibrary();
copyFileSync(join(root, "LICENSE"), join(home, "LICENSE"));
// The pages of the root are those of asyncio-ts; a neighbour has its own, and one change log is for
// all.
const isFirst = basename(home) === "asyncio";
if (isFirst) rmSync(join(home, "docs"), { recursive: true, force: true });
const pages = isFirst ? pagesWith("README.md", "CHANGELOG.md") : ["CHANGELOG.md"];
for (const page of pages) {
  mkdirSync(dirname(join(home, page)), { recursive: true });
  writeFileSync(join(home, page), withLivingLinks(page, pages));
}
