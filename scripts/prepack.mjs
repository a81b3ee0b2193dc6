// Puts beside the package what it ships and does not own: npm packs a README, a licence and pages only from the package's
// own folder. Links of theirs that lead out of the package become absolute where package.json says where the repository
// is, and else their text alone: a dead link helps nobody.

import { copyFileSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { join as joinUrl } from "node:path/posix";
import { buildLibrary } from "./build.mjs";
import { root } from "./install.mjs";

const home = join(root, "packages/asyncio");
const { repository } = JSON.parse(readFileSync(join(home, "package.json"), "utf8"));
const web = repository?.url.replace(/^git\+/, "").replace(/\.git$/, "");

buildLibrary();
copyFileSync(join(root, "LICENSE"), join(home, "LICENSE"));
rmSync(join(home, "docs"), { recursive: true, force: true });
const pages = ["README.md", "CHANGELOG.md", ...globSync("docs/**/*.md", { cwd: root })].map(
  (page) => page.replaceAll("\\", "/"),
);
for (const page of pages) {
  mkdirSync(dirname(join(home, page)), { recursive: true });
  writeFileSync(join(home, page), withLivingLinks(page));
}

function withLivingLinks(page) {
  const text = readFileSync(join(root, page), "utf8");
  // Code has brackets, too, and is left as it is.
  const pieces =
    /^```[\s\S]*?^```$|`[^`\n]*`(?!\])|(!?)\[((?:[^[\]]|!?\[[^\]]*\])*)\]\(([^)\s]+)\)/gm;
  return text.replace(pieces, (whole, image, label, link) => {
    if (link === undefined || /^(#|[a-z]+:)/.test(link)) return whole;
    const [path, heading] = link.split("#");
    const target = joinUrl(dirname(page), path);
    if (pages.includes(target)) return whole;
    if (web === undefined) return image === "!" ? "" : label;
    const anchor = heading === undefined ? "" : `#${heading}`;
    return `${image}[${label}](${web}/${image === "!" ? "raw" : "blob"}/main/${target}${anchor})`;
  });
}
