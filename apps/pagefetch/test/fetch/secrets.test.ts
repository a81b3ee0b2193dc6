import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { inspect } from "node:util";
import { type Farm, openFarm } from "../../farm/farm.ts";
import { type FarmProxy, openProxy } from "../../farm/proxies.ts";
import { PageError } from "../../src/contract/errors.ts";
import type { Proxies } from "../../src/contract/parts.ts";
import type { ProgressEvent } from "../../src/contract/result.ts";
import { withFetcher } from "../support/farm.ts";

const password = "planted-password";
const token = "planted-token";
const cookie = "planted-cookie";

let farm: Farm;
let proxy: FarmProxy;
before(async () => {
  farm = await openFarm();
  const portOf = farm.portOf.bind(farm);
  proxy = await openProxy({ protocol: "http", from: "127.0.2.9", username: "u", password, portOf });
});
after(async () => {
  await proxy.close();
  await farm.close();
});

const proxies: Proxies = {
  async route() {
    const { host, port } = proxy;
    const upstream = { protocol: "http", host, port, username: "u", password } as const;
    return { id: "proxy-1", proxy: upstream, end: () => {} };
  },
};

const urls = [
  "http://pages.farm.test/status/200",
  "http://pages.farm.test/status/503",
  "http://broken.farm.test/no-http",
  "http://broken.farm.test/short",
  "http://limits.farm.test/402",
  "http://limits.farm.test/429?after=9999",
  "http://redirect.farm.test/inside",
  "http://redirect.farm.test/loop",
  "http://nowhere.farm.test/",
  "https://expired.farm.test/",
  "http://bombs.farm.test/lie",
  "http://slow.farm.test/head",
];

for (const fault of ["none", "unauthorized", "garbage", "bad-gateway", "closes"] as const)
  test(`what is secret is in no error, receipt or event: proxy ${fault}`, async () => {
    proxy.fault = fault;
    const said: unknown[] = [];
    await withFetcher(
      farm,
      async (fetcher) => {
        for (const url of urls) {
          const onProgress = (event: ProgressEvent): void => void said.push(event);
          const headers = { authorization: `Bearer ${token}`, cookie: `a=${cookie}` };
          try {
            const page = await fetcher.fetch(url, {
              headers,
              onProgress,
              retries: 1,
              timeout: 2,
              headersTimeout: 0.1,
            });
            said.push({ ...page, bytes: undefined });
          } catch (error) {
            assert.ok(error instanceof PageError, inspect(error));
            said.push(error, JSON.stringify(error), String(error.stack));
          }
        }
      },
      { proxies },
    );
    const text = inspect(said, { depth: 20, maxArrayLength: null, maxStringLength: null });
    assert.ok(text.length > 10_000);
    assert.doesNotMatch(text, /planted|127\.0\.3\.1|dTpwbGFu/);
    assert.match(text, /proxy-1/);
  });
