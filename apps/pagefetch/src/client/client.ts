/**
 * A client of the HTTP API: one function, as `fetch` is one. A call belongs to the scope that it is
 * made in. Where that is cancelled, the connection to the service is closed, and the service ends
 * the fetch with everything that belongs to it. What comes back has the words of the library: a
 * page with its receipts, or a PageError with the code that the pipeline has thrown over there.
 */

import * as asyncio from "asyncio-ts";
import { type ErrorCode, errorKinds, PageError } from "../contract/errors.ts";
import { checkExtracts, type FetchOptions, type Output, outputs } from "../contract/options.ts";
import type { FetchResult } from "../contract/result.ts";
import { textOf } from "../fetch/charset.ts";
import { checked, isTable } from "../fetch/check.ts";

export interface ClientOptions {
  /** Where the service is: `http://127.0.0.1:8080`. What stands in its path is kept. */
  readonly base: string | URL;
  /** Sent in a header, never in a URL. */
  readonly key: string;
}

/** Those of `fetchPage` that can be sent, and what becomes of the page. */
export interface ClientFetchOptions<O extends Output = Output>
  extends Omit<FetchOptions, "onProgress" | "headers" | "body"> {
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: string | undefined;
  /** @default "raw", or "extract" where there are rules */
  readonly output?: O | undefined;
  /** For `extract`: CSS selectors by name, as README.md says. */
  readonly extract?: Readonly<Record<string, unknown>> | undefined;
}

/** What the content of a page is, by its output. */
export interface Contents {
  readonly raw: Uint8Array;
  readonly html: string;
  readonly text: string;
  readonly markdown: string;
  readonly links: readonly { readonly url: string; readonly text: string }[];
  readonly extract: Readonly<Record<string, unknown>>;
}

/** A page, and how it was got. */
export interface ClientPage<O extends Output = "raw">
  extends Omit<FetchResult, "bytes" | "charset" | "failed" | "statusText" | "verdict"> {
  /** Of the request, in the service's answers and reports. */
  readonly id: string;
  readonly content: Contents[O];
  /** What the page was written in. */
  readonly charset: string;
  /** What the ledger has been charged. */
  readonly cost: number;
  /** The content as text: bytes by their charset, lists and objects as JSON. */
  text(): string;
}

/** Fetches a page. The output decides what `content` is. */
export type Client = <O extends Output = "raw">(
  url: string | URL,
  options?: ClientFetchOptions<O>,
) => Promise<ClientPage<O>>;

/**
 * The service could not be asked, or gave no answer that is one of its own. It says nothing about
 * the page. `status` is what came instead, of a gateway, say; undefined if nothing did.
 */
export class ServiceError extends Error {
  override readonly name = "ServiceError";
  readonly status: number | undefined;

