/**
 * The parameters of ProxiesAPI, ScrapingBee, ScraperAPI and Zyte API, so that a program which uses
 * one of them changes its address and nothing else. Each parameter is translated, or refused by
 * name with what takes its place: none is passed over in silence. What they do by the names of
 * their documentation is in README.md, as a table that a test holds against this file.
 */

import { PageError } from "../contract/errors.ts";
import { textIn } from "./body.ts";
import type { FetchRequest } from "./schema.ts";

/** A request under translation. */
export interface Draft {
  /** Of our own request, unchecked: the schema comes next. */
  readonly request: Record<string, unknown>;
  /** The headers that the caller has sent to us. */
  readonly headers: ReadonlyMap<string, string>;
  /** Those of them that are sent on. One that a parameter gives is taken instead. */
  forwarded?: object;
  /** How the answer is to look. */
  readonly answer: {
    status: "target" | "200 or 500" | "always 200";
    envelope: boolean;
    /** @default true */
    headers?: boolean;
  };
}

export interface Dialect {
  readonly name: string;
  /** The names under which the key may come. */
  readonly keys: readonly string[];
  readonly parameters: Readonly<Record<string, Parameter>>;
  /** Headers of the answer by the names that users of this service look for. */
  readonly headers: Readonly<Record<string, string>>;
  /** True if pages are rendered unless the caller says no. */
  readonly rendersByDefault: boolean;
  readonly answer: Draft["answer"];
}

export type Parameter =
  | { readonly does: string; readonly apply: (value: string, draft: Draft) => void }
  | { readonly refused: string };

const noBrowser = "needs a browser, and this service has none yet";
const noDisguise = "there is no disguise here: identity=bot says what it is";
const loadsNothing =
  "nothing: whatever it says, only the page is loaded, and none of what is in it";
const noModels = "no models here: extract takes values out by CSS selectors";
const refused = (why: string): Parameter => ({ refused: why });

/** Translates to our parameter of the same meaning. */
function to(name: keyof FetchRequest, read: (value: string) => unknown = String): Parameter {
  const does = `\`${name}\``;
  return {
    does,
    apply: (value, { request }) => {
      request[name] = read(value);
    },
  };
}

/** Does nothing, whether it says yes or no: here both come to the same. */
function either(does: string): Parameter {
  return { does, apply: (value) => void isTrue(value) };
}

/** Refused unless it says no. */
function off(why: string): Parameter {
  return {
    does: "refused unless it is false",
    apply: (value) => {
      if (isTrue(value)) throw unsupported(why, "");
    },
  };
}

/** Refused unless it asks to wait for no time. */
const noWait: Parameter = {
  does: `refused unless it is 0: ${noBrowser}`,
  apply: (value) => {
    if (!/^0+$/.test(value)) throw unsupported(noBrowser, "");
  },
};

/** By these a bot would say that it is something else; `x-sapi-` are parameters. */
const telling = /^(from$|sec-|signature|x-sapi-)/;

/** Takes the caller's own headers along. */
function forwarded(prefix: string): Parameter {
  return {
    does:
      prefix === "" ? "`headers`, from yours" : `\`headers\`, from yours that begin with ${prefix}`,
    apply: (value, draft) => {
      if (!isTrue(value)) return;
      const low = prefix.toLowerCase();
      const mine = new Set(
        "host connection content-length transfer-encoding accept-encoding user-agent authorization x-api-key expect te trailer upgrade keep-alive proxy-authorization proxy-connection".split(
          " ",
        ),
      );
      const kept = [...draft.headers].flatMap(([name, text]) => {
        if (low !== "") return name.startsWith(low) ? [[name.slice(low.length), text]] : [];
        return mine.has(name) || telling.test(name) ? [] : [[name, text]];
      });
      draft.forwarded = merged(draft.forwarded ?? {}, Object.fromEntries(kept));
    },
  };
}

