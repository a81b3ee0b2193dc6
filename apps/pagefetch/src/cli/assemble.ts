/** Puts the rooms that fetch together, as the configuration says. */

import { createClassifier } from "../classify/classifier.ts";
import { builtInRules } from "../classify/classify.ts";
import { readRules } from "../classify/rules.ts";
import type { HeldBytes } from "../contract/held.ts";
import type { Robots } from "../contract/parts.ts";
import { Egress, type EgressOptions } from "../egress/egress.ts";
import { Fetcher } from "../fetch/fetcher.ts";
import { createIdentities } from "../identity/identity.ts";
import { createSigner, type Signer } from "../identity/signature.ts";
import { createPoliteness } from "../politeness/politeness.ts";
import { parseProxies } from "../proxies/parse.ts";
import { createProxies, type ManagedProxies, type ProxyPool } from "../proxies/proxies.ts";
import { createRobots } from "../robots/robots.ts";
import { createSessions } from "../sessions/sessions.ts";
import { type Config, ConfigError, readText } from "./config.ts";

export interface Assembled {
  readonly fetcher: Fetcher;
  readonly proxies: ManagedProxies;
  readonly signer: Signer | undefined;
  readonly robots: Robots;
}

/** What fetches, without store and API. The caller closes `fetcher`. */
export function assemble(
  config: Config,
  egress: Partial<EgressOptions> = {},
  held?: HeldBytes,
): Assembled {
  const pools = poolsOf(config);
  const proxies = configured("configuration", () =>
    createProxies({ pools, directFirst: config.directFirst }),
  );
  const signer = signerOf(config);
  const { product, version, contact } = config.identity ?? {};
  let robots: Robots | undefined;
  const fetcher = new Fetcher({
    egress: configured(
      "configuration",
      () =>
        new Egress({
          allow: config.allow,
          deny: config.deny,
          refuse: config.refuse,
          allowProxies: config.allowProxies,
          ports: config.ports,
          ...egress,
        }),
    ),
    politeness: configured("configuration: politeness", () =>
      createPoliteness({ ...config.politeness, processes: config.processes }),
    ),
    sessions: createSessions(),
    identities: configured("configuration", () =>
      createIdentities({ product, version, contact: contact ?? config.publicUrl, signer }),
    ),
    classifier: createClassifier(rulesOf(config)),
    proxies,
    held,
    robots: (get) => {
      robots = createRobots(get);
      return robots;
    },
  });
  if (robots === undefined) throw new Error("a Fetcher makes its robots at once");
  return { fetcher, proxies, signer, robots };
}

/** What `make` makes. What the operator has said wrong is told as such, with its place. */
function configured<T>(place: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof ConfigError || !(error instanceof Error)) throw error;
    throw new ConfigError(`${place}: ${error.message}`);
  }
}

function poolsOf({ pools = [] }: Config): readonly ProxyPool[] {
  return pools.map(({ name, file }) => {
    const what = `the pool "${name}"`;
    return configured(what, () => ({ name, proxies: parseProxies(readText(file, what), name) }));
  });
}

function rulesOf({ rules }: Config): typeof builtInRules {
  if (rules === undefined) return builtInRules;
  return configured("the rules", () => readRules(JSON.parse(readText(rules, "the rules"))));
}

function signerOf({ identity, publicUrl }: Config): Signer | undefined {
  const file = identity?.signingKey;
  if (file === undefined) return undefined;
  if (publicUrl === undefined) {
    throw new ConfigError(
      "`identity.signingKey` needs `publicUrl`, where the public keys are shown",
    );
  }
  return configured("configuration", () =>
    createSigner({ key: readText(file, "the signing key"), agent: publicUrl }),
  );
}
