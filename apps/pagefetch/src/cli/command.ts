/** The command `pagefetch`: what it does, whatever it is run by. */

import { type ParseArgsOptionsConfig, parseArgs } from "node:util";
import * as asyncio from "asyncio-ts";
import { type Fault, PageError } from "../contract/errors.ts";
import type { FetchOptions, IdentityName } from "../contract/options.ts";
import type { ProgressEvent } from "../contract/result.ts";
import { use } from "../contract/use.ts";
import type { EgressOptions } from "../egress/egress.ts";
import { checkedUrl } from "../fetch/check.ts";
import type { KeySettings, Keys, Scope } from "../store/keys.ts";
import { assemble } from "./assemble.ts";
import { type Config, ConfigError, check, readConfig } from "./config.ts";

const help = `pagefetch: any page's HTML by one call

  pagefetch get URL            the page on standard output, what happens on standard error
      --output FORM            raw (default), html, text, markdown, links
      --timeout SECONDS  --header "name: value"  --session NAME  --proxy POOL
      --identity bot|custom  --head (status and headers, too)  --quiet
  pagefetch serve              the HTTP API   [--host H] [--port P]
  pagefetch keys new NAME      makes a key and shows it, once
      --scope fetch --scope usage ...  --rate N  --concurrency N  --budget N
  pagefetch keys list
  pagefetch keys revoke ID
  pagefetch proxies            the pools, without passwords
  pagefetch robots URL         what robots.txt says of a URL, and by which line
  pagefetch doctor             whether this machine has what it takes

  --config FILE for all of them (or PAGEFETCH_CONFIG); DATABASE_URL for PostgreSQL.
  Exit codes: 0 a page; 1 a page with status 400 or more; 2 wrong use; 3 policy (robots.txt,
  address); 4 network or time; 5 the site refuses; 6 our fault; 130 interrupted.
`;

const exitCodes: Readonly<Record<Fault, number>> = {
  caller: 2,
  policy: 3,
  network: 4,
  phase: 4,
  target: 5,
  us: 6,
};

const options = {
  help: { type: "boolean", short: "h" },
  config: { type: "string" },
  output: { type: "string" },
  timeout: { type: "string" },
  header: { type: "string", multiple: true },
  session: { type: "string" },
  proxy: { type: "string" },
  identity: { type: "string" },
  head: { type: "boolean" },
  quiet: { type: "boolean" },
  host: { type: "string" },
  port: { type: "string" },
  scope: { type: "string", multiple: true },
  rate: { type: "string" },
  concurrency: { type: "string" },
  budget: { type: "string" },
} as const satisfies ParseArgsOptionsConfig;

type Values = ReturnType<
  typeof parseArgs<{ options: typeof options; allowPositionals: true }>
>["values"];

/** Wrong use of the command. */
class UsageError extends Error {
  override readonly name = "UsageError";
}

/** What a command is run in. */
export interface World {
  readonly env: NodeJS.ProcessEnv;
  /** Writes what was asked for, and waits until that is done: a pipe may be full. */
  out(data: string | Uint8Array): Promise<void>;
  /** Tells a person something, a line. */
  say(line: string): void;
  /** Another way out than that of the machine. */
  readonly egress?: Partial<EgressOptions> | undefined;
}

/** What a site has sent must not steer the terminal: control characters are shown, and do nothing. */
function harmless(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]/gu, "\u{fffd}");
}

/** Runs a command, and gives its exit code. It ends when it is cancelled, too. */
export async function runCommand(args: readonly string[], given: World): Promise<number> {
  const world: World = { ...given, say: (line) => given.say(harmless(line)) };
  try {
    return await run(args, world);
  } catch (error) {
    if (error instanceof UsageError || error instanceof ConfigError) {
      world.say(`pagefetch: ${error.message}. See pagefetch --help`);
      return 2;
    }
    if (error instanceof PageError) {
      world.say(`pagefetch: ${error.code}: ${error.message}`);
      return exitCodes[error.fault];
    }
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    // Whoever read the output has left.
    if (code === "EPIPE") return 0;
    if (!(error instanceof Error) || !code.startsWith("ERR_DATABASE_")) throw error;
    // asyncio-ts-db's, which name the server or the file, and no password.
    world.say(`pagefetch: the store: ${error.message}`);
    return exitCodes.us;
  }
}

