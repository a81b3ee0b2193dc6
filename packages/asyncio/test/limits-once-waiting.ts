/**
 * What it takes of the library: tests of this package load its sources, those of others what was
 * built.
 */
export interface Library {
  readonly CancelScope: new () => {
    deadline: number;
    readonly cancelled: boolean;
    run<T>(body: () => PromiseLike<T>): Promise<T | undefined>;
  };
  getRunningLoop(): { time(): number; callSoon(callback: () => void): unknown };
}

/** What `moveOnAfter` gives. */
type Moved<T> = { readonly cancelled: false; readonly value: T } | { readonly cancelled: true };

/**
 * As `moveOnAfter`, with a deadline that is set when `body` waits. One that is there from the start
 * has passed before that where the machine is slow, and something else is cut off. A `body` that
 * takes `begins` calls it before the wait that is meant.
 */
export type LimitOnceWaiting = <T>(
  body: (begins: () => void) => PromiseLike<T>,
  seconds?: number,
) => Promise<Moved<T>>;

/** Makes it for one copy of the library. */
export function limitsOnceWaiting({ CancelScope, getRunningLoop }: Library): LimitOnceWaiting {
  return async <T>(body: (begins: () => void) => PromiseLike<T>, seconds = 0.001) => {
    const loop = getRunningLoop();
    const scope = new CancelScope();
    const setDeadline = (): void => {
      scope.deadline = loop.time() + seconds;
    };
    const begins = (): void => void loop.callSoon(setDeadline);
    if (body.length === 0) begins();
    const value = await scope.run(() => body(begins));
    return scope.cancelled ? { cancelled: true } : { cancelled: false, value: value as T };
  };
}
