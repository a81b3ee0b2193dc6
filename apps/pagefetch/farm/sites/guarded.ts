/** Sites that do not show their page to everybody, or show it to browsers only. */

import { createHash, createPublicKey, type JsonWebKey, verify } from "node:crypto";
import { type Ask, html, type Site, type Sites } from "../site.ts";

const around = (title: string, body: string, head = ""): string =>
  `<!doctype html>\n<html><head><title>${title}</title>${head}</head>\n<body>${body}</body></html>\n`;
const script = (url: string): string => `<script src="${url}" defer></script>`;

/** A page that is made by scripts, as a server sends it. */
const shell = around(
  "Shop",
  '<div id="root"></div><noscript>You need to enable JavaScript to run this app.</noscript>',
  script("/static/js/main.1.js"),
);

const loginForm = around(
  "Sign in",
  '<h1>Sign in to continue</h1><form method="post" action="/login">' +
    '<input name="name" autocomplete="username"><input name="password" type="password">' +
    "<button>Sign in</button></form>",
);

/** The shape of what vendors send; nothing in them is a vendor's. */
const captchas: Readonly<Record<string, readonly [page: string, headers: object]>> = {
  "/turnstile": [
    around(
      "One step",
      '<h1>Security</h1><div class="cf-turnstile"></div>',
      script("https://challenges.cloudflare.com/turnstile/v0/api.js"),
    ),
    { server: "cloudflare" },
  ],
  "/recaptcha": [
    around(
      "Are you a robot?",
      '<p>Prove that you are human.</p><div class="g-recaptcha"></div>',
      script("https://www.google.com/recaptcha/api.js"),
    ),
    {},
  ],
  "/hcaptcha": [
    around(
      "One more step",
      '<p>Please complete the security check.</p><div class="h-captcha"></div>',
      script("https://js.hcaptcha.com/1/api.js"),
    ),
    {},
  ],
};

export const guardedSites: Sites = {
  "shell.farm.test": (ask) => html(ask, shell),

  /** Everything leads to `/login`. A POST there, whatever it says, gives the cookie that opens. */
  "login.farm.test": (ask) => {
    const { url, request } = ask;
    if (hasCookie(ask, "member=1")) return html(ask, around("Members", "<p>Welcome back.</p>"));
    if (url.pathname !== "/login") {
      const location = `/login?next=${encodeURIComponent(url.pathname)}`;
      return html(ask, "<p>Sign in first.</p>", 302, { location });
    }
    if (request.method !== "POST") return html(ask, loginForm);
    html(ask, "<p>Welcome.</p>", 303, { location: "/", "set-cookie": "member=1; Path=/" });
  },

  /** `/turnstile`, `/recaptcha`, `/hcaptcha`; the cookie `passed=1` is what a solver would bring. */
  "captcha.farm.test": (ask) => {
    if (hasCookie(ask, "passed=1")) return html(ask, around("In", "<p>You are in.</p>"));
    const [page, headers] = captchas[ask.url.pathname] ?? captchas["/turnstile"] ?? ["", {}];
    html(ask, page, 403, headers);
  },

  "signed.farm.test": botsOnly(),
};

function hasCookie({ request }: Ask, cookie: string): boolean {
  return request.headers.cookie?.split("; ").includes(cookie) === true;
}

/**
 * Answers bots that sign their requests (Web Bot Auth, RFC 9421) by a key that it knows: a directory
 * of keys is sent by `PUT /directory`. A site of the internet reads the directory where the
 * `Signature-Agent` says. What is wrong with a signature is told with a 401.
 */
function botsOnly(): Site {
  const keys = new Map<string, JsonWebKey>();
  return (ask) => {
    if (ask.request.method === "PUT" && ask.url.pathname === "/directory") {
      const given = JSON.parse(`${ask.body}`) as { keys: readonly JsonWebKey[] };
      for (const key of given.keys) keys.set(thumbprint(key), key);
      return html(ask, "<p>noted</p>");
    }
    const wrong = wrongWithSignature(ask, keys);
    if (wrong !== undefined) return html(ask, around("Signed bots only", `<p>${wrong}</p>`), 401);
    html(ask, around("Welcome", `<p>Welcome, ${ask.request.headers["signature-agent"]}.</p>`));
  };
}

/** RFC 7638, for Ed25519. */
function thumbprint({ crv, kty, x }: JsonWebKey): string {
  return createHash("sha256").update(JSON.stringify({ crv, kty, x })).digest("base64url");
}

/** One signature, by the profile of Web Bot Auth; undefined if it holds. */
function wrongWithSignature(
  { request: { headers } }: Ask,
  keys: ReadonlyMap<string, JsonWebKey>,
): string | undefined {
  const input = /^(\w+)=((\([^)]*\))(;.*))$/.exec(String(headers["signature-input"] ?? ""));
  if (input === null) return "not signed";
  const [, label = "", whole = "", names = "", rest = ""] = input;
  const signature = new RegExp(`^${label}=:([\\w+/=]+):$`).exec(String(headers.signature ?? ""));
  const parameter = (name: string): string =>
    new RegExp(`;${name}="?([^";]*)`).exec(rest)?.[1] ?? "";
  const components: readonly string[] = names.match(/"[^"]+"/g) ?? [];
  const key = keys.get(parameter("keyid"));
  const now = Date.now() / 1000;
  if (parameter("tag") !== "web-bot-auth") return "signed for something else";
  if (key === undefined) return "a key that is not known";
  if (!components.includes('"@authority"')) return "signed for no site";
  if (Number(parameter("created")) > now + 60) return "signed in the future";
  if (!(Number(parameter("expires")) > now)) return "expired";
  const lines = components.map((name) => {
    const field = name.slice(1, -1);
    return `${name}: ${field === "@authority" ? headers.host : (headers[field] ?? "")}`;
  });
  const base = [...lines, `"@signature-params": ${whole}`].join("\n");
  const isGood = verify(
    null,
    Buffer.from(base),
    createPublicKey({ key, format: "jwk" }),
    Buffer.from(signature?.[1] ?? "", "base64"),
  );
  return isGood ? undefined : "a signature that does not hold";
}
