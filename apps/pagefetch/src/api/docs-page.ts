/** The page of `/docs`: what to call, made from the schema. No script, and nothing from elsewhere. */

import { OpenAPIHono } from "@hono/zod-openapi";
import { errorKinds } from "../contract/errors.ts";
import { fetchRequest } from "./schema.ts";

/** Each parameter of a request, and what the schema says of it. README.md has the same. */
export const parameters: readonly (readonly [name: string, description: string])[] = describe();

function describe(): readonly (readonly [string, string])[] {
  // Descriptions are only in the document that the schema is made into.
  const app = new OpenAPIHono();
  app.openAPIRegistry.register("FetchRequest", fetchRequest);
  const info = { title: "pagefetch", version: "0" };
  const { components } = app.getOpenAPI31Document({ openapi: "3.1.0", info });
  const schema = components?.schemas?.FetchRequest ?? {};
  const properties: Readonly<Record<string, { readonly description?: string }>> = {
    ...("properties" in schema ? schema.properties : {}),
  };
  return Object.keys(fetchRequest.shape).map((name) => [name, properties[name]?.description ?? ""]);
}

export function docsPage(publicUrl = "http://127.0.0.1:8080"): string {
  const base = publicUrl.replace(/\/$/, "");
  const rows = parameters.map(
    ([name, text]) => `<tr><td><code>${name}</code></td><td>${escaped(text)}</td></tr>`,
  );
  const codes = Object.entries(errorKinds).map(
    ([code, { status, fault }]) =>
      `<tr><td><code>${code}</code></td><td>${status}</td><td>${fault}</td></tr>`,
  );
  return `${headOf("pagefetch")}
<body><h1>pagefetch</h1><p>Any page's HTML by one call, and nothing outlives the call.</p>
<pre>curl '${escaped(base)}/?key=KEY&amp;url=https://example.com/'</pre>
<pre>curl ${escaped(base)}/v1/fetch -H 'Authorization: Bearer KEY' \\
  -H 'Content-Type: application/json' -d '{"url": "https://example.com/", "output": "markdown"}'</pre>
<h2>Parameters</h2><p>The same in the query of <code>GET /</code> and in the JSON of <code>POST /v1/fetch</code>.</p>
<table>${rows.join("")}</table>
<h2>Answers</h2><p>A page comes with its own status. What is known of it stands in headers that begin with <code>X-Fetch-</code>.
Where there is no page, the body is JSON, and <code>error.code</code> one of these:</p>
<table><tr><th>code</th><th>status</th><th>whose fault</th></tr>${codes.join("")}</table>
<p>Machines read <a href="/openapi.json">/openapi.json</a>. Owners of sites read <a href="/contact">/contact</a>.</p></body></html>`;
}

/** Who fetches, for owners of sites who have found us in their logs. */
export interface Bot {
  /** What robots.txt can name. @default "pagefetch" */
  readonly product?: string | undefined;
  /** A page, or a mail address. */
  readonly contact?: string | undefined;
}

/** The page of `/contact`: who we are, and how to keep us away. */
export function contactPage({ product = "pagefetch", contact }: Bot): string {
  const whom =
    contact === undefined
      ? "The operator of this service has left no address."
      : `The operator: <b>${escaped(contact)}</b>.`;
  return `${headOf(product)}
<body><h1>For owners of sites</h1>
<p>This service fetches pages for the people who call it, and says who it is: <code>${escaped(product)}</code>. ${whom}</p>
<h2>To keep it away</h2><p>It reads <code>robots.txt</code> before it asks for a page, and does what that says:</p>
<pre>User-agent: ${escaped(product)}
Disallow: /</pre>
<p>A page or a directory can be named as well. <code>Crawl-delay</code> and <code>Retry-After</code> are kept to.
Write to the operator to be left alone altogether: the host is then put on a list, and no caller can fetch from it.</p></body></html>`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function headOf(title: string): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escaped(title)}</title>
<style>body{font:16px/1.5 system-ui;max-width:48rem;margin:2rem auto;padding:0 1rem}td{padding:.2rem .8rem .2rem 0;vertical-align:top}pre{background:#f4f4f4;padding:.8rem;overflow:auto}</style></head>`;
}