async function run(args: readonly string[], world: World): Promise<number> {
  const { values, positionals } = parsed(args);
  const [command, ...words] = positionals;
  if (values.help === true || command === undefined || command === "help") {
    await world.out(help);
    return command === undefined && values.help !== true ? 2 : 0;
  }
  const commands: Readonly<Record<string, (config: Config) => Promise<number>>> = {
    get: (config) => get(world, config, one(words, "URL"), values),
    serve: (config) => {
      none(words, command);
      return serveUntilStopped(world, config, values);
    },
    keys: (config) => keys(world, config, words, values),
    proxies: (config) => {
      none(words, command);
      return listProxies(world, config);
    },
    robots: (config) => askRobots(world, config, one(words, "URL")),
    doctor: async (config) => {
      none(words, command);
      const { examine } = await import("./doctor.ts");
      return await examine(config, (line) => world.out(`${line}\n`));
    },
  };
  const chosen = Object.hasOwn(commands, command) ? commands[command] : undefined;
  if (chosen === undefined) throw new UsageError(`there is no command "${command}"`);
  return await chosen(readConfig(values.config, world.env));
}

function parsed(args: readonly string[]): { values: Values; positionals: string[] } {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function one(words: readonly string[], what: string): string {
  const [word, ...rest] = words;
  if (word === undefined || rest.length > 0) throw new UsageError(`expected one ${what}`);
  return word;
}

function none(words: readonly string[], command: string): void {
  const [word] = words;
  if (word !== undefined) throw new UsageError(`${command} takes no "${word}"`);
}

function numberOf(values: Values, name: "timeout" | "port" | "rate" | "concurrency" | "budget") {
  const text = values[name];
  if (text === undefined) return undefined;
  const number = Number(text);
  if (text.trim() === "" || Number.isNaN(number)) throw new UsageError(`--${name} is a number`);
  return number;
}

async function get(world: World, config: Config, url: string, values: Values): Promise<number> {
  const { output = "raw" } = values;
  if (!["raw", "html", "text", "markdown", "links"].includes(output)) {
    throw new UsageError("--output is raw, html, text, markdown or links");
  }
  const wishes: FetchOptions = {
    timeout: numberOf(values, "timeout"),
    headers: headersOf(values.header ?? []),
    session: values.session,
    proxy: values.proxy,
    identity: values.identity as IdentityName | undefined, // checked by the pipeline
    onProgress: values.quiet === true ? undefined : progressTo(world),
  };
  const page = await use(assemble(config, world.egress).fetcher, (fetcher) =>
    fetcher.fetch(url, wishes),
  );
  if (values.quiet !== true) {
    world.say(
      `${page.status} ${page.finalUrl}  ${page.bytes.length} bytes in ${page.seconds.toFixed(2)} s`,
    );
  }
  if (values.head === true) {
    const lines = page.headers.map(([name, value]) => `${name}: ${value}`);
    const head = [`${page.status} ${page.statusText}`, ...lines];
    await world.out(harmless(`${head.join("\n")}\n\n`));
  }
  await world.out(await shaped(page, output));
  return page.status >= 400 ? 1 : 0;
}

async function shaped(
  page: { readonly bytes: Uint8Array; readonly finalUrl: string; text(): string },
  output: string,
): Promise<string | Uint8Array> {
  if (output === "raw") return page.bytes;
  if (output === "html") return page.text();
  const { createOutputs } = await import("../outputs/outputs.ts");
  return await use(createOutputs({ maxWorkers: 1 }), async (outputs) => {
    if (output === "text") return `${await outputs.text(page.text())}\n`;
    if (output === "markdown") return `${await outputs.markdown(page.text())}\n`;
    const links = await outputs.links(page.text(), page.finalUrl);
    return links.map((link) => `${link.url}\n`).join("");
  });
}

function headersOf(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf(":");
      if (at < 1) throw new UsageError('--header is "name: value"');
      return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    }),
  );
}

function progressTo({ say }: World): (event: ProgressEvent) => void {
  return (event) => {
    if (event.kind === "phase") say(`  ${event.phase} ${event.url}`);
    else if (event.kind === "hop") say(`  ${event.hop.status} ${event.hop.url}`);
    else if (event.attempt.failure !== undefined) {
      say(`  attempt failed: ${event.attempt.failure} (${event.attempt.phase ?? ""})`);
    }
  };
}