/** Adds headers to those of the request: cookies add up, and no other may be there already. */
export function add({ request }: Draft, headers: Readonly<Record<string, unknown>>): void {
  const all = { ...(request.headers as Record<string, unknown> | undefined) }; // put there by us
  for (const [name, value] of Object.entries(headers)) {
    const before = Object.keys(all).find((other) => other.toLowerCase() === name.toLowerCase());
    if (before === undefined) all[name] = value;
    else if (name.toLowerCase() === "cookie") all[before] = `${all[before]}; ${value}`;
    else if (all[before] !== value)
      throw bad(`a parameter before it gives another \`${name}\`, and there can be one`, "");
  }
  request.headers = all;
}

/** All of both; names have no case. Where both have one, that of `strong` is taken. */
export function merged(weak: object, strong: object): object {
  const names = new Set(Object.keys(strong).map((name) => name.toLowerCase()));
  const kept = Object.entries(weak).filter(([name]) => !names.has(name.toLowerCase()));
  return { ...Object.fromEntries(kept), ...strong };
}

/** No cookies are no header. */
function addCookies(draft: Draft, cookie: string): void {
  if (cookie !== "") add(draft, { cookie });
}

const cookies: Parameter = {
  does: "`headers.cookie`",
  apply: (value, draft) =>
    addCookies(draft, value.trim().replaceAll(";", "; ").replaceAll(";  ", "; ")),
};

function pool(name: string): Parameter {
  return {
    does: `\`proxy=${name}\`, if the operator has a pool of that name`,
    apply: (value, { request }) => {
      if (isTrue(value)) request.proxy = name;
    },
  };
}

const render: Parameter = {
  does: "`render=never` if it is false, otherwise refused",
  apply: (value, { request }) => {
    const isOwn = /^(never|auto|always)$/.test(value); // our own parameter has the same name
    if (!isOwn && isTrue(value)) throw unsupported(noBrowser, "");
    request.render = isOwn ? value : "never";
  },
};

const milliseconds = (value: string): number => Number(value) / 1000;
const json = (value: string): unknown => {
  try {
    return JSON.parse(value);
  } catch {
    throw unsupported("this is no JSON", "");
  }
};

export const proxiesApi: Dialect = {
  name: "ProxiesAPI",
  keys: ["key", "auth_key"],
  headers: {},
  rendersByDefault: false,
  answer: { status: "target", envelope: false },
  parameters: {
    url: to("url"),
    render,
    country: to("country"),
    session: to("session"),
    use_headers: forwarded(""),
  },
};

export const scrapingBee: Dialect = {
  name: "ScrapingBee",
  keys: ["api_key"],
  headers: {
    "spb-cost": "cost",
    "spb-initial-status-code": "status",
    "spb-resolved-url": "final_url",
  },
  rendersByDefault: true,
  answer: { status: "200 or 500", envelope: false },
  parameters: {
    url: to("url"),
    render_js: render,
    mode: refused(noBrowser),
    wait: noWait,
    wait_for: refused(noBrowser),
    wait_browser: refused(noBrowser),
    js_scenario: refused(noBrowser),
    js_snippet: refused(noBrowser),
    block_ads: either(loadsNothing),
    block_resources: either(loadsNothing),
    window_width: refused(noBrowser),
    window_height: refused(noBrowser),
    device: refused(noDisguise),
    screenshot: off(noBrowser),
    screenshot_full_page: off(noBrowser),
    screenshot_selector: refused(noBrowser),
    return_page_source: either("nothing: it is what you get"),
    return_page_markdown: {
      does: "`output=markdown`",
      apply: (value, { request }) => {
        if (isTrue(value)) request.output = "markdown";
      },
    },
    return_page_text: {
      does: "`output=text`",
      apply: (value, { request }) => {
        if (isTrue(value)) request.output = "text";
      },
    },
    premium_proxy: pool("premium"),
    stealth_proxy: off(noDisguise),
    own_proxy: refused("proxies are the operator's: `proxy` names one of their pools"),
    country_code: to("country"),
    session_id: to("session"),
    forward_headers: forwarded("Spb-"),
    forward_headers_pure: {
      does: "`headers` from yours that begin with Spb-, and `identity=custom`",
      apply: (value, draft) => {
        if (!isTrue(value)) return;
        const inner = forwarded("Spb-");
        if ("apply" in inner) inner.apply(value, draft);
        draft.request.identity = "custom";
      },
    },
    cookies,
    timeout: to("timeout", milliseconds),
    json_response: {
      does: "`json=true`",
      apply: (value, draft) => {
        if (isTrue(value)) draft.answer.envelope = true;
      },
    },
    extract_rules: to("extract", json),
    ai_query: refused(noModels),
    ai_selector: refused(noModels),
    ai_extract_rules: refused(noModels),
    transparent_status_code: {
      does: "the target's status; without it 500 for what is neither 2xx nor 404",
      apply: (value, draft) => {
        if (isTrue(value)) draft.answer.status = "target";
      },
    },
    custom_google: off("a site's own rules are not known here: send its URL"),
    scraping_config: refused("there are no stored configurations: send the parameters"),
    tag: refused("there are no tags: `X-Fetch-Id` of the answer names a request"),
  },
};

