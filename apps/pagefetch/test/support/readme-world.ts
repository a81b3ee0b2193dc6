/** What `src/index.ts` gives, on a machine whose internet is the farm. */

import type { Farm } from "../../farm/farm.ts";
import * as real from "../../src/index.ts";
import { egressTo } from "./farm.ts";
import type { ServiceProcess } from "./service-process.ts";

export * from "../../src/index.ts";

let farm: Farm;
let service: ServiceProcess;

export function enter(itsFarm: Farm, itsService: ServiceProcess): void {
  farm = itsFarm;
  service = itsService;
}

export const openFetcher: typeof real.openFetcher = (options) =>
  real.openFetcher({ egress: egressTo(farm), ...options });

export const fetchPage: typeof real.fetchPage = async (url, options) => {
  using fetcher = openFetcher({ idleTime: 0 });
  return await fetcher.fetch(url, options);
};

/** `http://127.0.0.1:8080` and `KEY` are what README.md says of every service. */
export const createClient: typeof real.createClient = (options) => {
  const isAsSaid = options.base === "http://127.0.0.1:8080" && options.key === "KEY";
  if (!isAsSaid) throw new Error("README.md has another address, or another key");
  return real.createClient({ ...options, base: service.address, key: service.key });
};
