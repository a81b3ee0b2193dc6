// Globals of the host, declared so that no host's types are needed. What some lack is optional.

export type AsyncHooks = typeof import("node:async_hooks");

export interface HostTimers {
  setTimeout(run: () => void, delayMs: number): { ref?(): void; unref?(): void };
  clearTimeout(timer: unknown): void;
  setImmediate(run: () => void): unknown;
}

interface HostProcess {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly versions?: Readonly<Record<string, string | undefined>>;
  readonly getBuiltinModule?: {
    (name: "node:async_hooks"): AsyncHooks | undefined;
    (name: string): HostTimers & Pick<HostGlobals, "performance">;
  };
  nextTick(run: () => void): void;
  on(event: string, listener: (value: never) => void): void;
  off(event: string, listener: (value: never) => void): void;
  listenerCount(event: string): number;
  /** What keeps the host busy, by kind. */
  getActiveResourcesInfo?(): string[];
}

interface HostGlobals extends HostTimers {
  readonly performance: { now(): number };
  readonly console: { error(text: string): void };
  readonly process?: HostProcess;
  readonly navigator?: { readonly userAgent?: string };
  readonly Deno?: { readonly permissions: { querySync(permission: object): { state: string } } };
}

export const globals = globalThis as unknown as HostGlobals;
