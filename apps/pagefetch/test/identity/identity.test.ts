import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, verify } from "node:crypto";
import { describe, test } from "node:test";
import type { HeaderList } from "../../src/contract/headers.ts";
import { createIdentities } from "../../src/identity/identity.ts";
import {
  createSigner,
  signatureBase,
  signatureParams,
  thumbprint,
} from "../../src/identity/signature.ts";
import { createSessions } from "../../src/sessions/sessions.ts";

const url = new URL("https://www.example.org:8443/a?b=c");
const newSession = () => createSessions().open(undefined);

/** RFC 9421, B.1.4: a key for tests. */
const testKey = [
  "-----BEGIN PRIVATE KEY-----",
  "MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF",
  "-----END PRIVATE KEY-----",
].join("\n");

describe("bot", () => {
  const get = (options?: Parameters<typeof createIdentities>[0], given: HeaderList = []) =>
    createIdentities(options).get("bot", newSession(), given);

  test("says what it is, and where to complain", async () => {
    const bot = get({ product: "examplebot", version: "2.1", contact: "https://example.org/bot" });
    const headers = await bot.headersFor({ url, method: "GET", given: [] });
    assert.deepEqual(headers[0], ["user-agent", "examplebot/2.1 (+https://example.org/bot)"]);
    assert.equal(bot.robotsToken, "examplebot");
    assert.equal(bot.label, "bot examplebot/2.1");
    assert.ok(!headers.some(([name]) => name.startsWith("sec-")));
  });

  test("takes the caller's headers, which replace its own", async () => {
    const given: HeaderList = [
      ["accept", "application/json"],
      ["x-a", "1"],
    ];
    const headers = await get({}, given).headersFor({ url, method: "GET", given });
    assert.deepEqual(
      headers.filter(([name]) => name === "accept" || name === "x-a"),
      given,
    );
  });

  for (const name of ["user-agent", "from", "sec-ch-ua", "signature", "signature-input"]) {
    test(`does not take "${name}", by which it would say something else`, () => {
      const given: HeaderList = [[name, "Mozilla/5.0"]];
      assert.throws(() => get({}, given), {
        code: "bad_request",
        message: /identity=custom/,
      });
    });
  }
});

describe("custom", () => {
  test("sends what the caller gives, in order, and nothing else", async () => {
    const given: HeaderList = [
      ["user-agent", "Thing/1"],
      ["accept", "*/*"],
    ];
    const custom = createIdentities().get("custom", newSession(), given);
    assert.deepEqual(await custom.headersFor({ url, method: "GET", given }), given);
  });

  const bad: Record<string, HeaderList> = {
    host: [["host", "a"]],
    "content-length": [["content-length", "1"]],
    "transfer-encoding": [["transfer-encoding", "chunked"]],
    "a line break": [["x", "a\r\nb: c"]],
    "a NUL": [["x", "a\0"]],
    "a name with a space": [["a b", "c"]],
    "an empty name": [["", "c"]],
    "a character beyond Latin 1": [["x", "€"]],
    "a long value": [["x", "a".repeat(20_000)]],
  };
  for (const [name, given] of Object.entries(bad)) {
    test(`does not send ${name}`, () => {
      const identities = createIdentities();
      assert.throws(() => identities.get("custom", newSession(), given), { code: "bad_request" });
    });
  }
});

test("browser is refused with what to use instead", () => {
  assert.throws(() => createIdentities().get("browser", newSession(), []), {
    code: "unsupported_parameter",
    message: /bot, or custom/,
  });
});

test("a session keeps its identity", () => {
  const identities = createIdentities();
  const session = newSession();
  identities.get("bot", session, []);
  identities.get("bot", session, []);
  assert.throws(() => identities.get("custom", session, []), {
    code: "bad_request",
    message: /"bot"/,
  });
});

test("bad options are refused", () => {
  assert.throws(() => createIdentities({ product: "a b" }), /product/);
  assert.throws(() => createIdentities({ version: "1 2" }), /version/);
  assert.throws(() => createIdentities({ contact: "a\nb" }), /contact/);
});

describe("signatures", () => {
  test("are those of RFC 9421, B.2.6", async () => {
    const { sign } = await import("node:crypto");
    const covered = [
      ["date", "Tue, 20 Apr 2021 02:07:55 GMT"],
      ["@method", "POST"],
      ["@path", "/foo"],
      ["@authority", "example.com"],
      ["content-type", "application/json"],
      ["content-length", "18"],
    ] as const;
    const parameters = [
      ["created", 1618884473],
      ["keyid", "test-key-ed25519"],
    ] as const;
    assert.equal(
      signatureParams(covered, parameters),
      '("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"',
    );
    const signature = sign(null, Buffer.from(signatureBase(covered, parameters)), testKey);
    assert.equal(
      signature.toString("base64"),
      "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==",
    );
  });

  test("name the key by its thumbprint", () => {
    assert.equal(
      thumbprint(createPublicKey(testKey)),
      "poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U",
    );
  });

  test("of a bot cover the authority and the agent, and can be checked by the directory", async () => {
    const signer = createSigner({ key: testKey, agent: "https://bot.example/about", lifetime: 30 });
    const bot = createIdentities({ signer, now: () => 1_700_000_000.9 }).get(
      "bot",
      newSession(),
      [],
    );
    const headers = new Map(await bot.headersFor({ url, method: "GET", given: [] }));
    const input = headers.get("signature-input") ?? "";
    const kid = "poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U";
    assert.equal(
      input,
      `sig1=("@authority" "signature-agent");created=1700000000;expires=1700000030;keyid="${kid}";alg="ed25519";tag="web-bot-auth"`,
    );
    assert.equal(headers.get("signature-agent"), '"https://bot.example"');
    const base = [
      '"@authority": www.example.org:8443',
      '"signature-agent": "https://bot.example"',
      `"@signature-params": ${input.slice("sig1=".length)}`,
    ].join("\n");
    const [jwk] = signer.directory.keys;
    assert.equal(jwk?.kid, kid);
    const key = createPublicKey({ key: { ...jwk }, format: "jwk" });
    const signature = /^sig1=:(.+):$/.exec(headers.get("signature") ?? "")?.[1] ?? "";
    assert.ok(verify(null, Buffer.from(base), key, Buffer.from(signature, "base64")));
    assert.match(bot.label, /signed$/);
  });

  test("need an Ed25519 key and an https agent, and errors say nothing of the key", () => {
    const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const pem = rsa.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    for (const key of [pem, "secret", ""]) {
      assert.throws(
        () => createSigner({ key, agent: "https://a.example" }),
        (error) => error instanceof TypeError && !error.message.includes("secret"),
      );
    }
    assert.throws(() => createSigner({ key: testKey, agent: "http://a.example" }), /https/);
    const agent = "https://a.example";
    assert.throws(() => createSigner({ key: testKey, agent, lifetime: 0 }), /lifetime/);
  });
});
