/**
 * What a request to the service may say: one schema, from which come the checks, the types, the
 * documentation and `/openapi.json`. The names are those of docs and errors; other services' names
 * are in `dialects.ts`.
 */

import { z } from "@hono/zod-openapi";
import { outputs } from "../contract/options.ts";

const seconds = (most: number) => z.number().positive().max(most);

export const fetchRequest = z
  .strictObject({
    url: z.string().min(1).max(16_384).openapi({
      description: "The page. http or https, with a public address.",
      example: "https://example.com/",
    }),
    method: z
      .enum(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
      .optional()
      .openapi({
        description: "GET by default. What changes something needs a key with `unsafe`.",
      }),
    headers: z
      .record(z.string(), z.string())
      .optional()
      .openapi({ description: "Added to the bot's own, or all there are with identity=custom." }),
    body: z
      .string()
      .max(10_000_000)
      .optional()
      .openapi({ description: "What is sent to the page." }),
    timeout: seconds(300).optional().openapi({
      description:
        "Seconds for all of it: hops, polite waits, attempts, the body, its parser. 60 by default.",
    }),
    attempt_timeout: seconds(300)
      .optional()
      .openapi({ description: "Seconds for one attempt. 30." }),
    connect_timeout: seconds(120).optional().openapi({ description: "Seconds to connect. 10." }),
    headers_timeout: seconds(300)
      .optional()
      .openapi({ description: "Seconds to the last header of the answer. 20." }),
    retries: z.int().min(0).max(10).optional().openapi({ description: "At most. 4." }),
    retry_unsafe: z.boolean().optional().openapi({
      description: "Also tries again what may have had an effect (POST, PATCH). false.",
    }),
    max_bytes: z
      .int()
      .min(1)
      .max(100 * 2 ** 20)
      .optional()
      .openapi({ description: "The most that a page may have after decompression. 10 MiB." }),
    max_redirects: z.int().min(0).max(20).optional().openapi({ description: "10 by default." }),
    allow_downgrade: z
      .boolean()
      .optional()
      .openapi({ description: "Whether a redirect from https to http is followed. true." }),
    robots: z.enum(["obey", "ignore"]).optional().openapi({
      description: "`ignore` needs a key with the scope `ignore_robots`, and is in the receipt.",
    }),
    identity: z.enum(["bot", "custom", "browser"]).optional().openapi({
      description: "`bot` says what it is; `custom` sends your headers; `browser` is refused.",
    }),
    proxy: z.string().max(64).optional().openapi({
      description:
        "`direct`, `auto`, or the name of one of the operator's pools. A session keeps to its own.",
    }),
    country: z
      .string()
      .regex(/^[A-Za-z]{2}$/)
      .optional()
      .openapi({ description: "Two letters: where the proxy has to be." }),
    // The pipeline knows it with the id of its key in front, as a name of 100 letters at most.
    session: z
      .string()
      .regex(/^[\w.:-]{1,80}$/, "expected 1 to 80 letters, digits, and . : _ -")
      .optional()
      .openapi({
        description: "Cookies, proxy and identity are kept under this name, for your key alone.",
      }),
    cache: z.enum(["off", "read", "write", "use"]).optional().openapi({
      description:
        "By RFC 9111. `use` reads what is stored and stores what comes. `off` by default.",
    }),
    max_age: z.number().min(0).optional().openapi({
      description:
        "Seconds: a stored page that is older is asked about again. With `cache` `read` or `use` only.",
    }),
    render: z.enum(["never", "auto", "always"]).optional().openapi({
      description: "There is no browser yet: `never` and `auto` fetch, `always` is refused.",
    }),
    output: z.enum(outputs).optional().openapi({
      description:
        "`raw` (default of GET), `html` (default of POST), `text`, `markdown`, `links`, `extract`.",
    }),
    extract: z.unknown().optional().openapi({
      type: "object",
      description:
        "Rules by name: a CSS selector each, or an object with selector, type, output. For `output=extract`, which may be left out then.",
    }),
    json: z.boolean().optional().openapi({
      description: "The answer in an envelope with all receipts, as that of POST is always.",
    }),
  })
  .openapi("FetchRequest");

export type FetchRequest = z.infer<typeof fetchRequest>;

export const batchRequest = z
  .strictObject({
    requests: z.array(fetchRequest).min(1).max(100),
    concurrency: z.int().min(1).max(20).optional().openapi({ description: "At a time. 5." }),
  })
  .openapi("BatchRequest");

const attempt = z.object({
  hop: z.int(),
  url: z.string(),
  via: z.string(),
  status: z.int().optional(),
  failure: z.string().optional(),
  phase: z.string().optional(),
  politeWait: z.number(),
  reused: z.boolean(),
  seconds: z.number(),
  sent: z.int(),
  received: z.int(),
});

export const errorAnswer = z
  .object({
    error: z.object({
      code: z.string(),
      message: z.string(),
      fault: z.string(),
      phase: z.string().optional(),
      url: z.string().optional(),
      parameter: z.string().optional(),
      retry_after: z.number().optional(),
      vendor: z.string().optional(),
      evidence: z.array(z.string()).optional(),
      limit: z.object({ name: z.string(), value: z.number() }).optional(),
      target_status: z.int().optional(),
      attempts: z.array(attempt).optional(),
    }),
    id: z.string(),
  })
  .openapi("Error");

export const fetchAnswer = z
  .object({
    id: z.string(),
    url: z.string(),
    final_url: z.string(),
    status: z.int(),
    headers: z.array(z.tuple([z.string(), z.string()])),
    charset: z.string(),
    output: z.enum(outputs),
    content: z.unknown().openapi({
      description: "Text; base64 for `raw`; a list for `links`; an object for `extract`.",
    }),
    hops: z.array(z.unknown()),
    attempts: z.array(attempt),
    robots: z.unknown(),
    identity: z.string(),
    session: z.string().optional(),
    cache: z.string(),
    polite_wait: z.number(),
    seconds: z.number(),
    sent: z.int(),
    received: z.int(),
    cost: z.number(),
  })
  .openapi("FetchAnswer");

export const claimRequest = z
  .strictObject({
    address: z
      .email()
      .max(254)
      .openapi({ description: "Where the link goes. One key an address." }),
  })
  .openapi("ClaimRequest");
