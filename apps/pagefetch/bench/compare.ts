/**
 * pagefetch beside Crawlee's HttpCrawler, Scrapy, and undici with p-limit, on the same farm. Prints
 * tables of README.md: how fast they are and how much memory they take (`speed`), what is alive two
 * seconds after a timeout or a cancellation (`ends`), and what a site has to complain of
 * (`manners`).
 *
 *     npm --prefix apps/pagefetch run compare [-- --quick] [-- --only pagefetch] [-- --part ends]
 */

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import type { Seen } from "./contenders/farm.ts";
import type { Load, Plan, Scenario } from "./contenders/plan.ts";

const { values } = parseArgs({
  options: {
    quick: { type: "boolean" },
    only: { type: "string", multiple: true },
    part: { type: "string", multiple: true },
  },
});
const isQuick = values.quick === true;
const rounds = isQuick ? 1 : 3;
const home = join(import.meta.dirname, "contenders");

interface Contender {
  readonly title: string;
  readonly command: readonly string[];
  /** Whether it can be run here. */
  readonly isHere: () => boolean;
  /** How it gets here. */
  readonly cure: string;
}

const hasPackage = (name: string): boolean => existsSync(join(home, "node_modules", name));
const byNpm = "npm --prefix apps/pagefetch run compare";
const python = "/usr/bin/python3";

const all: Readonly<Record<string, Contender>> = {
  pagefetch: {
    title: "pagefetch",
    command: [process.execPath, "pagefetch.ts"],
    isHere: () => true,
    cure: "",
  },
  undici: {
    title: "undici, p-limit",
    command: [process.execPath, "undici.mjs"],
    isHere: () => hasPackage("p-limit"),
    cure: byNpm,
  },
  crawlee: {
    title: "Crawlee",
    command: [process.execPath, "crawlee.mjs"],
    isHere: () => hasPackage("@crawlee/http"),
    cure: byNpm,
  },
  scrapy: {
    title: "Scrapy",
    command: [python, "with_scrapy.py"],
    isHere: () => spawnSync(python, ["-c", "import scrapy"]).status === 0,
    cure: "apt-get install python3-scrapy",
  },
};
const wanted = Object.entries(all).filter(([name]) => values.only?.includes(name) ?? true);
const chosen = wanted.filter(([, { isHere }]) => isHere());
for (const [, { title, isHere, cure }] of wanted)
  if (!isHere()) console.log(`left out: ${title}, which is not installed (${cure})`);

/** A program that talks in lines of JSON. */
class Program {
  readonly #child;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<unknown>;

  constructor(command: readonly string[], ...args: readonly string[]) {
    const [program = "", ...words] = command;
    this.#child = spawn(program, [...words, ...args], {
      cwd: home,
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#ended = once(this.#child, "exit");
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
  }

  async line<T>(): Promise<T> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error("it has ended without a word");
    return JSON.parse(value) as T; // the programs beside this one say what their types say
  }

  tell(word: string): void {
    this.#child.stdin.write(`${word}\n`);
  }

  async ask<T>(word: string): Promise<T> {
    this.tell(word);
    return await this.line<T>();
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}

const farm = new Program([process.execPath, "farm.ts"]);
const found = await farm.line<Plan["farm"]>();
const baseOf = (site: string): string => `http://${found.zone[`${site}.farm.test`]}:${found.port}`;
const base = {
  load: baseOf("load"),
  ticks: baseOf("ticks"),
  never: baseOf("never"),
  rules: baseOf("rules"),
};

function planOf(name: string, scenario: Scenario, count: number): Plan {
  const rules = name === "pagefetch" ? "http://rules.farm.test" : base.rules;
  const pages = Array.from({ length: isQuick ? 2 : 8 }, (_, n) => `${rules}/page/${n}`);
  const urls = [`${rules}/private/1`, `${rules}/busy`, ...pages, `${rules}/private/2`];
  return { scenario, count, concurrency: 64, base, urls, farm: found };
}

const pause = (seconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, seconds * 1000));

