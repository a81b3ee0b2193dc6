/** What answers where a part was left out: the plainest thing that works. */

import { PageError } from "../contract/errors.ts";
import type {
  Classifier,
  Identities,
  Politeness,
  Proxies,
  Session,
  Sessions,
} from "../contract/parts.ts";
import { ACCEPTED } from "./decode.ts";

/** Nobody waits. */
export const noPoliteness: Politeness = {
  enter: async () => ({ waited: 0, end: () => {} }),
};

/** The machine's own connection. */
export const noProxies: Proxies = {
  check({ proxy, country }) {
    if (proxy !== "direct" && proxy !== "auto")
      throw new PageError("bad_request", `there is no proxy ${JSON.stringify(proxy)}`, {
        parameter: "proxy",
      });
    if (country !== undefined)
      throw new PageError("bad_request", "`country` needs a proxy, and there is none", {
        parameter: "country",
      });
  },
  route: async () => ({ id: "direct", proxy: undefined, end: () => {} }),
};

/** No cookies. */
export const noSessions: Sessions = {
  open: (name): Session => ({
    name,
    routeId: undefined,
    cookiesFor: () => undefined,
    setCookies: () => {},
  }),
};

const TOKEN = "pagefetch";

/** A truthful name, and the caller's headers. */
export const plainIdentities: Identities = {
  get(name) {
    if (name === "browser")
      throw new PageError("unsupported_parameter", "`identity: browser` needs a browser", {
        parameter: "identity",
      });
    return {
      label: `${name} ${TOKEN}`,
      robotsToken: TOKEN,
      headersFor({ given }) {
        if (name === "custom") return given;
        const own = [
          ["user-agent", `${TOKEN}/0.1`],
          ["accept", "text/html,application/xhtml+xml,*/*;q=0.8"],
          ["accept-encoding", ACCEPTED],
        ] as const;
        const names = new Set(given.map(([name]) => name));
        return [...own.filter(([name]) => !names.has(name)), ...given];
      },
    };
  },
};

/** Every answer is a page. */
export const noClassifier: Classifier = {
  wants: () => 0,
  judge: () => ({ kind: "page", confidence: 1, evidence: [] }),
};
