// Puts beside the package what it ships and does not own: npm packs a README, a licence and pages
// only from the package's own folder.

import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { buildLibrary } from "./build.mjs";
import { root } from "./install.mjs";
import { pagesWith, withLivingLinks } from "./living-links.mjs";

const home = join(root, "packages/asyncio");

buildLibrary();
copyFileSync(join(root, "LICENSE"), join(home, "LICENSE"));
rmSync(join(home, "docs"), { recursive: true, force: true });
const pages = pagesWith("README.md", "CHANGELOG.md");
for (const page of pages) {
  mkdirSync(dirname(join(home, page)), { recursive: true });
  writeFileSync(join(home, page), withLivingLinks(page, pages));
}
