/** What no request can do is refused at the call: no name is resolved, and no robots file is asked for. */

import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "asyncio-ts";
import { VirtualLoop } from "asyncio-ts/testing";
import { Egress, Fetcher, type FetchOptions, openFetcher } from "../../src/index.ts";
import { parseProxies } from "../../src/proxies/parse.ts";
import { createProxies } from "../../src/proxies/proxies.ts";
import { failure } from "../support/farm.ts";

const url = "http://host.test/";
const pools = [{ name: "p", proxies: parseProxies("http://a.example id=a country=de", "p") }];

const loops = { "in real time": undefined, "in virtual time": new VirtualLoop() };

/** An egress that notes what it is asked for, and knows no name. */
function watched(): { readonly asked: string[]; readonly egress: Egress } {
  const asked: string[] = [];
  const resolver = async (name: string): Promise<readonly string[]> => {
    asked.push(name);
    return [];
  };
  return { asked, egress: new Egress({ resolver }) };
}

const wrong: readonly [options: FetchOptions, parameter: string][] = [
  [{ proxy: "q" }, "proxy"],
  [{ country: "fr" }, "country"],
  [{ proxy: "direct", country: "de" }, "country"],
  [{ headers: { "User-Agent": "Mozilla/5.0" } }, "headers"],
];

for (const [name, loop] of Object.entries(loops)) {
  test(`by each parameter, ${name}`, () =>
    asyncio.run(
      async () => {
        const { asked, egress } = watched();
        using fetcher = openFetcher({ egress, proxies: createProxies({ pools }) });
        using plain = new Fetcher({ egress });

        for (const [options, parameter] of wrong) {
          const { code, details } = await failure(fetcher.fetch(url, options));
          assert.deepEqual([code, details.parameter], ["bad_request", parameter]);
        }
        for (const options of [{ proxy: "p" }, { country: "de" }])
          assert.equal((await failure(plain.fetch(url, options))).code, "bad_request");
        assert.deepEqual(asked, []);
        assert.equal((await failure(fetcher.fetch(url))).code, "dns_failed");
        assert.notDeepEqual(asked, []);
      },
      { signals: false, ...(loop === undefined ? {} : { loop }) },
    ));
}
