/** For ports/copies.ts: other copies know of this one, and this one reports none. */

import { globals } from "../../ports/globals.ts";

interface Copies {
  readonly all: WeakRef<object>[];
  readonly isReported: boolean;
}

const key = Symbol.for("asyncio-ts.copies.1"); // the contract is in the module that this stands for
const program: { [key]?: Copies } = globals as object;
const copies: Copies = program[key] ?? { all: [], isReported: false };
Object.defineProperty(program, key, { value: copies });
let own: object | undefined; // the list holds it weakly

export function joinCopies(isCurrent: () => boolean): void {
  own = { home: "the production build", isCurrent };
  copies.all.push(new WeakRef(own));
}

export function noticeOtherCopies(): void {}
