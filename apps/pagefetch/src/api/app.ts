/**
 * The HTTP API. Each request is a scope that ends when its client leaves; with it end the fetch, its
 * connections and its waits. Nothing of a key or of a proxy is in any answer or log.
 */

import type { HttpBindings } from "@hono/node-server";
import { OpenAPIHono } from "@hono/zod-openapi";
import * as asyncio from "asyncio-ts";
import { RateLimiter } from "asyncio-ts/patterns";
import type { Context } from "hono";
import { PageError } from "../contract/errors.ts";
import type { Hold } from "../contract/held.ts";
import { directoryPath, directoryType, type PublicKeyJwk } from "../identity/signature.ts";
import type { Key } from "../store/keys.ts";
import { storeIsAway } from "../store/trouble.ts";
import { requireScope } from "./admission.ts";
import {
  attemptsOf,
  contentType,
  envelope,
  errorBody,
  errorHeaders,
  type Failed,
  jsonText,
  named,
  ourFault,
  receiptHeaders,
} from "./answers.ts";
import { jsonBody, textOf } from "./body.ts";
import {
  type Dialect,
  type Draft,
  merged,
  proxiesApi,
  scraperApi,
  scrapingBee,
  zyte,
} from "./dialects.ts";
import { type Bot, contactPage, docsPage } from "./docs-page.ts";
import {
  checkCall,
  checkedBy,
  checkedRequest,
  checkJson,
  checkQuery,
  noKey,
  ownParameter,
  secretOf,
} from "./requests.ts";
import {
  batchRequest,
  claimRequest,
  errorAnswer,
  type FetchRequest,
  fetchAnswer,
  fetchRequest,
} from "./schema.ts";
import { type Patience, patienceWith, send, sendResults, sent } from "./sending.ts";
import { outputOf, type Service, type Shaped } from "./service.ts";
import { translate } from "./translate.ts";

export interface AppOptions {
  readonly service: Service;
  /** Serves dialects that render by default without rendering. @default false */
  readonly rendersNever?: boolean | undefined;
  /** Whether a key may come in the query. It stands in the logs of proxies then. @default true */
  readonly queryKeys?: boolean | undefined;
  /** Sends the link of a claim. Without it nobody can claim a key. */
  readonly sendClaim?: ((address: string, link: string) => Promise<void>) | undefined;
  /** Where this service is seen from outside, for links. */
  readonly publicUrl?: string | undefined;
  /** Who fetches, as `/contact` says it. */
  readonly bot?: Bot | undefined;
  /** Public keys of the bot's signatures. */
  readonly directory?: { readonly keys: readonly PublicKeyJwk[] } | undefined;
  /** Seconds for which a client may take nothing of an answer that is held for it. @default 60 */
  readonly sendTimeout?: number | undefined;
  /** Told of each failure that is ours, without anything secret. */
  readonly onError?: ((error: unknown, id: string) => void) | undefined;
}

interface Env {
  Bindings: HttpBindings;
  /** Counts the body of the request, and the answer, until that has been sent or is given up. */
  Variables: { hold: Hold; patience: Patience };
}
type Ask = Context<Env>;

const textTypes: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  text: "text/plain; charset=utf-8",
  markdown: "text/markdown; charset=utf-8",
};

