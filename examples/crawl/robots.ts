// robots.txt: what a host asks crawlers to leave alone, and how fast they may come.
//
// The package robots-parser reads the rules; this file loads them and decides what a host without
// rules, or one whose rules cannot be had, allows: everything, with a note in the summary.

import robotsParser from "robots-parser";
import { Failure, failureOf } from "./failures.ts";
import { type Client, loadDocument, userAgent } from "./http.ts";
import { normaliseLink } from "./links.ts";

/**
 * The types of this package describe a `default` inside what Node imports; it is the function
 * itself.
 */
const parseRobots = robotsParser as unknown as typeof robotsParser.default;

const mostRedirects = 5;
/** A host may ask for patience, within reason: a request every ten seconds is the slowest we go. */
const longestDelay = 10;

export class RobotsRules {
  /** Seconds between the starts of two requests; 0 if the host does not mind. */
  readonly delay: number;
  readonly #isDisallowed: (address: string) => boolean;

  constructor(address: URL, text: string) {
    const rules = parseRobots(address.href, text);
    const delay = Number(rules.getCrawlDelay(userAgent) ?? 0);
    this.delay = delay > 0 ? Math.min(delay, longestDelay) : 0;
    this.#isDisallowed = (page) => rules.isDisallowed(page, userAgent) ?? false;
  }

  allows(url: URL): boolean {
    return !this.#isDisallowed(url.href);
  }
}

/** Loads the rules of the host of `url`. It never fails, short of being cancelled. */
export async function loadRobots(url: URL, client: Client): Promise<RobotsRules> {
  const address = new URL("/robots.txt", url);
  try {
    return new RobotsRules(address, await loadText(address, client));
  } catch (error) {
    const { kind } = failureOf(error);
    // HTTP 404 is how a host says that it has no rules; anything else is worth a word.
    if (!kind.startsWith("HTTP 4"))
      client.report.notes.push(`${address.href}: ${kind}, taken as "all allowed"`);
    return new RobotsRules(address, "");
  }
}

async function loadText(address: URL, client: Client): Promise<string> {
  let url = address;
  for (let redirects = 0; redirects <= mostRedirects; redirects++) {
    const document = await loadDocument(url, client, /^text\/plain\b/);
    if (document.kind === "text") return document.text;
    if (document.kind === "other") return "";
    url = normaliseLink(document.location, url) ?? url;
  }
  throw new Failure("too many redirects");
}
