/** Sites that behave, and those that fail in ways that a second try may cure. */

import { html, numberOf, pageOf, type Sites } from "../site.ts";

/** The page that everybody knows. */
export const exampleDomain = `<!doctype html>
<html>
<head>
    <title>Example Domain</title>

    <meta charset="utf-8" />
    <meta http-equiv="Content-type" content="text/html; charset=utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
</head>

<body>
<div>
    <h1>Example Domain</h1>
    <p>This domain is for use in illustrative examples in documents. You may use this
    domain in literature without prior coordination or asking for permission.</p>
    <p><a href="https://www.iana.org/domains/example">More information...</a></p>
</div>
</body>
</html>
`;

const pages = new Map<number, string>();

export const plainSites: Sites = {
  "example.com": (ask) => html(ask, exampleDomain),
  "www.example.com": (ask) => html(ask, exampleDomain),

  /** `/bytes/20000`, `/status/503`, `/echo`, `/cookie?name=value`, `/cache?control=...`. */
  "pages.farm.test": (ask) => {
    const { url, request, client, body } = ask;
    const [, what, size = ""] = url.pathname.split("/");
    if (what === "bytes") {
      const bytes = Number(size);
      const page = pages.get(bytes) ?? pageOf(bytes);
      pages.set(bytes, page);
      return html(ask, page);
    }
    if (what === "status") return html(ask, `<p>${size}</p>`, Number(size));
    if (what === "echo") {
      const { method, rawHeaders } = request;
      const seen = { method, path: url.pathname + url.search, rawHeaders, client, body: `${body}` };
      return html(ask, JSON.stringify(seen), 200, { "content-type": "application/json" });
    }
    if (what === "cookie")
      return html(ask, "<p>set</p>", 200, { "set-cookie": `${url.search.slice(1)}; Path=/` });
    if (what === "cache") {
      const tag = url.searchParams.get("etag");
      const headers = {
        "cache-control": url.searchParams.get("control") ?? "no-store",
        date: new Date().toUTCString(),
        ...(tag === null ? {} : { etag: `"${tag}"` }),
      };
      if (tag !== null && request.headers["if-none-match"] === `"${tag}"`) {
        ask.response.writeHead(304, headers).end();
        return;
      }
      return html(ask, `<p>answer ${ask.count}</p>`, 200, headers);
    }
    html(ask, "<!doctype html><title>Pages</title><p>Hello.</p>");
  },

  /** `/2?how=503&key=x` fails the first two times, then answers. */
  "flaky.farm.test": (ask) => {
    const failures = Number(ask.url.pathname.slice(1));
    if (!(ask.count <= failures)) return html(ask, `<p>answer ${ask.count}</p>`); // no number, too
    const how = ask.url.searchParams.get("how") ?? "503";
    if (how === "reset") ask.socket.resetAndDestroy();
    else if (how === "short") {
      ask.socket.end(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 100\r\n\r\n<p>",
      );
    } else html(ask, `<p>failure ${ask.count}</p>`, Number(how));
  },

  /** `/429?after=2`: any text as `Retry-After`, once or `times` times. `/402`. `/quota?most=3`. */
  "limits.farm.test": (ask) => {
    const { url, client } = ask;
    const after = url.searchParams.get("after");
    const headers = after === null ? {} : { "retry-after": after };
    if (url.pathname === "/402")
      return html(ask, "<p>Pay first.</p>", 402, { "crawler-price": "USD 0.01" });
    if (url.pathname === "/quota") {
      const used = (quotas.get(client) ?? 0) + 1;
      quotas.set(client, used);
      if (used > numberOf(url, "most", 3)) return html(ask, "<p>Enough.</p>", 429, headers);
      return html(ask, `<p>${used} for ${client}</p>`);
    }
    if (ask.count > numberOf(url, "times", 1)) return html(ask, `<p>answer ${ask.count}</p>`);
    html(ask, "<p>Slow down.</p>", Number(url.pathname.slice(1)) || 429, headers);
  },
};

/** Requests by address of the client. */
const quotas = new Map<string, number>();
