/** Requests as they come over HTTP: checked by the schema, with errors by name. */

import type { z } from "@hono/zod-openapi";
import { PageError } from "../contract/errors.ts";
import { isTrue } from "./dialects.ts";
import { type FetchRequest, fetchRequest } from "./schema.ts";

const booleans = new Set(["retry_unsafe", "allow_downgrade", "json"]);
const numbers = new Set(
  "timeout attempt_timeout connect_timeout headers_timeout retries max_bytes max_redirects max_age".split(
    " ",
  ),
);
const objects = new Set(["headers", "extract"]);
const shape: Readonly<Record<string, unknown>> = fetchRequest.shape;

/** The value of one of our parameters in a query string; undefined if it is none of ours. */
export function ownParameter(name: string, value: string): unknown {
  if (!Object.hasOwn(shape, name)) return undefined;
  if (booleans.has(name)) return isTrue(value, name);
  if (numbers.has(name)) return value.trim() === "" ? Number.NaN : Number(value);
  if (!objects.has(name)) return value;
  try {
    return JSON.parse(value);
  } catch {
    throw new PageError("bad_request", `\`${name}\` is no JSON`, { parameter: name });
  }
}

/** @throws PageError `bad_request` or `unknown_parameter`, by the name of what is wrong. */
export function checkedRequest(json: unknown): FetchRequest {
  return checkedBy(fetchRequest, json);
}

export function checkedBy<S extends z.ZodType>(schema: S, json: unknown): z.infer<S> {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  if (issue?.code === "unrecognized_keys") {
    const [name = ""] = issue.keys;
    const text = `there is no parameter \`${name.slice(0, 64)}\``;
    throw new PageError("unknown_parameter", text, { parameter: name.slice(0, 64) });
  }
  const name = issue?.path.join(".") ?? "";
  const message = issue?.message ?? "the request cannot be read";
  if (name === "") throw new PageError("bad_request", message);
  throw new PageError("bad_request", `\`${name}\`: ${message}`, { parameter: name });
}

/** The key that a request carries: header, `X-Api-Key`, HTTP Basic as its user, or the query. */
export function secretOf(
  headers: ReadonlyMap<string, string>,
  query: URLSearchParams,
  names: readonly string[],
): string | undefined {
  const authorization = headers.get("authorization") ?? "";
  const bearer = /^bearer +(\S+)$/i.exec(authorization)?.[1];
  if (bearer !== undefined) return bearer;
  const basic = /^basic +(\S+)$/i.exec(authorization)?.[1];
  if (basic !== undefined) return Buffer.from(basic, "base64").toString("utf8").split(":")[0];
  const own = headers.get("x-api-key") ?? headers.get("x-sapi-api_key");
  if (own !== undefined) return own;
  for (const name of names) {
    const value = query.get(name);
    if (value !== null) return value;
  }
  return undefined;
}

/**
 * Why there is no key, and how to send one.
 * @param name - in the query, where this call takes none
 */
export function noKey(name: string | undefined, isTakenInQuery: boolean): PageError {
  const cure = "`Authorization: Bearer KEY` or `X-Api-Key: KEY`";
  if (name !== undefined)
    return new PageError(
      "unauthorized",
      `\`${name}\`: this call takes no key in the query, where logs keep it. Send ${cure}`,
      { parameter: name },
    );
  const text = `no key: send ${cure}${isTakenInQuery ? ", or `?key=KEY`" : ""}`;
  return new PageError("unauthorized", text);
}

/** The page is asked for by the method of the call, and gets its body. */
export function checkCall(
  called: string,
  { method = called, body }: Record<string, unknown>,
): void {
  const asked = String(method).toUpperCase();
  if (asked !== called && !(called === "HEAD" && asked === "GET"))
    throw refusedBy(
      "method",
      `the page is asked for by the method of this call, ${called}. Leave it out, or call by GET`,
    );
  if (body !== undefined && called !== "HEAD")
    throw refusedBy("body", "the page gets the body of this call. Leave it out, or call by GET");
}

/** A call that takes JSON would pass over what stands in the query. */
export function checkQuery(query: URLSearchParams, names: readonly string[]): void {
  for (const [name] of query) {
    if (names.includes(name)) continue;
    const parameter = name.slice(0, 64);
    const text = `there is no parameter \`${parameter}\` in the query: parameters are in the body`;
    throw new PageError("unknown_parameter", text, { parameter });
  }
}

function refusedBy(parameter: string, why: string): PageError {
  return new PageError("bad_request", `\`${parameter}\`: ${why}`, { parameter });
}

/** For the calls whose answer has no other form. */
export function checkJson(request: FetchRequest): void {
  if (request.json !== false) return;
  throw refusedBy(
    "json",
    "this call answers in JSON always, and it is false: `GET /` gives the page",
  );
}
