/**
 * Web Bot Auth: a request signed by the bot that sends it, so that a site can tell it from those who
 * only use its name. HTTP Message Signatures (RFC 9421) with Ed25519, and the profile of
 * draft-meunier-web-bot-auth-architecture: the tag `web-bot-auth`, the key by its thumbprint (RFC
 * 7638), and `Signature-Agent`, which tells where the public keys are.
 */

import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto";
import type { HeaderList } from "../contract/headers.ts";

/** A public key as JWK (RFC 8037), for the directory of keys. */
export interface PublicKeyJwk {
  readonly kty: "OKP";
  readonly crv: "Ed25519";
  readonly x: string;
  readonly kid: string;
  readonly use: "sig";
}

/** The directory's media type, and the path under which it is looked for. */
export const directoryType = "application/http-message-signatures-directory+json";
export const directoryPath = "/.well-known/http-message-signatures-directory";

/** The names and values that a signature covers, in order. */
export type Covered = readonly (readonly [component: string, value: string])[];

/** RFC 9421, 2.3: the parameters of a signature, in the order in which they are given. */
export type Parameters = readonly (readonly [name: string, value: string | number])[];

/** RFC 9421, 2.5: the text that is signed. */
export function signatureBase(covered: Covered, parameters: Parameters): string {
  const lines = covered.map(([component, value]) => `"${component}": ${value}`);
  return [...lines, `"@signature-params": ${signatureParams(covered, parameters)}`].join("\n");
}

/** RFC 9421, 4.1: the value of `Signature-Input` after its label. */
export function signatureParams(covered: Covered, parameters: Parameters): string {
  const names = covered.map(([component]) => `"${component}"`).join(" ");
  const rest = parameters.map(
    ([name, value]) => `;${name}=${typeof value === "number" ? value : `"${value}"`}`,
  );
  return `(${names})${rest.join("")}`;
}

/** RFC 7638 for Ed25519: what names a key, whoever has it. */
export function thumbprint(key: KeyObject): string {
  const publicKey = key.type === "private" ? createPublicKey(key) : key;
  const { crv, kty, x } = publicKey.export({ format: "jwk" });
  return createHash("sha256").update(JSON.stringify({ crv, kty, x })).digest("base64url");
}

export interface SignerOptions {
  /** The private key, Ed25519, as PEM. */
  readonly key: string;
  /** The `https:` address of the service that shows the public keys. */
  readonly agent: string;
  /** For how many seconds a signature is good. @default 60 */
  readonly lifetime?: number | undefined;
}

export interface Signer {
  /** The headers that a request to `authority` is given. `now` is Unix time in seconds. */
  sign(authority: string, now: number): HeaderList;
  /** What the service shows at `directoryPath`. */
  readonly directory: { readonly keys: readonly PublicKeyJwk[] };
}

/** @throws TypeError for a key that is not a private Ed25519 key, or an agent that is no https URL. */
export function createSigner({ key, agent, lifetime = 60 }: SignerOptions): Signer {
  const privateKey = readKey(key);
  if (!(URL.canParse(agent) && new URL(agent).protocol === "https:")) {
    throw new TypeError("signing: `agent` must be an https: URL, where the public keys are shown");
  }
  if (!(lifetime > 0 && lifetime <= 86_400)) {
    throw new RangeError("signing: `lifetime` must be above 0 and at most 86,400 seconds");
  }
  const kid = thumbprint(privateKey);
  const quoted = `"${new URL(agent).origin}"`;
  const { x = "" } = createPublicKey(privateKey).export({ format: "jwk" });
  return {
    directory: { keys: [{ kty: "OKP", crv: "Ed25519", x, kid, use: "sig" }] },
    sign(authority, now) {
      const created = Math.floor(now);
      const covered: Covered = [
        ["@authority", authority],
        ["signature-agent", quoted],
      ];
      const parameters: Parameters = [
        ["created", created],
        ["expires", created + Math.ceil(lifetime)],
        ["keyid", kid],
        ["alg", "ed25519"],
        ["tag", "web-bot-auth"],
      ];
      const base = signatureBase(covered, parameters);
      const signature = sign(null, Buffer.from(base), privateKey).toString("base64");
      return [
        ["signature-agent", quoted],
        ["signature-input", `sig1=${signatureParams(covered, parameters)}`],
        ["signature", `sig1=:${signature}:`],
      ];
    },
  };
}

/** The error says nothing of what is in the key. */
function readKey(pem: string): KeyObject {
  let key: KeyObject | undefined;
  try {
    key = createPrivateKey(pem);
  } catch {
    key = undefined;
  }
  if (key?.asymmetricKeyType === "ed25519") return key;
  throw new TypeError(
    "signing: `key` must be a private Ed25519 key as PEM (openssl genpkey -algorithm ed25519)",
  );
}
