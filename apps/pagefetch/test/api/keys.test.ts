/** What is said to callers without a key. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Farm, openFarm } from "../../farm/farm.ts";
import type { Config } from "../../src/cli/config.ts";
import { type World, withApi as withWorld } from "../support/api.ts";

let farm: Farm;
before(async () => {
  farm = await openFarm();
});
after(() => farm.close());

const withApi = (body: (world: World) => Promise<void>, config?: Config): Promise<void> =>
  withWorld(farm, body, config);

test("a key in the query where it is not taken, with what is taken instead", async () => {
  const lacks = async (answer: Promise<Response>, message: RegExp): Promise<void> => {
    const response = await answer;
    assert.equal(response.status, 401);
    assert.match(await response.text(), message);
  };
  const json = { url: "http://example.com/", httpResponseBody: true };
  const refused =
    /`key`: this call takes no key in the query.* Send `Authorization: Bearer KEY` or `X-Api-Key: KEY`"/;
  await withApi(async ({ key, ask, post }) => {
    for (const header of [null, key])
      await lacks(post(`/v1/extract?key=${key}`, json, header), refused);
    await lacks(post("/v1/extract", json, null), /no key: send `Auth.*or `X-Api-Key: KEY`"/);
    await lacks(ask("/?url=x", { key: null }), /no key: send .*, or `\?key=KEY`"/);
  });
  const config = { queryKeys: false };
  await withApi(async ({ key, ask, post }) => {
    for (const header of [null, key]) {
      await lacks(ask(`/?key=${key}&url=x`, { key: header }), refused);
      await lacks(post(`/v1/fetch?key=${key}`, json, header), refused);
    }
    await lacks(ask("/?url=x", { key: null }), /no key: send `Auth.*or `X-Api-Key: KEY`"/);
  }, config);
});
