/**
 * Other copies of the library in the program: another version, one in a bundle. A copy sees its own
 * scopes alone, and a program that mixes them is told so, once. A list on `globalThis`, a contract
 * between versions, makes copies known to each other. It holds them weakly: a module registry that
 * is reset leaves its copy behind.
 */

import { globals } from "./globals.ts";

interface Copy {
  readonly home: string; // where it was loaded from: the folder, or the file of a bundle
  isCurrent(): boolean; // whether the running code is in a scope of that copy
}

interface Copies {
  readonly all: WeakRef<Copy>[];
  isReported: boolean;
}

const key = Symbol.for("asyncio-ts.copies.1"); // the number of the contract
const program: { [key]?: Copies } = globals as object;
const copies: Copies = program[key] ?? { all: [], isReported: false };
Object.defineProperty(program, key, { value: copies }); // not enumerable: test frameworks look for new globals

/** This file: `import.meta` does not survive in a bundle or a transform to CommonJS. */
const [birthplace = "a file without a name"] = placesOf(new Error().stack ?? "");
/** The file, too, where the library has a folder of its own, and is not in a bundle. */
const fileAndLine = /(?:[\\/]ports[\\/]copies\.[jt]s|(?<=[\\/]dist)[\\/]chunk-\w+\.js)?:\d+$/;
let own: Copy | undefined;

/** Makes this copy known to the others. */
export function joinCopies(isCurrent: () => boolean): void {
  own = { home: birthplace.replace(fileAndLine, ""), isCurrent };
  const living = copies.all.filter((copy) => copy.deref() !== undefined);
  copies.all.splice(0, copies.all.length, ...living, new WeakRef(own));
}

/** Called where the running code is in no scope of this copy: it may be in one of another. */
export function noticeOtherCopies(): void {
  if (copies.all.length < 2 || copies.isReported || own === undefined) return;
  const others = copies.all.map((copy) => copy.deref()).filter((copy) => copy !== own);
  const current = others.find((copy) => copy?.isCurrent());
  if (current === undefined) return;
  copies.isReported = true;
  globals.console.error(describeMeeting(own, current, new Error().stack ?? ""));
}

function describeMeeting({ home }: Copy, other: Copy, stack: string): string {
  const site = placesOf(stack).find((place) => !place.startsWith(home));
  const from = home === other.home ? `${home}, loaded twice` : `${home} and ${other.home}`;
  return (
    `asyncio-ts: two copies are at work, and neither sees the scopes of the other: ${from}. ` +
    `A call to the first in a scope of the second${site === undefined ? "" : `, at ${site},`} is not cancelled with it, ` +
    "and keeps no deadline of it. Load one: `npm ls asyncio-ts` shows who brings another, and bundles leave it external"
  );
}

/** The places of a stack, innermost first: "/home/ann/main.ts:12". */
function placesOf(stack: string): string[] {
  const places = stack.matchAll(/(?:file:\/\/)?((?:\/|[A-Za-z]:[\\/])[^\n()]*?:\d+):\d+/g);
  return [...places].map(([, place = ""]) => place);
}
