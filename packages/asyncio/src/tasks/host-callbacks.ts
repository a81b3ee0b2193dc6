/**
 * Which callback of the host the running code comes from: an event of a socket, a timer, a tick.
 * What the callback does after an `await` counts as well. The library's own slot cannot tell
 * callbacks apart, since each has the scope of the code that registered it. The hooks that can tell
 * are not free, so only debug mode asks.
 */

/** What is used of the host's hooks, declared here so that it compiles without their types. */
interface AsyncHooks {
  readonly AsyncLocalStorage: new <M>() => { getStore(): M | undefined; enterWith(store: M): void };
  readonly AsyncResource: new (...args: never[]) => unknown;
  createHook?(callbacks: object): { enable(): unknown; disable(): unknown };
  executionAsyncResource(): unknown;
}

const host = globalThis as {
  readonly process?: {
    getBuiltinModule?(name: string): AsyncHooks | undefined;
    readonly versions?: Readonly<Record<string, string | undefined>>;
  };
};

/**
 * Marks the callbacks of the host, between `start` and `stop`; the host has one of its kind for
 * each place that asks.
 */
export interface CallbackMarks<M> {
  start(): void;
  stop(): void;
  /**
   * The mark of the callback that the running code comes from; undefined where it comes from none.
   */
  current(): M | undefined;
}

/**
 * Calls `mark` in each callback of the host, in the context in which it was registered. `mark` must
 * not throw. Undefined where the host does not tell of its callbacks: Bun warns of hooks, and Deno
 * never calls them.
 */
export function markCallbacks<M>(mark: () => M): CallbackMarks<M> | undefined {
  const { bun, deno } = host.process?.versions ?? {};
  if (bun !== undefined || deno !== undefined) return undefined;
  const hooks = host.process?.getBuiltinModule?.("node:async_hooks");
  if (hooks?.createHook === undefined) return undefined;
  const { AsyncLocalStorage, AsyncResource, executionAsyncResource } = hooks;
  const marks = new AsyncLocalStorage<M>();
  const callbacks = {
    before: (): void => {
      const resource = executionAsyncResource();
      // Neither of the two is the host's: the continuation of an `await`, and a function that was
      // bound to a context. The latter may be called in the middle of a task, and newer versions of
      // Node ask before they change the context.
      if (resource instanceof Promise || resource instanceof AsyncResource) return;
      marks.enterWith(mark());
    },
    trackPromises: false, // newer versions know it, and promises cost nothing there
  };
  const hook = hooks.createHook(callbacks);
  return {
    start: () => void hook.enable(),
    stop: () => void hook.disable(),
    current: () => marks.getStore(),
  };
}
