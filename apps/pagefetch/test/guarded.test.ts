/** The farm's sites that do not show their page to everybody. */

import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { after, before, test } from "node:test";
import { type Farm, openFarm } from "../farm/farm.ts";
import { createIdentities } from "../src/identity/identity.ts";
import { createSigner } from "../src/identity/signature.ts";
import { type Fetcher, openFetcher } from "../src/index.ts";
import { createPoliteness } from "../src/politeness/politeness.ts";
import { egressTo, failure, run } from "./support/farm.ts";

let farm: Farm;
before(async () => {
  farm = await openFarm();
});
after(() => farm.close());

async function withWhole<T>(
  body: (fetcher: Fetcher) => Promise<T>,
  options: Parameters<typeof openFetcher>[0] = {},
): Promise<T> {
  const pace = { interval: 0, inFlight: 10 };
  const politeness = createPoliteness({ domain: pace, address: pace });
  const result = await run(async () => {
    using fetcher = openFetcher({ egress: egressTo(farm), politeness, ...options });
    return await body(fetcher);
  });
  await farm.waitQuiet();
  return result;
}

test("a page that is made by scripts comes as it is sent, and is told to be a shell", async () => {
  const page = await withWhole((fetcher) => fetcher.fetch("http://shell.farm.test/"));
  assert.deepEqual([page.status, page.verdict?.kind], [200, "empty_shell"]);
});

test("a login in place of a page is told, and a session may pass it", async () => {
  await withWhole(async (fetcher) => {
    const url = "http://login.farm.test/orders";
    const wall = await fetcher.fetch(url);
    assert.deepEqual(
      [wall.finalUrl, wall.verdict?.kind],
      [`${new URL("/login?next=%2Forders", url)}`, "login_wall"],
    );

    const session = "ann";
    await fetcher.fetch("http://login.farm.test/login", {
      method: "POST",
      body: "name=a",
      session,
    });
    assert.match((await fetcher.fetch(url, { session })).text(), /Welcome back/);
  });
});

for (const [path, vendor] of [
  ["turnstile", /cloudflare/],
  ["recaptcha", /google|recaptcha/],
  ["hcaptcha", /hcaptcha/],
] as const)
  test(`a CAPTCHA (${path}) is no page, and its vendor is told`, async () => {
    const url = `http://captcha.farm.test/${path}`;
    const error = await failure(withWhole((fetcher) => fetcher.fetch(url)));
    assert.equal(error.code, "captcha");
    assert.match(error.details.vendor ?? "", vendor);
    assert.ok((error.details.evidence?.length ?? 0) > 0);
  });

test("a site that verifies signatures lets a signed bot in, and nobody else", async () => {
  const { privateKey } = generateKeyPairSync("ed25519");
  const key = String(privateKey.export({ type: "pkcs8", format: "pem" }));
  const signer = createSigner({ key, agent: "https://bot.example" });
  const url = "http://signed.farm.test/";
  const answer = async (options: Parameters<typeof createIdentities>[0]): Promise<string> =>
    await withWhole(async (fetcher) => (await fetcher.fetch(url)).text(), {
      identities: createIdentities(options),
    });

  assert.match(await answer({}), /not signed/);
  assert.match(await answer({ signer }), /a key that is not known/);
  await withWhole((fetcher) =>
    fetcher.fetch(`${url}directory`, { method: "PUT", body: JSON.stringify(signer.directory) }),
  );
  assert.match(await answer({ signer }), /Welcome, "https:\/\/bot\.example"/);
  assert.match(await answer({ signer, now: () => Date.now() / 1000 - 600 }), /expired/);
  const elsewhere = { ...signer, sign: (_: string, now: number) => signer.sign("b.test", now) };
  assert.match(await answer({ signer: elsewhere }), /a signature that does not hold/);
});
