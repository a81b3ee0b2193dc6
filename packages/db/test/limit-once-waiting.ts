import { CancelScope, getRunningLoop, type Moved } from "asyncio-ts";

/**
 * As `moveOnAfter`, with a deadline that is set when `body` waits. One that is there from the start
 * has passed before that where the machine is slow, and then something else is cut off.
 * @param body - takes `begins` if something comes before the wait that is meant, and calls it then
 */
export async function limitOnceWaiting<T>(
  body: (begins: () => void) => PromiseLike<T>,
  seconds = 0.001,
): Promise<Moved<T>> {
  const loop = getRunningLoop();
  const scope = new CancelScope();
  const setDeadline = (): void => {
    scope.deadline = loop.time() + seconds;
  };
  const begins = (): void => void loop.callSoon(setDeadline);
  if (body.length === 0) begins();
  const value = await scope.run(() => body(begins));
  return scope.cancelled ? { cancelled: true } : { cancelled: false, value: value as T };
}