async function withContender<T>(
  name: string,
  plan: Plan,
  body: (program: Program) => Promise<T>,
): Promise<T> {
  const program = new Program(all[name]?.command ?? [], JSON.stringify(plan));
  try {
    return await body(program);
  } finally {
    await program.kill();
    await farm.ask("reset");
  }
}

/** Seconds until a contender is looked at that does not say that it has ended. */
const PATIENCE = 10;
const HANDLERS = isQuick ? 10 : 50;

/** What is alive two seconds after the tool has said that all has ended, or should have. */
async function left(name: string, scenario: "timeout" | "cancel"): Promise<Seen> {
  return await withContender(name, planOf(name, scenario, HANDLERS), async (program) => {
    if (scenario === "cancel") {
      const isWhole = ({ sockets, handlers }: Seen): boolean => sockets + handlers === 2 * HANDLERS;
      for (let waited = 0; waited < PATIENCE; waited += 0.1) {
        if (isWhole(await farm.ask<Seen>("look"))) break;
        await pause(0.1);
      }
      program.tell("stop");
    }
    await Promise.race([program.line(), pause(PATIENCE)]);
    await pause(2);
    return await farm.ask<Seen>("look");
  });
}

async function politeness(name: string): Promise<Seen> {
  return await withContender(name, planOf(name, "polite", 0), async (program) => {
    await program.line();
    return await farm.ask<Seen>("look");
  });
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

const median = (values: readonly number[]): number => quantile(values, 0.5);

async function loads(): Promise<ReadonlyMap<string, readonly Load[]>> {
  const results = new Map<string, Load[]>(chosen.map(([name]) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name] of round % 2 === 0 ? chosen : chosen.toReversed()) {
      const plan = planOf(name, "load", isQuick ? 200 : 3000);
      const load = await withContender(name, plan, (program) => program.line<Load>());
      results.get(name)?.push(load);
    }
  }
  return results;
}

async function speed(): Promise<void> {
  const results = await loads();
  const rows = chosen.map(([name, { title }]) => {
    const runs = results.get(name) ?? [];
    const perSecond = median(runs.map(({ times, seconds }) => times.length / seconds));
    const p99 = median(runs.map(({ times }) => quantile(times, 0.99)));
    const memory = median(runs.map(({ rss }) => rss / 1024));
    return [title, perSecond.toFixed(0), p99.toFixed(0), memory.toFixed(0)];
  });
  table(["", "pages/s", "p99, ms", "memory, MiB"], rows);
}

async function ends(): Promise<void> {
  const rows: unknown[][] = [];
  for (const [name, { title }] of chosen) {
    const timeout = await left(name, "timeout");
    const cancel = await left(name, "cancel");
    const cells = [timeout, cancel].flatMap(({ sockets, handlers, begun }) => [
      `${sockets} of ${begun.sockets}`,
      `${handlers} of ${begun.handlers}`,
    ]);
    rows.push([title, ...cells]);
  }
  const after = ["timeout: sockets", "handlers", "cancellation: sockets", "handlers"];
  table(["alive 2 s after", ...after], rows);
}

async function manners(): Promise<void> {
  const rows: unknown[][] = [];
  for (const [name, { title }] of chosen) {
    const { disallowed, tooSoon, notWaited } = (await politeness(name)).violations;
    rows.push([title, disallowed, tooSoon, notWaited]);
  }
  table(["", "disallowed pages", "within the crawl-delay", "before `Retry-After`"], rows);
}

function table(head: readonly string[], rows: readonly (readonly unknown[])[]): void {
  const line = (cells: readonly unknown[]): string => `| ${cells.join(" | ")} |`;
  const rule = `|---|${"--:|".repeat(head.length - 1)}`;
  console.log([line(head), rule, ...rows.map(line), ""].join("\n"));
}

const parts = { speed, ends, manners };
try {
  for (const [name, part] of Object.entries(parts)) {
    if (values.part?.includes(name) ?? true) await part();
  }
} finally {
  await farm.kill();
}
