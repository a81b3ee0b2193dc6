// Pages that leave the repository, into the package and onto the site. Links of theirs that lead to
// what does not come along become absolute where package.json says where the repository is, and
// else their text alone: a dead link helps nobody.

import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { join as joinUrl } from "node:path/posix";
import { root } from "./install.mjs";

const { repository } = JSON.parse(
  readFileSync(join(root, "packages/asyncio/package.json"), "utf8"),
);
const web = repository?.url.replace(/^git\+/, "").replace(/\.git$/, "");

// The pages of docs/, and those named, as paths below the root.
export function pagesWith(...names) {
  return [...names, ...globSync("docs/**/*.md", { cwd: root })].map((page) =>
    page.replaceAll("\\", "/"),
  );
}

// The text of a page that goes along with `companions`.
export function withLivingLinks(page, companions) {
  const text = readFileSync(join(root, page), "utf8");
  // Code has brackets, too, and is left as it is.
  const pieces =
    /^```[\s\S]*?^```$|`[^`\n]*`(?!\])|(!?)\[((?:[^[\]]|!?\[[^\]]*\])*)\]\(([^)\s]+)\)/gm;
  return text.replace(pieces, (whole, image, label, link) => {
    if (link === undefined || /^(#|[a-z]+:)/.test(link)) return whole;
    const [path, heading] = link.split("#");
    const target = joinUrl(dirname(page), path);
    if (companions.includes(target)) return whole;
    if (web === undefined) return image === "!" ? "" : label;
    const anchor = heading === undefined ? "" : `#${heading}`;
    return `${image}[${label}](${web}/${image === "!" ? "raw" : "blob"}/main/${target}${anchor})`;
  });
}
