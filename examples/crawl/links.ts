// Addresses: when two of them are the same page, and which ones a page links to.
//
// Only pure functions live here; that a crawl ends at all depends on them, since a site with one
// page under a thousand spellings would otherwise be a site with a thousand pages.

import { Parser } from "htmlparser2";

const longestAddress = 2000;

/**
 * Resolves a link as it stands in a page, and removes what does not change the page it leads to.
 * Gives `undefined` for what is no web page: `mailto:`, `javascript:`, broken addresses.
 */
export function normaliseLink(link: string, base: URL): URL | undefined {
  if (link.length > longestAddress || !URL.canParse(link, base.href)) return undefined;
  const url = new URL(link, base);
  if (url.protocol !== "http:" && url.protocol !== "https:") return undefined;
  // The parser has lowered the host, dropped the default port and resolved dots already.
  url.hash = "";
  url.username = "";
  url.password = "";
  if (url.search === "") url.search = ""; // "/page?" is "/page": assigning removes the lone question mark
  url.pathname = normaliseEscapes(url.pathname);
  return url;
}

/** The pages that an HTML document links to, each once, in the order of the document. */
export function extractLinks(html: string, address: URL): URL[] {
  const found = new Map<string, URL>();
  let base = address;
  const parser = new Parser({
    // htmlparser2 lowers the names and decodes entities: `?a=1&amp;b=2` arrives as `?a=1&b=2`.
    onopentag(name, attributes) {
      const link = attributes.href;
      if (link === undefined) return;
      if (name === "base") base = normaliseLink(link, address) ?? base;
      if (name !== "a" && name !== "area") return;
      const url = normaliseLink(link, base);
      if (url !== undefined) found.set(url.href, url);
    },
  });
  parser.end(html);
  return [...found.values()];
}

/** Whether both are the same web site; `www.example.org` and `example.org` count as one. */
export function isSameSite(one: URL, other: URL): boolean {
  return siteName(one) === siteName(other);
}

function siteName(url: URL): string {
  return url.hostname.replace(/^www\./, "");
}

/**
 * `%7euser` and `~user` are one path (RFC 3986, 6.2.2): unreserved characters stand for themselves.
 */
function normaliseEscapes(path: string): string {
  return path.replace(/%[0-9a-f]{2}/gi, (escaped) => {
    const character = String.fromCharCode(Number.parseInt(escaped.slice(1), 16));
    return /[A-Za-z0-9._~-]/.test(character) ? character : escaped.toUpperCase();
  });
}
