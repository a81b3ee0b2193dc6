// What the tests of bubbles share: bodies inside one, and a look at the globals afterwards.

import assert from "node:assert/strict";
import { afterEach } from "node:test";
import { runInRoot } from "../../src/ports/context-storage.ts";
import { type BubbleOptions, openBubble } from "../../src/testing/bubble.ts";
import type { VirtualLoop } from "../../src/testing/virtual-loop.ts";
import { virtual } from "../virtual.ts";

const timerNames = ["Timeout", "Interval", "Immediate"].flatMap((kind) => [
  `set${kind}`,
  `clear${kind}`,
]);
export const places: [target: object, name: string][] = [
  ...timerNames.map((name): [object, string] => [globalThis, name]),
  [globalThis, "Date"],
  [Date, "now"],
  [Date.prototype, "constructor"],
  [performance, "now"],
  [Math, "random"],
];
const hostDescriptors = descriptors();

/** After each test of a file the globals have to be those of the host. */
export function checkGlobals(): void {
  afterEach(() => {
    assert.deepEqual(descriptors(), hostDescriptors, "the globals are not those of the host");
  });
}

export function descriptors(): (PropertyDescriptor | undefined)[] {
  return places.map(([target, name]) => Object.getOwnPropertyDescriptor(target, name));
}

/** A test body in a bubble on a loop in virtual time. */
export function inBubble(
  body: (loop: VirtualLoop) => PromiseLike<void>,
  options: BubbleOptions = {},
): () => Promise<void> {
  return virtual(async (loop) => {
    const close = openBubble(loop, options);
    try {
      await body(loop);
    } finally {
      close();
    }
  });
}

/** How code that has never heard of us sleeps. */
export function foreignSleep(delayMs?: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}

/** Runs `body` in the context outside the bubble: what the host would call there. */
export function outside<R>(body: () => R): R {
  return runInRoot(body);
}
