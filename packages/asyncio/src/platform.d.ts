// What Node, Deno and Bun all have, for checking the portable layers without Node's types
// (tsconfig.portable.json).

interface AbortSignal {
  readonly aborted: boolean;
  // biome-ignore lint/suspicious/noExplicitAny: the platform's own type
  readonly reason: any;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

declare class AbortController {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}

declare module "node:async_hooks" {
  export class AsyncResource {
    constructor(type: string, options?: number | { requireManualDestroy?: boolean });
    runInAsyncScope<R, This, A extends unknown[]>(
      fn: (this: This, ...args: A) => R,
      thisArg: This,
      ...args: A
    ): R;
  }
  export class AsyncLocalStorage<T> {
    static snapshot(): <R>(fn: () => R) => R;
    getStore(): T | undefined;
    run<R, A extends unknown[]>(store: T, fn: (...args: A) => R, ...args: A): R;
    enterWith(store: T): void;
    disable(): void;
  }
}
