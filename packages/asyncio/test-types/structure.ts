// Compiled, never run: each statement is a claim about types.

import {
  CancelScope,
  type ContextVar,
  cancellable,
  cleanup,
  createTask,
  type Moved,
  moveOnAfter,
  type Task,
  type TaskGroup,
  taskGroup,
  type timeLeft,
  timeout,
  type timeoutAt,
} from "../src/index.ts";
import { type Equal, expectType } from "./equal.ts";

declare function work(): Promise<string>;
declare const controller: AbortController;

// --- taskGroup resolves to what its body returns

const sum = await taskGroup(async (group) => {
  const [a, b] = [group.createTask(async () => 1), group.createTask(async () => 2)];
  expectType<Equal<typeof a, Task<number>>>();
  return (await a) + (await b);
});
expectType<Equal<typeof sum, number>>();

const plain = await taskGroup(work);
expectType<Equal<typeof plain, string>>();

const nothing = await taskGroup(async (group) => {
  group.createTask(work, { name: "w", eagerStart: true, signal: controller.signal });
});
expectType<Equal<typeof nothing, void>>();

await taskGroup(
  async (group) => {
    const port = await group.start<number>(async (started) => started(8080));
    expectType<Equal<typeof port, number>>();
    // @ts-expect-error the value is a number
    await group.start<number>(async (started) => started("8080"));
    // @ts-expect-error a bare promise is running already
    group.createTask(work());
    // @ts-expect-error a bare promise is running already
    group.start(work());
  },
  { limit: 2, name: "crawl", signal: controller.signal },
);

// @ts-expect-error a bare promise is running already
taskGroup(work());
// @ts-expect-error there is no such option
taskGroup(work, { limits: 2 });

// --- group.cancel asks for the value that the group promised

taskGroup(async (group: TaskGroup<number>) => {
  group.cancel(1);
  // @ts-expect-error the group resolves to a number
  group.cancel();
  // @ts-expect-error the group resolves to a number
  group.cancel("one");
  return 2;
});

taskGroup<number>(async (group) => {
  group.cancel(1);
  // @ts-expect-error the group resolves to a number
  group.cancel();
  return 2;
});

taskGroup(async (group: TaskGroup<void>) => group.cancel());

taskGroup(async (group) => {
  group.createTask(async () => group.cancel());
});

taskGroup(async (group: TaskGroup<string | undefined>) => {
  group.cancel();
  group.cancel("found");
  return undefined;
});

/** A function that starts children takes a group whatever it resolves to. */
declare function spawnWorkers(group: TaskGroup): void;
taskGroup(async (group) => {
  spawnWorkers(group);
});
taskGroup(async (group: TaskGroup<number>) => {
  spawnWorkers(group);
  return 1;
});

// --- createTask

const task = createTask(async () => 1);
expectType<Equal<typeof task, Task<number>>>();
const promise: Promise<number> = task;
const like: PromiseLike<number> = task;
expectType<Equal<Awaited<typeof task>, number>>();
expectType<Equal<ReturnType<typeof task.result>, number>>();
expectType<Equal<ReturnType<typeof task.exception>, unknown>>();
await Promise.all([promise, like]);

// @ts-expect-error a bare promise is running already
createTask(work());
// @ts-expect-error another result
const wrong: Promise<string> = task;
await wrong;

// --- scopes

const timed = await timeout(5, async (scope) => {
  expectType<Equal<ReturnType<typeof scope.when>, number | undefined>>();
  scope.reschedule(null);
  return "x";
});
expectType<Equal<typeof timed, string>>();
expectType<Equal<Awaited<ReturnType<typeof timeoutAt<number>>>, number>>();
await timeout(null, work, { signal: controller.signal });

// @ts-expect-error a bare promise is running already
timeout(5, work());
// @ts-expect-error seconds are a number
timeout("5", work);
// @ts-expect-error there is no default deadline
timeout(undefined, work);

const moved = await moveOnAfter(5, async () => 1);
expectType<Equal<typeof moved, Moved<number>>>();
if (moved.cancelled) {
  // @ts-expect-error a body that was cut off has no value
  moved.value;
} else {
  expectType<Equal<typeof moved.value, number>>();
}
const unbounded = await moveOnAfter(null, work);
expectType<Equal<typeof unbounded, Moved<string>>>();

const cleaned = await cleanup(1, work);
expectType<Equal<typeof cleaned, string | undefined>>();

const scope = new CancelScope({ deadline: 5, shield: true, cancelGrace: 1 });
const result = await scope.run(work);
expectType<Equal<typeof result, string | undefined>>();
expectType<Equal<ReturnType<typeof timeLeft>, number>>();
// @ts-expect-error only the scope knows
scope.cancelled = true;

const foreign = await cancellable(async (signal) => {
  expectType<Equal<typeof signal, AbortSignal>>();
  return 1;
});
expectType<Equal<typeof foreign, number>>();
// @ts-expect-error a bare promise could not be told to stop
cancellable(work());

declare const user: ContextVar<string>;
const [present, none, empty] = [user.get(), user.get(null), user.get(undefined)];
expectType<Equal<typeof present, string>>();
expectType<Equal<typeof none, string | null>>();
expectType<Equal<typeof empty, string | undefined>>();
(user.get("nobody") satisfies string).at(0);
// @ts-expect-error `get` may give the number
user.get(5).at(0);