export const scraperApi: Dialect = {
  name: "ScraperAPI",
  keys: ["api_key"],
  headers: { "sa-statuscode": "status", "sa-final-url": "final_url", "sa-credit-cost": "cost" },
  rendersByDefault: false,
  answer: { status: "200 or 500", envelope: false },
  parameters: {
    url: to("url"),
    render,
    wait_for_selector: refused(noBrowser),
    instruction_set: refused(noBrowser),
    screenshot: off(noBrowser),
    premium: pool("premium"),
    ultra_premium: off(noDisguise),
    country_code: to("country"),
    session_number: to("session"),
    keep_headers: forwarded(""),
    device_type: refused(noDisguise),
    follow_redirect: {
      does: "`max_redirects=0` if it is false",
      apply: (value, { request }) => {
        if (!isTrue(value)) request.max_redirects = 0;
      },
    },
    retry_404: off("a 404 is an answer, and is given at once"),
    binary_target: either("nothing: bytes are given as they come"),
    autoparse: off("a site's own rules are not known here: `extract` takes rules"),
    output_format: {
      does: "`output`, for markdown and text",
      apply: (value, { request }) => {
        if (value !== "markdown" && value !== "text") {
          throw unsupported("markdown and text; `extract` takes rules", "");
        }
        request.output = value;
      },
    },
    max_cost: refused("budgets belong to keys here: `pagefetch keys new --budget`"),
    callback: refused("there are no jobs yet: the answer comes on this connection"),
  },
};

