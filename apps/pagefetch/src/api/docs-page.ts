/** The page of `/docs`: what to call, made from the schema. No script, and nothing from elsewhere. */

import { errorKinds } from "../contract/errors.ts";
import { fetchRequest } from "./schema.ts";

export function docsPage(publicUrl = "http://127.0.0.1:8080"): string {
  const base = publicUrl.replace(/\/$/, "");
  const rows = Object.entries(fetchRequest.shape).map(([name, schema]) => {
    const { description = "" } = metaOf(schema);
    return `<tr><td><code>${name}</code></td><td>${escaped(description)}</td></tr>`;
  });
  const codes = Object.entries(errorKinds).map(
    ([code, { status, fault }]) =>
      `<tr><td><code>${code}</code></td><td>${status}</td><td>${fault}</td></tr>`,
  );
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>pagefetch</title>
<style>body{font:16px/1.5 system-ui;max-width:48rem;margin:2rem auto;padding:0 1rem}td{padding:.2rem .8rem .2rem 0;vertical-align:top}pre{background:#f4f4f4;padding:.8rem;overflow:auto}</style></head>
<body><h1>pagefetch</h1><p>Any page's HTML by one call, and nothing outlives the call.</p>
<pre>curl '${escaped(base)}/?key=KEY&amp;url=https://example.com/'</pre>
<pre>curl ${escaped(base)}/v1/fetch -H 'Authorization: Bearer KEY' \\
  -H 'Content-Type: application/json' -d '{"url": "https://example.com/", "output": "markdown"}'</pre>
<h2>Parameters</h2><p>The same in the query of <code>GET /</code> and in the JSON of <code>POST /v1/fetch</code>.</p>
<table>${rows.join("")}</table>
<h2>Answers</h2><p>A page comes with its own status. What is known of it stands in headers that begin with <code>X-Fetch-</code>.
Where there is no page, the body is JSON, and <code>error.code</code> one of these:</p>
<table><tr><th>code</th><th>status</th><th>whose fault</th></tr>${codes.join("")}</table>
<p>Machines read <a href="/openapi.json">/openapi.json</a>.</p></body></html>`;
}

function metaOf(schema: { meta?: () => unknown; _zod?: unknown }): { description?: string } {
  const internal = schema as { _def?: { openapi?: { metadata?: { description?: string } } } };
  const { description } = internal._def?.openapi?.metadata ?? {};
  return description === undefined ? {} : { description };
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
