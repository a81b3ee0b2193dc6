// npm packs a README and a licence only from the package's own folder; the ones to ship are the
// root's.

import { copyFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { buildLibrary } from "./build.mjs";
import { root } from "./install.mjs";

buildLibrary();
for (const name of ["README.md", "LICENSE"]) {
  const source = join(root, name);
  if (existsSync(source)) copyFileSync(source, join(root, "packages/asyncio", name));
}