  constructor(message: string, status?: number, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

/**
 * A function that fetches pages by way of a service. It holds nothing, so there is nothing to close.
 *
 * Each call waits for the whole page. Its deadline is that of the caller's scope, and over there
 * `timeout`. Cancelled, it closes its connection before it ends.
 *
 *     const client = createClient({ base: "http://127.0.0.1:8080", key });
 *     const page = await client("https://example.com/", { output: "markdown" });
 *
 * @throws TypeError if `base` is no http(s) URL, or the key is none that a header can carry. The
 * calls throw PageError, ServiceError, CancelledError, or the reason of `signal`.
 */
export function createClient(options: ClientOptions): Client {
  if (!isTable(options))
    throw new TypeError("`createClient` expects an object with `base` and `key`");
  const { base, key } = options;
  const endpoint = endpointOf(base);
  if (typeof key !== "string" || !/^[\x21-\x7e]+$/.test(key)) {
    throw new TypeError("`createClient` expects a `key` of visible ASCII characters");
  }
  return async (url, options = {}) => {
    checkCall(url, options);
    const { signal, ...rest } = options;
    const output = rest.output ?? ((rest.extract ?? undefined) === undefined ? "raw" : "extract");
    const body = JSON.stringify(inItsWords({ ...rest, url: String(url), output }));
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    let status: number | undefined;
    let text: string;
    try {
      const response = await asyncio.fetch(endpoint, {
        method: "POST",
        headers,
        body,
        redirect: "error", // the key is for this service
        ...(signal === undefined || signal === null ? {} : { signal }),
      });
      status = response.status;
      text = await response.text();
    } catch (error) {
      if (error instanceof asyncio.CancelledError || signal?.aborted === true) throw error;
      throw new ServiceError(`the service at ${endpoint.origin} has not answered`, status, {
        cause: error,
      });
    }
    return pageOf(answerOf(text, status), output) as ClientPage<never>; // `output` is its O
  };
}

function endpointOf(base: string | URL): URL {
  const url = URL.parse(String(base));
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new TypeError("`createClient` expects a `base` that is an http or https URL");
  }
  if (url.username !== "" || url.password !== "") {
    throw new TypeError("`createClient` expects a `base` without a password: the key is `key`");
  }
  return new URL(`${url.pathname.replace(/\/$/, "")}/v1/fetch`, url);
}

/** JSON has no NaN, no function and no promise: the service would hear null of them, or nothing. */
function checkCall(url: unknown, options: unknown): void {
  if (!isTable(options)) throw bad("options", "`options` has to be an object");
  const { output, extract, onProgress, ...common } = options as ClientFetchOptions & FetchOptions;
  if (onProgress !== undefined)
    throw new PageError("unknown_parameter", "a client is not told of progress", {
      parameter: "onProgress",
    });
  checked(url as string, common); // it is looked at there
  if (typeof (common.body ?? "") !== "string") throw bad("body", "`body` is text");
  if (Array.isArray(common.headers)) throw bad("headers", "`headers` is an object");
  if (!outputs.includes(output ?? "raw"))
    throw bad("output", `\`output\` is one of ${outputs.join(", ")}`);
  if (extract !== undefined && extract !== null && !isTable(extract))
    throw bad("extract", "`extract` is an object: CSS selectors by name");
  if (extract !== undefined && extract !== null) checkExtracts(output ?? undefined);
}

function bad(parameter: string, message: string): PageError {
  return new PageError("bad_request", message, { parameter });
}

/** `attemptTimeout` is `attempt_timeout` over there, and so are all the others. Null is not set. */
function inItsWords(options: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const set = Object.entries(options).filter(([, value]) => value !== null);
  return Object.fromEntries(
    set.map(([name, value]) => [
      name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value,
    ]),
  );
}

type Json = Readonly<Record<string, unknown>>;

/** The JSON of a page. @throws the failure that the service tells. */
function answerOf(text: string, status: number): Json {
  const answer = objectOf(text);
  if (answer !== undefined && status === 200 && typeof answer.id === "string") return answer;
  const error = answer?.error as Json | undefined; // its fields are looked at one by one
  if (typeof error === "object" && error !== null && isCode(error.code)) throw failureOf(error);
  throw new ServiceError(`the service has answered with ${status}, and not as it should`, status);
}

function objectOf(text: string): Json | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === "object" && json !== null ? (json as Json) : undefined; // it is
  } catch {
    return undefined;
  }
}

function isCode(code: unknown): code is ErrorCode {
  return typeof code === "string" && Object.hasOwn(errorKinds, code);
}

/** The error as it was thrown over there; the target's headers were not sent along. */
function failureOf(error: Json): PageError {
  const { code, message, retry_after, target_status, fault: _, ...details } = error;
  return new PageError(code as ErrorCode, String(message), {
    ...details,
    retryAfter: retry_after as number | undefined, // as `errorBody` in api/answers.ts has put it
    ...(typeof target_status === "number"
      ? { answer: { status: target_status, headers: [] } }
      : {}),
  });
}

function pageOf(answer: Json, output: Output): ClientPage<Output> {
  const { final_url, polite_wait, output: _, content: sent, ...rest } = answer;
  const content = output === "raw" ? Buffer.from(String(sent), "base64") : sent;
  const charset = { name: String(answer.charset), source: "header" } as const; // only the name counts
  const text = (): string => {
    if (content instanceof Uint8Array) return textOf(content, charset);
    return typeof content === "string" ? content : JSON.stringify(content);
  };
  // `envelope` in api/answers.ts has put it together, by the names of `FetchResult`.
  return {
    ...rest,
    finalUrl: final_url,
    politeWait: polite_wait,
    content,
    text,
  } as unknown as ClientPage<Output>;
}
