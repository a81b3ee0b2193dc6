/** Where the running code is: its scope and its loop, and how operations that need not wait complete there. */

import { currentScope } from "./context.ts";
import { reportUnobserved } from "./failure.ts";
import { Gate } from "./gate.ts";
import { realHost } from "./host.ts";
import { EventLoop, type EventLoopOptions } from "./loop.ts";
import { Scope } from "./scope.ts";
import { currentContext } from "./variables.ts";
import { Wait, type WaitSubject } from "./wait.ts";

/** A loop in real time, on the event loop of Node, Deno or Bun. */
export class HostLoop extends EventLoop {
  constructor(options?: EventLoopOptions) {
    super(realHost, options);
  }
}

let outside: Scope | undefined;

/** The current scope; outside every `run` and task a scope of the default loop which is never cancelled and never ends. */
export function here(): Scope {
  const scope = currentScope();
  if (scope !== undefined) return scope;
  if (outside === undefined) {
    const loop = new HostLoop();
    outside = new Scope(loop, { label: "the program", context: currentContext() });
    // No `run` ends on this loop: what failed unobserved is reported when the program does.
    loop.host.onDry(() => reportUnobserved(loop));
  }
  return outside;
}

/** The loop of the running code; outside every task the default loop, which real time drives. */
export function getRunningLoop(): EventLoop {
  return here().loop;
}

/** What an operation returns that was complete in the call: at once, or in its turn when the budget is spent. */
export function completed<T>(scope: Scope, subject: WaitSubject, value: T): Promise<T> {
  if (scope.loop.mayComplete(scope, subject)) return Promise.resolve(value);
  return switchTasks(scope, subject, value);
}

/** What an operation returns that is complete, after everything that is ready now. Nothing can cancel it any more. */
export function switchTasks<T>(scope: Scope, subject: WaitSubject, value: T): Promise<T> {
  const { loop } = scope;
  if (!loop.isExact) {
    if (loop.isClear()) return Promise.resolve(value);
    if (value === undefined) return loop.nextTurn(scope) as Promise<T>; // T has undefined
    const gate = new Gate(scope, value);
    loop.enqueueLater(gate);
    return gate.promise;
  }
  // Whoever watches the steps wants to know what they are about.
  const wait = new Wait<T>(scope, subject);
  loop.host.parked?.(wait as Wait);
  wait.resume(value);
  return wait.promise;
}

/** What an operation returns that cannot begin: a rejection that comes in its turn, as every outcome does. */
export function refused(scope: Scope, subject: WaitSubject, error: unknown): Promise<never> {
  const wait = new Wait<never>(scope, subject);
  wait.fail(error);
  return wait.promise;
}
