// The certificates of the TLS tests: fixtures/tls/make.sh says what each is for.

import { readFileSync } from "node:fs";

const folder = new URL("../fixtures/tls/", import.meta.url);
const read = (name: string): string => readFileSync(new URL(`${name}.pem`, folder), "utf8");

/** A certificate with its key. */
export const certificate = (name: string) => ({ cert: read(name), key: read(`${name}-key`) });

/** The root that has issued all of them but "unknown" and "self". */
export const ca = read("ca");
export const otherCa = read("other-ca");
