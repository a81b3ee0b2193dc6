/**
 * Who we say we are. `bot` is the truth: a product, a version, and where to complain; robots.txt is
 * asked about the same product. `custom` sends what the caller gives and nothing else, on the
 * caller's own responsibility. `browser` is refused: headers of a browser over connections that are
 * none is a disguise, and one that does not hold.
 */

import { PageError } from "../contract/errors.ts";
import { type HeaderList, headerOf, wrongWithHeader } from "../contract/headers.ts";
import type { Identities, Identity, Session } from "../contract/parts.ts";
import type { Signer } from "./signature.ts";

export interface IdentityOptions {
  /** The product token: letters, digits, "-" and "_". @default "pagefetch" */
  readonly product?: string | undefined;
  /** @default "0.1" */
  readonly version?: string | undefined;
  /** A page, or a mail address, for the owners of sites. */
  readonly contact?: string | undefined;
  /** Signs what `bot` sends. @default nothing is signed */
  readonly signer?: Signer | undefined;
  /** Unix time in seconds. @default the machine's clock */
  readonly now?: (() => number) | undefined;
}

const ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const ENCODINGS = "gzip, deflate, br, zstd";
/** By these a bot would say that it is something else. */
const telling = /^(user-agent|from|sec-.*|signature.*)$/;

export function createIdentities(options: IdentityOptions = {}): Identities {
  const { product = "pagefetch", version = "0.1", contact, signer } = options;
  const { now = () => Date.now() / 1000 } = options;
  if (!/^[A-Za-z_-]+$/.test(product)) {
    // RFC 9309, 2.2.1: what robots.txt can name.
    throw new TypeError(`identity: \`product\` has letters, "-" and "_" only, got "${product}"`);
  }
  if (!/^[\w.-]+$/.test(version))
    throw new TypeError(`identity: \`version\` is no token: "${version}"`);
  if (contact !== undefined && !/^[\x21-\x7e]+$/.test(contact)) {
    throw new TypeError("identity: `contact` is a URL or a mail address, without spaces");
  }
  const about = contact === undefined ? "" : ` (+${contact})`;
  const userAgent = `${product}/${version}${about}`;
  const label = `bot ${product}/${version}${signer === undefined ? "" : " signed"}`;

  const bot: Identity = {
    label,
    robotsToken: product,
    headersFor({ url, given }) {
      const standard: HeaderList = [
        ["user-agent", userAgent],
        ["accept", ACCEPT],
        ["accept-encoding", ENCODINGS],
      ];
      const kept = standard.filter(([name]) => headerOf(given, name) === undefined);
      return [...kept, ...given, ...(signer?.sign(url.host, now()) ?? [])];
    },
  };
  const custom: Identity = {
    label: "custom",
    robotsToken: product,
    headersFor: ({ given }) => given,
  };
  /** A session keeps the identity that it was first used with. */
  const identityOf = new WeakMap<Session, string>();

  return {
    get(name, session, given) {
      if (name === "browser") {
        throw new PageError(
          "unsupported_parameter",
          "identity=browser needs a browser, and this service has none: use bot, or custom with headers of your own",
          { parameter: "identity" },
        );
      }
      checkGiven(given);
      if (name === "bot") checkUntold(given);
      const before = identityOf.get(session);
      if (before !== undefined && before !== name) {
        throw new PageError(
          "bad_request",
          `this session has the identity "${before}"; open another session for "${name}"`,
          { parameter: "identity" },
        );
      }
      identityOf.set(session, name);
      return name === "bot" ? bot : custom;
    },
  };
}

function checkGiven(given: HeaderList): void {
  for (const [name, value] of given) {
    const wrong = wrongWithHeader(name, value);
    if (wrong !== undefined) throw new PageError("bad_request", wrong, { parameter: "headers" });
  }
}

function checkUntold(given: HeaderList): void {
  const strange = given.find(([name]) => telling.test(name));
  if (strange === undefined) return;
  const text = `"${strange[0]}" is the bot's own; identity=custom sends what you give`;
  throw new PageError("bad_request", text, { parameter: "headers" });
}
