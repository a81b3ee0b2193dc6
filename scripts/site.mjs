// Builds the site: the pages of docs/ and the reference, which TypeDoc makes of the doc comments,
// with a search over both. Everything that it needs is pinned in site/ and installed on first use.
// A link that leads nowhere is a failure.
//
//   --serve   shows the site on http://localhost:4173 afterwards, until Ctrl-C

import { spawnSync } from "node:child_process";
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { buildLibrary } from "./build.mjs";
import { ensureInstalled, root, SetupError } from "./install.mjs";
import { pagesWith, withLivingLinks } from "./living-links.mjs";
import { runWithProgress } from "./progress.mjs";

const home = join(root, "site");
const pagesFolder = join(home, "pages");
const built = join(home, "dist");
const seconds = 300;
const images = ["bench/charts/growth.svg", "bench/charts/ratios.svg"];

// Gives how many pages there are. Throws SetupError with what the tools say.
export async function buildSite() {
  ensureInstalled(home);
  buildLibrary();
  rmSync(pagesFolder, { recursive: true, force: true });
  const pages = pagesWith("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "bench/README.md");
  for (const page of pages) {
    mkdirSync(dirname(join(pagesFolder, page)), { recursive: true });
    writeFileSync(join(pagesFolder, page), withLivingLinks(page, [...pages, ...images]));
  }
  for (const image of images) cpSync(join(root, image), join(pagesFolder, image));
  await tool("TypeDoc", "node_modules/typedoc/bin/typedoc");
  await tool("VitePress", "node_modules/vitepress/bin/vitepress.js", "build");
  const dead = deadAnchors();
  if (dead.length > 0)
    throw new SetupError(`links to headings that do not exist:\n${dead.join("\n")}`);
  return globSync("**/*.html", { cwd: built }).length;
}

async function tool(name, script, ...args) {
  const { code, output } = await runWithProgress(name, process.execPath, [script, ...args], {
    cwd: home,
    seconds,
  });
  if (code !== 0) throw new SetupError(`${name} found problems:\n${output}`);
}

// VitePress looks whether the page of a link exists; this looks for the heading.
function deadAnchors() {
  const texts = new Map(
    globSync("**/*.html", { cwd: built }).map((file) => [
      `/${file.replaceAll("\\", "/")}`,
      readFileSync(join(built, file), "utf8"),
    ]),
  );
  const ids = new Map(
    [...texts].map(([file, text]) => [
      file,
      new Set([...text.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id)),
    ]),
  );
  return [...texts].flatMap(([file, text]) =>
    [...text.matchAll(/ href="([^"#]*)#([^"]+)"/g)].flatMap(([, path, anchor]) => {
      const { pathname, origin } = new URL(path === "" ? file : path, `http://site${file}`);
      if (origin !== "http://site") return [];
      const target = pathname.endsWith("/") ? `${pathname}index.html` : pathname;
      const known = ids.get(target);
      return known === undefined || known.has(decodeURIComponent(anchor))
        ? []
        : [`${file}: ${path}#${anchor}`];
    }),
  );
}

if (import.meta.main) {
  try {
    const count = await buildSite();
    console.log(`${count} pages in site/dist`);
    if (process.argv.includes("--serve"))
      spawnSync(process.execPath, ["node_modules/vitepress/bin/vitepress.js", "preview"], {
        cwd: home,
        stdio: "inherit",
      });
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