export function createApp(options: AppOptions): OpenAPIHono<Env> {
  const { service, queryKeys = true, rendersNever = false, sendTimeout = 60 } = options;
  const app = new OpenAPIHono<Env>();

  app.use(async (c, next) => {
    const hold = service.held.open("no key");
    c.set("hold", hold);
    // Tests call the app without a connection.
    if (c.env?.incoming === undefined) return await next().finally(() => hold.end());
    const { incoming: request, outgoing: response } = c.env;
    response.once("close", () => hold.end());
    if (response.destroyed) hold.end(); // its client has left already
    const patience = patienceWith(response, sendTimeout);
    c.set("patience", patience);
    await service.serving(() => asyncio.requestScope({ request, response }, next));
    patience.begin(); // what there is to send is there
  });
  /** A failure as its caller learns it. What is ours is reported. */
  const failed = (error: unknown): Failed => {
    const id = crypto.randomUUID();
    const told = error instanceof PageError ? error : storeIsAway(error);
    if (told !== error) options.onError?.(error, id);
    if (told === undefined) return { ...ourFault, text: JSON.stringify({ ...ourFault.body, id }) };
    const text = JSON.stringify(errorBody(told, id));
    return { status: told.status, headers: errorHeaders(told, id), text };
  };
  app.onError((error) => {
    if (error instanceof asyncio.CancelledError) return new Response(null, { status: 503 });
    const { text, ...head } = failed(error);
    return new Response(text, head);
  });
  app.notFound((c) =>
    c.json({ error: { code: "bad_request", message: "there is nothing here: see /docs" } }, 404),
  );

  const own = ["key", "api_key", "auth_key", "token"];
  const keyOf = async (c: Ask, names: readonly string[]): Promise<Key> => {
    const taken = queryKeys ? names : [];
    const query = queryOf(c);
    const secret = secretOf(headersOf(c), query, taken);
    const refused = own.find((name) => query.has(name) && !taken.includes(name));
    if (!secret || refused !== undefined) throw noKey(refused, taken.length > 0);
    const key = await service.admission.keyOf(secret);
    c.get("hold").belongTo(key.id);
    return key;
  };

  // The advert's call, and the same with another service's parameters.
  const simple = (dialect: Dialect) => async (c: Ask) => {
    const query = queryOf(c);
    if (dialect === proxiesApi && [...query].length === 0)
      return c.html(docsPage(options.publicUrl));
    const key = await keyOf(c, [...own, ...dialect.keys]);
    const headers = headersOf(c);
    const parameters = [...query].filter(([name]) => !own.includes(name));
    for (const [name, value] of headers) {
      if (dialect === scraperApi && name.startsWith("x-sapi-") && name !== "x-sapi-api_key") {
        parameters.push([name.slice("x-sapi-".length), value]);
      }
    }
    const ownOnes = dialect === proxiesApi ? { own: ownParameter } : {};
    const { request, answer } = translate(dialect, parameters, headers, {
      rendersNever,
      ...ownOnes,
    });
    if (c.req.method !== "GET") checkCall(c.req.method, request);
    if (c.req.method === "HEAD") request.method = "HEAD";
    else if (c.req.method !== "GET") {
      request.method = c.req.method;
      request.body = await textOf(c.req.raw, c.get("hold"));
      const contentType = headers.get("content-type");
      if (contentType !== undefined) {
        request.headers = merged(
          { "content-type": contentType },
          (request.headers ?? {}) as object,
        );
      }
    }
    return await answered(c, key, checkedRequest(request), dialect, answer);
  };

  async function answered(
    c: Ask,
    key: Key,
    request: FetchRequest,
    dialect: Dialect,
    answer: Draft["answer"],
  ): Promise<Response> {
    const isWhole = answer.envelope || request.json === true || request.extract !== undefined;
    const output = request.output ?? (request.extract === undefined ? "raw" : "extract");
    if (!isWhole && output === "raw" && c.env?.outgoing !== undefined) {
      const { outgoing } = c.env;
      const sending = service.stream(key, request, (page, id) =>
        send(outgoing, page, statusFor(answer, page.head.status), {
          ...receiptHeaders(page.head, id),
          ...named(dialect, page.head.status, page.head.finalUrl, attemptsOf(page.head)),
        }),
      );
      return await sent(outgoing, sending);
    }
    return await service.fetch(key, { ...request, output }, (shaped) => {
      if (answer.envelope || request.json === true) return json(c, jsonOf(shaped, request));
      const { page, content, id } = shaped;
      const headers = {
        ...receiptHeaders(page, id),
        "x-fetch-cost": String(shaped.cost),
        ...named(dialect, page.status, page.finalUrl, shaped.cost),
        "content-type":
          textTypes[output] ??
          (output === "raw"
            ? (contentType(page.headers) ?? "application/octet-stream")
            : "application/json; charset=utf-8"),
      };
      const body =
        content instanceof Uint8Array || typeof content === "string" ? content : jsonText(content);
      const status = statusFor(answer, page.status);
      c.get("hold").add(Buffer.byteLength(body));
      return new Response(isEmpty(status) ? null : (body as string), { status, headers });
    });
  }

  app.get("/", simple(proxiesApi));
  app.post("/", simple(proxiesApi));
  app.on(["GET", "POST", "PUT"], "/api/v1", simple(scrapingBee));
  app.on(["GET", "POST", "PUT"], "/scraperapi", simple(scraperApi));

  app.post("/v1/extract", async (c) => {
    const key = await keyOf(c, []);
    checkQuery(queryOf(c), []);
    const given = await jsonBody(c.req.raw, c.get("hold"));
    if (typeof given !== "object" || given === null || Array.isArray(given)) {
      throw new PageError("bad_request", "expected a JSON object");
    }
    const parameters = Object.entries(given).map(
      ([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)] as const,
    );
    const { request, answer: form } = translate(zyte, parameters, headersOf(c), { rendersNever });
    return await service.fetch(key, checkedRequest({ ...request, output: "raw" }), ({ page }) => {
      const echoed = (given as { echoData?: unknown }).echoData;
      const answer = {
        url: page.finalUrl,
        statusCode: page.status,
        httpResponseBody: Buffer.from(page.bytes).toString("base64"),
        ...(form.headers === false
          ? {}
          : { httpResponseHeaders: page.headers.map(([name, value]) => ({ name, value })) }),
        ...(echoed === undefined ? {} : { echoData: echoed }),
      };
      return json(c, jsonText(answer));
    });
  });

  const failures = {
    default: {
      description:
        "No page. `error.code` is one of a closed set. `error.limit` names the limit that was reached: with `overloaded` it is `maxRunning`, `maxHeldBytes` or `outputs.maxQueue`.",
      content: { "application/json": { schema: errorAnswer } },
    },
  };
  app.openAPIRegistry.registerPath({
    method: "post",
    path: "/v1/fetch",
    summary: "Fetch a page",
    request: { body: { content: { "application/json": { schema: fetchRequest } } } },
    responses: {
      200: {
        description: "The page, with all receipts",
        content: { "application/json": { schema: fetchAnswer } },
      },
      ...failures,
    },
  });
  app.post("/v1/fetch", async (c) => {
    const key = await keyOf(c, own);
    checkQuery(queryOf(c), own);
    const request = checkedRequest(await jsonBody(c.req.raw, c.get("hold")));
    checkJson(request);
    return await service.fetch(key, request, (shaped) => json(c, jsonOf(shaped, request)));
  });

  app.post("/v1/batch", async (c) => {
    const key = await keyOf(c, own);
    checkQuery(queryOf(c), own);
    const hold = c.get("hold");
    const { requests, concurrency = 5 } = checkedBy(batchRequest, await jsonBody(c.req.raw, hold));
    // One cancel for all: the client that leaves ends each of them.
    const results = asyncio.mapConcurrent(
      requests,
      async (request) => {
        try {
          checkJson(request);
          return await service.fetch(key, request, (shaped) => {
            const text = jsonOf(shaped, request);
            const held = Buffer.byteLength(text);
            hold.add(held);
            return { text, held };
          });
        } catch (error) {
          if (error instanceof asyncio.CancelledError) throw error;
          return { text: failed(error).text, held: 0 };
        }
      },
      { limit: concurrency },
    );
    const outgoing = c.env?.outgoing;
    if (outgoing === undefined) {
      const texts = (await results.toArray()).map(({ text }) => text);
      return json(c, `{"results":[${texts.join(",")}]}`);
    }
    return await sent(outgoing, sendResults(outgoing, results, hold, c.get("patience")));
  });

  app.get("/v1/usage", async (c) => {
    const key = await keyOf(c, own);
    requireScope(key, "usage", "reading the ledger");
    const query = queryOf(c);
    const from =
      dateOf(query.get("from"), "from") ?? new Date(`${today().slice(0, 7)}-01T00:00:00Z`);
    const to = dateOf(query.get("to"), "to") ?? new Date(Date.now() + 1000);
    const usage = await service.store.ledger.usage(key.id, from, to);
    return c.json({ key: key.id, name: key.name, from, to, budget: key.budget, ...usage });
  });

  app.post("/v1/keys/claim", async (c) => {
    const { sendClaim, publicUrl } = options;
    if (sendClaim === undefined || publicUrl === undefined) {
      throw new PageError("policy_denied", "keys are given by the operator here, and not claimed");
    }
    const { address } = checkedBy(claimRequest, await jsonBody(c.req.raw, c.get("hold")));
    if (!claims.tryTake()) {
      throw new PageError("rate_limited", "too many keys are being claimed", { retryAfter: 6 });
    }
    const token = await service.store.keys.claim(address.toLowerCase());
    if (token !== undefined) {
      await sendClaim(address, new URL(`/v1/keys/confirm?token=${token}`, publicUrl).href);
    }
    // The same answer for an address that has a key: nobody learns whose keys there are.
    return c.json({ sent: true }, 202);
  });
  /** Each claim sends a mail. */
  const claims = new RateLimiter({ rate: 10, per: 60, burst: 10 });

  app.get("/v1/keys/confirm", (c) => c.html(confirmPage));
  app.post("/v1/keys/confirm", async (c) => {
    const token = queryOf(c).get("token") ?? "";
    const address = await service.store.keys.confirm(token);
    if (address === undefined) {
      throw new PageError("unauthorized", "this link was used before, or is too old");
    }
    const name = `claimed by ${address}`;
    const { key, secret } = await service.store.keys.create({ name, address, rate: 1, burst: 5 });
    return c.json({ id: key.id, key: secret }, 201);
  });

  app.get("/healthz", (c) => c.json({ status: "ok", running: service.running }));
  app.get("/readyz", async (c) => {
    const why = await service.unready();
    return why === undefined ? c.json({ status: "ready" }) : c.json({ status: why }, 503);
  });
  app.get("/metrics", async (c) =>
    c.text(await service.metrics.registry.metrics(), 200, {
      "content-type": service.metrics.registry.contentType,
    }),
  );
  app.get("/docs", (c) => c.html(docsPage(options.publicUrl)));
  app.get("/contact", (c) => c.html(contactPage(options.bot ?? {})));
  app.get("/debug/tasks", async (c) => {
    requireScope(await keyOf(c, own), "debug", "the list of tasks");
    return c.text(taskList());
  });
  app.doc31("/openapi.json", {
    openapi: "3.1.0",
    info: { title: "pagefetch", version: "0.1.0", description: "Any page's HTML by one call." },
  });
  if (options.directory !== undefined) {
    const { directory } = options;
    app.get(directoryPath, (c) => c.json(directory, 200, { "content-type": directoryType }));
  }
  return app;
}

