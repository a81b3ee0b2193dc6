/**
 * What debug mode finds of context variables: one that two callbacks of the host have set in turn,
 * in the context of the task that registered them.
 *
 *     createServer((request, response) => { user.set(request.url); ... }) // <- sets that of main
 *
 * A set is a callback's own if the context that it changes is the one in which the host has called
 * back. In a task that was started for the callback it is another one, so nothing is said of
 * `requestScope`, of `createTask`, of children of groups and of gather. Nor of the branches of one
 * task beside each other (a bare Promise.all): these come from no callback, and they cannot be told
 * from the task. A set that was undone by `reset` has left nothing behind, and does not count.
 */

import { stackAbove } from "../errors/render.ts";
import { scopeAround } from "../kernel/context.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { here } from "../kernel/operation.ts";
import type { Context } from "../structures/context-values.ts";
import type { Watch } from "./debug-watch.ts";
import { type CallbackMarks, markCallbacks } from "./host-callbacks.ts";

/** What is known of a ContextVar and its Token. */
interface Variable {
  readonly name: string;
}

interface SetOrReset {
  readonly variable: Variable;
  readonly context: Context;
  readonly used: boolean;
}

/** One call of the host: in which context it came. */
interface Callback {
  readonly context: Context | undefined;
}

/** The last `set` of a variable by a callback. */
interface Setting {
  readonly callback: Callback;
  readonly place: string;
}

const MOST_PLACES = 100;

const settings: WeakMap<Context, WeakMap<Variable, Setting>> = new WeakMap();
/** By the token, which has the value in it: nothing else may hold that. */
const settingOf: WeakMap<SetOrReset, Setting> = new WeakMap();
/** The places that were reported, on each loop. */
const reported: WeakMap<EventLoop, Set<string>> = new WeakMap();

let marks: CallbackMarks<Callback> | undefined;
let isWatching = false;

/** Where the host does not tell of its callbacks, nothing is found. */
export const callbackVariables: Watch = {
  start() {
    marks ??= markCallbacks(() => ({ context: scopeAround()?.context }));
    if (marks === undefined) return;
    isWatching = true;
    marks.start();
  },
  stop() {
    isWatching = false;
    marks?.stop();
  },
};

/** A variable was set by `set`, or what `token` stands for was undone. */
export function noticeVariable(token: SetOrReset, set: unknown): void {
  if (!isWatching || !here().loop.debug) return;
  const { variable, context } = token;
  const last = settings.get(context)?.get(variable);
  if (token.used) {
    if (last !== undefined && settingOf.get(token) === last)
      settings.get(context)?.delete(variable);
    return;
  }
  const callback = marks?.current();
  if (callback?.context !== context) return;
  const stack = stackAbove(set);
  const setting: Setting = { callback, place: stack.split("\n", 1)[0]?.trim() ?? "" };
  settingOf.set(token, setting);
  settingsIn(context).set(variable, setting);
  if (last !== undefined && last.callback !== callback) report(variable, last, setting, stack);
}

function report({ name }: Variable, last: Setting, setting: Setting, stack: string): void {
  const { loop, task } = here();
  const known = placesOn(loop);
  const place = `${name} ${setting.place}`;
  if (known.has(place) || known.size >= MOST_PLACES) return;
  known.add(place).add(`${name} ${last.place}`);
  const where =
    last.place === setting.place
      ? `both ${setting.place}`
      : `the first ${last.place}, the second ${setting.place}`;
  const whose = task === undefined ? "of the code that registered them" : `of ${task.describe()}`;
  loop.callExceptionHandler({
    message: `ContextVar ${JSON.stringify(name)} was set by two callbacks in turn, ${where}. They share the variables ${whose}, so one sees the value of the other. Run each in \`requestScope\`, or in a task of its own: then it has its own variables`,
    task,
    sourceTraceback: stack,
  });
}

function settingsIn(context: Context): WeakMap<Variable, Setting> {
  let ofContext = settings.get(context);
  if (ofContext === undefined) {
    ofContext = new WeakMap();
    settings.set(context, ofContext);
  }
  return ofContext;
}

function placesOn(loop: EventLoop): Set<string> {
  let places = reported.get(loop);
  if (places === undefined) {
    places = new Set();
    reported.set(loop, places);
  }
  return places;
}
