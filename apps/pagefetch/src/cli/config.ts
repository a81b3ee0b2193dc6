/**
 * What the operator says, from a JSON file, the environment and the command line; the later one
 * wins. Secrets are read from files or from the environment, and are in no message.
 */

import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { parseRange } from "../egress/address.ts";

const pace = z.strictObject({
  interval: z.number().min(0).optional(),
  inFlight: z.int().min(1).optional(),
});

const range = z.string().refine((text) => {
  try {
    parseRange(text);
    return true;
  } catch {
    return false;
  }
}, 'expected an address or a range such as "10.0.0.0/8"');

/** A file whose name has a scheme in front is a mistake, and may have a password in it. */
const isStore = (text: string): boolean =>
  !/^[a-z][a-z0-9+.-]*:\/\//i.test(text) || /^postgres(ql)?:/.test(text);

export const configSchema = z.strictObject({
  // An empty one would listen at every address of the machine.
  host: z.string().min(1).optional(),
  port: z.int().min(0).max(65_535).optional(),
  /** A file for SQLite, or `postgres://…`; DATABASE_URL in the environment wins. */
  store: z.string().min(1).refine(isStore, "expected a file, or postgres://...").optional(),
  publicUrl: z.url({ protocol: /^https?$/ }).optional(),
  drain: z.number().min(0).max(600).optional(),
  maxRunning: z.int().min(1).optional(),
  /** Bytes of bodies that the process holds at a time, in all. */
  maxHeldBytes: z
    .int()
    .min(2 ** 20)
    .optional(),
  /** How many processes have the same store: each takes its share of paces and rates. */
  processes: z.int().min(1).max(1000).optional(),
  /** `never`: dialects that render by default are served without rendering. */
  render: z.enum(["never"]).optional(),
  queryKeys: z.boolean().optional(),
  identity: z
    .strictObject({
      product: z.string().optional(),
      version: z.string().optional(),
      contact: z.string().optional(),
      /** A file with a private Ed25519 key (PEM): the bot's requests are signed. */
      signingKey: z.string().optional(),
    })
    .optional(),
  politeness: z
    .strictObject({
      domain: pace.optional(),
      address: pace.optional(),
      sites: z.record(z.string(), pace).optional(),
      maxCrawlDelay: z.number().min(0).optional(),
      maxPause: z.number().min(0).optional(),
      maxInterval: z.number().min(0).optional(),
    })
    .optional(),
  /** Pools of proxies, the cheapest first: a file of lines each. */
  pools: z.array(z.strictObject({ name: z.string(), file: z.string() })).optional(),
  directFirst: z.boolean().optional(),
  /** Ranges that are not public and may be fetched from. */
  allow: z.array(range).optional(),
  /** Ranges that are public and may not. */
  deny: z.array(range).optional(),
  /** Hosts whose owners have asked to be left alone, with all below them. */
  refuse: z.array(z.string()).optional(),
  allowProxies: z.array(range).optional(),
  ports: z.union([z.literal("any"), z.array(z.int().min(1).max(65_535)).min(1)]).optional(),
  /** A file of rules for the classifier, in place of those that come with pagefetch. */
  rules: z.string().optional(),
  /** A command that sends the link of a claim: it gets address and link as its arguments. */
  claimCommand: z.array(z.string()).min(1).optional(),
});

export type Config = z.infer<typeof configSchema>;

/** Something is wrong with what the operator has said. The message names it. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/**
 * Files that it names are found from where the configuration stands. A variable that is empty is not
 * set: that is what `VAR=` means in files of containers and of systemd.
 */
export function readConfig(path: string | undefined, env: NodeJS.ProcessEnv): Config {
  const set = (name: string): string | undefined => env[name]?.trim() || undefined;
  const file = path ?? set("PAGEFETCH_CONFIG");
  const config = file === undefined ? {} : parse(file);
  const database = set("DATABASE_URL") ?? set("PAGEFETCH_STORE");
  const given = set("PORT");
  const port = given === undefined ? {} : { port: Number(given) };
  return check({ ...config, ...(database === undefined ? {} : { store: database }), ...port });
}

export function check(json: unknown): Config {
  const parsed = configSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new ConfigError(`configuration: ${issue?.path.join(".") || "it"}: ${issue?.message ?? ""}`);
}

function parse(file: string): Config {
  const config = check(jsonOf(readText(file, "the configuration"), file));
  const at = (name: string): string => resolve(dirname(file), name);
  const { identity, pools, rules, store } = config;
  return {
    ...config,
    ...(rules === undefined ? {} : { rules: at(rules) }),
    ...(store === undefined || store === ":memory:" || /^\w+:/.test(store)
      ? {}
      : { store: at(store) }),
    ...(pools === undefined ? {} : { pools: pools.map((one) => ({ ...one, file: at(one.file) })) }),
    ...(identity?.signingKey === undefined
      ? {}
      : { identity: { ...identity, signingKey: at(identity.signingKey) } }),
  };
}

function jsonOf(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ConfigError(`the configuration is no JSON: ${file}`);
  }
}

/** @throws ConfigError that names the file and what it was to be. */
export function readText(file: string, what: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ConfigError(`${what} cannot be read: ${file} (${code ?? "unknown"})`);
  }
}