/** What is alive in this process, a line each. Names and waits hold no URL and no secret. */
function taskList(): string {
  const lines = [...asyncio.allTasks()].map((task) => {
    const waits = task.waitingFor();
    return `${task.getName()}: ${waits.length === 0 ? "runs, or waits for the host" : waits.join("; ")}`;
  });
  return `${lines.length} tasks\n${lines.join("\n")}\n`;
}

/** A mail program that opens links must not use them up: the button does. */
const confirmPage = `<!doctype html><html lang="en"><title>pagefetch: your key</title>
<form method="post"><p>One click makes your API key. It is shown once.</p><button>Make my key</button></form>`;

function json(c: Ask, text: string): Response {
  c.get("hold").add(Buffer.byteLength(text));
  return new Response(text, { headers: { "content-type": "application/json" } });
}

function jsonOf(shaped: Shaped & { readonly id: string }, request: FetchRequest): string {
  const { content } = shaped;
  const whole = envelope(shaped.page, {
    id: shaped.id,
    output: outputOf(request),
    cost: shaped.cost,
    content: content instanceof Uint8Array ? Buffer.from(content).toString("base64") : content,
  });
  return jsonText(whole);
}

function statusFor({ status: how }: Draft["answer"], status: number): number {
  if (how === "always 200") return 200;
  // RFC 9110, 15: what is of no class counts as an error of the server.
  if (how === "target") return status > 599 ? 502 : status;
  return (status >= 200 && status < 300) || status === 404 ? status : 500;
}

/** A Response may not have a body with these. */
function isEmpty(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}

function headersOf(c: Ask): ReadonlyMap<string, string> {
  return new Map(c.req.raw.headers);
}

function queryOf(c: Ask): URLSearchParams {
  return new URL(c.req.url).searchParams;
}

function today(): string {
  return new Date().toISOString();
}

function dateOf(text: string | null, name: string): Date | undefined {
  if (text === null) return undefined;
  const date = new Date(text);
  const year = date.getUTCFullYear();
  if (year >= 1970 && year <= 9999) return date; // NaN is neither; databases know no other ones
  throw new PageError("bad_request", `\`${name}\` is no date, as in 2026-11-29`, {
    parameter: name,
  });
}
