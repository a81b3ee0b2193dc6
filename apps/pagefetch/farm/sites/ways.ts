/** Sites that lead elsewhere, speak in other charsets, or have a robots.txt. */

import { html, type Site, type Sites } from "../site.ts";
import { bombOf } from "./hostile.ts";

/** What is no ASCII in `to` goes out as bytes of UTF-8, as hosts send it. */
export function redirect(to: string, status = 302, headers: object = {}): Site {
  const location = Buffer.from(to).toString("latin1");
  return (ask) => html(ask, "<p>elsewhere</p>", status, { location, ...headers });
}

const ways: Readonly<Record<string, Site>> = {
  "/loop": redirect("/loop"),
  "/relative": redirect("../pages?x=1#part"),
  "/downgrade": redirect("http://pages.farm.test/"),
  "/cross": redirect("http://pages.farm.test/echo", 302, { "set-cookie": "from=redirect; Path=/" }),
  "/own-cookie": redirect("/echo", 302, { "set-cookie": "own=1; Path=/" }),
  "/bad": redirect("http://[:::1]/"),
  "/empty": redirect(""),
  "/file": redirect("file:///etc/passwd"),
  "/script": redirect("javascript:alert(1)"),
  "/data": redirect("data:text/html,hello"),
  "/metadata": redirect("http://169.254.169.254/latest/meta-data/"),
  "/inside": redirect("http://inside.farm.test/"),
  "/decimal": redirect("http://2130706433/"),
  "/mapped": redirect("http://[::ffff:127.0.0.1]/"),
  "/no-location": (ask) => html(ask, "<p>where?</p>", 302),
  "/many-choices": (ask) => html(ask, "<p>choose</p>", 300),
};

const text = "Grüße, 世界 und Здравствуй";
const sjis = Buffer.from([0x93, 0xfa, 0x96, 0x7b]); // 日本
const gbk = Buffer.from([0xc4, 0xe3, 0xba, 0xc3]); // 你好

const utf16 = (body: string): Buffer => Buffer.from(body, "utf16le");
type Body = readonly [type: string, body: string | Buffer];
const around = (meta: string, body: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`<html><head>${meta}</head><body>`), body, Buffer.from("</body>")]);

const charsets: Readonly<Record<string, Body>> = {
  "/utf8": ["text/html; charset=utf-8", text],
  "/quoted": ['text/html; charset="UTF-8"', text],
  "/header-sjis": ["text/html; charset=Shift_JIS", around("", sjis)],
  "/meta-gbk": ["text/html", around('<meta charset="gbk">', gbk)],
  "/meta-late": ["text/html", around(`${" ".repeat(2000)}<meta charset="gbk">`, gbk)],
  "/bom-wins": ["text/html; charset=iso-8859-1", Buffer.from(`\ufeff${text}`)],
  "/utf16-bom": ["text/html", Buffer.concat([Buffer.from([0xff, 0xfe]), utf16(text)])],
  "/meta-utf16": ["text/html", around('<meta charset="utf-16">', Buffer.from(text))],
  "/unknown": ["text/html; charset=ISO-88509-1", Buffer.from([0x47, 0xfc, 0x6e])],
  "/none": ["text/html", Buffer.from([0x80, 0x93, 0xfc])],
  "/replacement": ["text/html; charset=iso-2022-kr", Buffer.from("<p>x</p>")],
  "/long-type": [`text/html; note=${"x".repeat(14_000)}`, "<p>typed</p>"],
  "/wrong": ["text/html; charset=utf-8", Buffer.from([0xfc, 0x41])],
};

/** What `/robots.txt` is, by the first part of the name. Everything else there is a page. */
const robots: Readonly<Record<string, Site>> = {
  none: (ask) => html(ask, "not here", 404),
  forbidden: (ask) => html(ask, "no", 403),
  broken: (ask) => html(ask, "oops", 500),
  closed: (ask) => html(ask, "User-agent: *\nDisallow: /\n", 200, plain),
  partly: (ask) =>
    html(ask, "User-agent: *\nCrawl-delay: 2\nDisallow: /private\nAllow: /\n", 200, plain),
  /** ESC c: a terminal that is shown this is reset. */
  steering: (ask) => html(ask, "User-agent: *\nDisallow: /\x1bcprivate\n", 200, plain),
  away: redirect("http://closed.robots.test/robots.txt"),
  round: redirect("/robots.txt"),
  inside: redirect("http://inside.farm.test/robots.txt"),
  big: (ask) =>
    html(ask, `${"# filler\n".repeat(120_000)}User-agent: *\nDisallow: /\n`, 200, plain),
  slow: ({ socket }) => void socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nUser"),
  bomb: (ask) => html(ask, bombOf(["br"], 100), 200, { ...plain, "content-encoding": "br" }),
  page: (ask) => html(ask, "<html><body>Not a robots file</body></html>"),
};
const plain = { "content-type": "text/plain" };

export const waySites: Sites = {
  /** `/chain/5`, `/to?status=307&url=...`, and the ways above. */
  "redirect.farm.test": (ask) => {
    const { pathname, searchParams } = ask.url;
    const [, what, count] = pathname.split("/");
    if (what === "chain") {
      const left = Number(count);
      if (left > 0) return redirect(`/chain/${left - 1}`)(ask);
      return html(ask, "<p>the end of the chain</p>");
    }
    if (what === "to")
      return redirect(
        searchParams.get("url") ?? "/",
        Number(searchParams.get("status") ?? 302),
      )(ask);
    const way = ways[pathname];
    if (way !== undefined) return way(ask);
    html(ask, JSON.stringify({ rawHeaders: ask.request.rawHeaders, path: pathname }));
  },

  "charset.farm.test": (ask) => {
    const [type, body] = charsets[ask.url.pathname] ?? ["text/html", "<p>?</p>"];
    html(ask, body, 200, { "content-type": type });
  },
};

export const robotSites: Sites = {
  "*.robots.test": (ask) => {
    const site = robots[ask.url.hostname.split(".")[0] ?? ""];
    if (ask.url.pathname === "/robots.txt" && site !== undefined) return site(ask);
    html(ask, `<p>${ask.url.pathname}</p>`);
  },
};