/** The names of Zyte's JSON. Values that are no text come as JSON text. */
export const zyte: Dialect = {
  name: "Zyte API",
  keys: [],
  headers: {},
  rendersByDefault: false,
  answer: { status: "always 200", envelope: true },
  parameters: {
    url: to("url"),
    httpResponseBody: {
      does: "`output=raw`, base64 in the answer",
      apply: (value) => {
        if (!isTrue(value)) throw unsupported("the body is in each answer: leave it out", "");
      },
    },
    httpResponseHeaders: {
      does: "nothing if it is true: they are in the answer. False leaves them out",
      apply: (value, draft) => {
        if (!isTrue(value)) draft.answer.headers = false;
      },
    },
    browserHtml: off(noBrowser),
    javascript: off(noBrowser),
    actions: refused(noBrowser),
    screenshot: off(noBrowser),
    screenshotOptions: refused(noBrowser),
    networkCapture: refused(noBrowser),
    ipType: {
      does: "`proxy=datacenter` or `proxy=residential`, if the operator has such a pool",
      apply: (value, { request }) => {
        request.proxy = value;
      },
    },
    geolocation: to("country"),
    session: {
      does: "`session`, by its `id`",
      apply: (value, { request }) => {
        const id = (json(value) as { id?: unknown } | null)?.id;
        if (typeof id !== "string") throw unsupported("expected an object with an `id`", "");
        request.session = id;
      },
    },
    sessionContext: refused("sessions begin with their first use: send `session.id`"),
    sessionContextParameters: refused("sessions begin with their first use: send `session.id`"),
    customHttpRequestHeaders: {
      does: "`headers`",
      apply: (value, draft) => add(draft, namesAndValues(json(value))),
    },
    requestHeaders: {
      does: "`headers.referer`",
      apply: (value, draft) => {
        const headers = json(value) as Record<string, unknown> | null;
        const { referer } = headers ?? {};
        if (value === "{}") return;
        if (typeof referer !== "string" || Object.keys(headers ?? {}).length !== 1) {
          throw unsupported("only `referer`; customHttpRequestHeaders takes others", "");
        }
        add(draft, { referer });
      },
    },
    requestCookies: {
      does: "`headers.cookie`",
      apply: (value, draft) => {
        const pairs = Object.entries(namesAndValues(json(value)));
        addCookies(draft, pairs.map(([name, text]) => `${name}=${text}`).join("; "));
      },
    },
    responseCookies: off("they are in the answer's headers, as `set-cookie`"),
    device: refused(noDisguise),
    httpRequestMethod: to("method"),
    httpRequestText: to("body"),
    httpRequestBody: {
      does: "`body`, from base64",
      apply: (value, { request }) => {
        const bytes = Buffer.from(value, "base64");
        // Node passes over what is no base64, and something else would be sent.
        if (bytes.toString("base64").replace(/=+$/, "") !== value.replace(/=+$/, "")) {
          throw new PageError("bad_request", "`httpRequestBody` is no base64", {
            parameter: "httpRequestBody",
          });
        }
        request.body = textIn(bytes);
      },
    },
    followRedirect: {
      does: "`max_redirects=0` if it is false",
      apply: (value, { request }) => {
        if (!isTrue(value)) request.max_redirects = 0;
      },
    },
    echoData: { does: "is in the answer", apply: () => {} },
    tags: refused("there are no tags: `id` of the answer names a request"),
    jobId: refused("there are no jobs yet"),
    product: off(noModels),
    productList: off(noModels),
    article: off(noModels),
    articleList: off(noModels),
    jobPosting: off(noModels),
    serp: off(noModels),
    pageContent: off(noModels),
    customAttributes: refused(noModels),
  },
};

function namesAndValues(list: unknown): Record<string, string> {
  if (!Array.isArray(list)) throw unsupported("expected a list of objects with name and value", "");
  const found = new Map<string, string>();
  for (const one of list as readonly ({ name?: unknown; value?: unknown } | null)[]) {
    const { name, value } = one ?? {};
    if (typeof name !== "string" || name === "" || typeof value !== "string")
      throw unsupported("expected objects whose name and value are text", "");
    if (found.has(name) && found.get(name) !== value)
      throw unsupported(`it has two values for ${JSON.stringify(name.slice(0, 64))}`, "");
    found.set(name, value);
  }
  return Object.fromEntries(found);
}

/** @throws PageError for what is neither: a slip of the pen would count as false. */
export function isTrue(value: string, name = ""): boolean {
  if (/^(true|1|yes|on)$/i.test(value)) return true;
  if (/^(false|0|no|off|null)$/i.test(value)) return false;
  throw bad(`${name === "" ? "" : `\`${name}\`: `}expected true or false`, name);
}

export function unsupported(message: string, parameter: string): PageError {
  const text = parameter === "" ? message : `\`${parameter}\`: ${message}`;
  return new PageError("unsupported_parameter", text, { parameter });
}

export function bad(message: string, parameter: string): PageError {
  return new PageError("bad_request", message, { parameter });
}