async function serveUntilStopped(world: World, config: Config, values: Values): Promise<number> {
  const { egress, say } = world;
  // A single fetch has no use for a server and a database: they are loaded by who needs them.
  const { serve } = await import("../api/serve.ts");
  const { withService } = await import("./running.ts");
  const { host, port, drain } = check({
    ...config,
    host: values.host ?? config.host,
    port: numberOf(values, "port") ?? config.port,
  });
  await withService(config, { egress, report: say }, async ({ app, service }) => {
    await serving(
      serve(app, service, { host, port, drain }, async (address) => {
        say(
          `pagefetch listens at ${address} (${service.store.engine}); documentation at ${address}/docs`,
        );
        if ((await service.store.keys.list()).length === 0) {
          say("there is no key yet: pagefetch keys new NAME");
        }
        await new asyncio.Event().wait(); // until Ctrl-C or SIGTERM
      }),
    );
  });
  return 0;
}

/** Waits for what serves. An address that it cannot listen at is the operator's mistake. */
async function serving(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    const { syscall, code, message } = error as NodeJS.ErrnoException;
    if (syscall !== "listen" && syscall !== "getaddrinfo") throw error;
    throw new ConfigError(`\`host\` and \`port\` cannot be listened at: ${message ?? code}`);
  }
}

async function keys(
  world: World,
  config: Config,
  words: readonly string[],
  values: Values,
): Promise<number> {
  const [what, ...rest] = words;
  if (config.store === undefined) {
    throw new UsageError(
      "keys need a store that stays: `store` in the configuration, or DATABASE_URL",
    );
  }
  const { withStore } = await import("../store/store.ts");
  const { scopes } = await import("../store/keys.ts");
  const act = ((): ((keys: Keys) => Promise<number>) => {
    if (what === "list") {
      none(rest, "keys list");
      return (keys) => listKeys(world, keys);
    }
    if (what === "revoke") {
      const id = one(rest, "ID");
      return (keys) => revokeKey(world, keys, id);
    }
    if (what !== "new") throw new UsageError("keys new NAME, keys list, or keys revoke ID");
    const strange = values.scope?.find((scope) => !scopes.some((known) => known === scope));
    if (strange !== undefined) throw new UsageError(`--scope is one of ${scopes.join(", ")}`);
    const settings = {
      name: one(rest, "NAME"),
      scopes: values.scope as Scope[] | undefined, // checked above
      rate: numberOf(values, "rate"),
      concurrency: numberOf(values, "concurrency"),
      budget: numberOf(values, "budget"),
    };
    return (keys) => newKey(world, keys, settings);
  })();
  // What was asked for is checked by now: a mistake makes no database.
  return await withStore({ url: config.store }, (store) => act(store.keys));
}

async function newKey({ out, say }: World, keys: Keys, settings: KeySettings): Promise<number> {
  try {
    const { key, secret } = await keys.create(settings);
    say(`the key ${key.id} was made. It is shown this once:`);
    await out(`${secret}\n`);
    return 0;
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(error.message); // a rate of 0, no name
    throw error;
  }
}

async function listKeys({ out }: World, keys: Keys): Promise<number> {
  for (const key of await keys.list()) {
    const state = key.revoked === null ? "active" : `revoked ${key.revoked.toISOString()}`;
    await out(`${key.id}  ${state}  ${key.scopes.join(",")}  ${key.name}\n`);
  }
  return 0;
}

async function revokeKey({ say }: World, keys: Keys, id: string): Promise<number> {
  if (await keys.revoke(id)) return 0;
  say(`there is no active key ${id}`);
  return 1;
}

async function listProxies({ out, say }: World, config: Config): Promise<number> {
  const { proxies, fetcher } = assemble(config);
  fetcher.close();
  for (const { id, pool, country = "-", cost } of proxies.list()) {
    await out(`${pool}  ${id}  country ${country}  cost ${cost}\n`);
  }
  if (proxies.list().length === 0) say("there are no pools: everything goes directly");
  return 0;
}

async function askRobots({ out, egress }: World, config: Config, url: string): Promise<number> {
  const { fetcher, robots } = assemble(config, egress);
  const token = config.identity?.product ?? "pagefetch";
  const answer = await use(fetcher, () => robots.check(checkedUrl(url), token));
  const { verdict, line, text, because } = answer.receipt;
  const why = line === undefined ? (because ?? "") : `line ${line}: ${text ?? ""}`;
  await out(harmless(`${verdict}  ${why}\n`));
  if (answer.crawlDelay !== undefined) await out(`crawl-delay ${answer.crawlDelay} s\n`);
  return verdict === "disallowed" ? 3 : 0;
}
