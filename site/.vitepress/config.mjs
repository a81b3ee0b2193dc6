// The site: what scripts/site.mjs has put into pages/. Its order is that of "Read on" in the
// README, which leads to each page.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig } from "vitepress";

const pages = join(import.meta.dirname, "../pages");
const reference = JSON.parse(readFileSync(join(pages, "reference/typedoc-sidebar.json"), "utf8"));
const [, readOn = ""] =
  /^## Read on$([\s\S]*)/m.exec(readFileSync(join(pages, "README.md"), "utf8")) ?? [];
const links = [...readOn.matchAll(/\]\(([\w./-]+)\.md\)/g)].map(([, path]) => path);
const isGuide = (path) => path.startsWith("docs/guide/");

function entryOf(path) {
  const [, text] = /^# (.+)$/m.exec(readFileSync(join(pages, `${path}.md`), "utf8"));
  return { text: text.replaceAll("`", ""), link: `/${path}` };
}

// As GitHub does it: the links of the pages are made for both.
function slugify(heading) {
  return heading
    .toLowerCase()
    .replaceAll(/[^\w\s-]/g, "")
    .replaceAll(/\s/g, "-");
}

// biome-ignore lint/style/noDefaultExport: VitePress asks for one
export default defineConfig({
  title: "asyncio-ts",
  description: "asyncio for TypeScript: tasks, timeouts, queues, streams and clean cancellation",
  srcDir: "pages",
  outDir: "dist",
  cacheDir: "node_modules/.vitepress",
  rewrites: { "README.md": "index.md" },
  cleanUrls: false,
  // Code is up to 100 columns wide. The theme's column holds 65.
  head: [["style", {}, ".VPDoc.has-aside .content-container { max-width: 900px !important; }"]],
  markdown: {
    anchor: { slugify },
    languages: ["ts", "js", "python", "sh", "json"],
  },
  themeConfig: {
    search: { provider: "local" },
    outline: [2, 3],
    nav: [
      { text: "Guide", link: "/docs/guide/fifteen-minutes" },
      { text: "Reference", link: "/reference/" },
      { text: "Changes", link: "/CHANGELOG" },
    ],
    sidebar: [
      { text: "asyncio-ts", items: [{ text: "Start here", link: "/" }] },
      { text: "Guide", items: links.filter(isGuide).map(entryOf) },
      { text: "Reference", link: "/reference/", collapsed: true, items: reference },
      { text: "Read on", items: links.filter((path) => !isGuide(path)).map(entryOf) },
    ],
  },
});
