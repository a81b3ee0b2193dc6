# Programs of program.ts, one to a line, run by Trio in virtual time: one trace to a line.
# here.ts does the same, in the same order, so that the two can be read side by side.

import contextlib
import json
import sys

import trio
import trio.testing

TICK = 2**-22
END = 20_000_000.5


class Failure(Exception):
    pass


class Shared:
    def __init__(self, is_other):
        self.lock = trio.Lock()
        self.semaphore = trio.Semaphore(1 if is_other else 2)
        self.sender, self.receiver = trio.open_memory_channel(1)
        self.event = trio.Event()
        self.condition = trio.Condition()

    async def use(self, what, n):
        match what:
            case "put":
                await self.sender.send(n)
            case "get":
                return await self.receiver.receive()
            case "event":
                await self.event.wait()
            case "set":
                self.event.set()
            case "condition":
                async with self.condition:
                    await self.condition.wait()
            case "notify":
                async with self.condition:
                    self.condition.notify()
            case "notifyAll":
                async with self.condition:
                    self.condition.notify_all()


class Actors:
    def __init__(self, program):
        self.program = program
        self.open = []
        self.shields = []
        self.trace = {}
        self.is_over = False

    async def main(self):
        self.shared = [Shared(False), Shared(True)]
        async with trio.open_nursery() as nursery:
            for actor, steps in enumerate(self.program):
                nursery.start_soon(self.actor, str(actor), steps)
            await trio.sleep(END * TICK)
            self.is_over = True
            for scope in self.shields:
                scope.shield = False
            nursery.cancel_scope.cancel()

    async def actor(self, place, steps):
        try:
            await self.task(place, steps)
        except BaseException as error:
            if name_of(error) != "failed":
                raise

    async def task(self, place, steps):
        try:
            await self.steps(place, steps)
            self.tell(place, "has returned")
        except BaseException as error:
            self.tell(place, f"has ended: {name_of(error)}")
            raise

    async def steps(self, place, steps):
        for index, step in enumerate(steps):
            await self.step(f"{place}.{index}", step)

    async def step(self, place, step):
        match step["do"]:
            case "sleep":
                await trio.sleep(step["n"] * TICK)
            case "fail":
                raise Failure
            case "cancel":
                await trio.sleep(step["n"] * TICK)
                if self.open:
                    (scope, kind) = self.open[step["of"] % len(self.open)]
                    if kind != "timeout":
                        scope.cancel()
                await trio.sleep(step["n"] * TICK)
            case "move":
                await trio.sleep(step["n"] * TICK)
                if self.open:
                    (scope, kind) = self.open[step["of"] % len(self.open)]
                    if kind != "group":
                        scope.deadline = trio.current_time() + 30 * step["n"] * TICK
                await trio.sleep(step["n"] * TICK)
            case "timeout":
                with trio.move_on_after(step["n"] * TICK) as scope:
                    await self.in_scope(scope, "timeout", place, step["body"])
                if scope.cancelled_caught:
                    self.tell(place, "is cut")
            case "moveOn":
                with trio.move_on_after(step["n"] * TICK) as scope:
                    await self.steps(place, step["body"])
                if scope.cancelled_caught:
                    self.tell(place, "is cut")
            case "scope":
                scope = self.shield() if step["isShield"] else trio.CancelScope()
                if step["isEarly"]:
                    scope.cancel()
                with scope:
                    await self.in_scope(scope, "scope", place, step["body"])
                if scope.cancelled_caught:
                    self.tell(place, "is cut")
            case "group":
                async with trio.open_nursery() as nursery:
                    for index, steps in enumerate(step["children"]):
                        nursery.start_soon(self.task, f"{place}c{index}", steps)
                    await self.in_scope(nursery.cancel_scope, "group", f"{place}b", step["body"])
            case "catch":
                try:
                    await self.steps(place, step["body"])
                except BaseException as error:
                    if name_of(error) == "cancelled":
                        raise
                    self.tell(place, f"has caught {name_of(error)}")
            case "finally":
                try:
                    await self.steps(place, step["body"])
                finally:
                    self.tell(place, "cleans up")
                    with self.shield() as scope:
                        scope.deadline = trio.current_time() + step["n"] * TICK
                        await self.steps(f"{place}f", step["cleanup"])
            case "use":
                await trio.sleep(step["n"] * TICK)
                self.tell(place, "begins")
                told = await self.shared[step["of"]].use(step["what"], step["n"])
                self.tell(place, f"{step['what']} {'' if told is None else told}")
                await trio.sleep((1 + step["n"] % 1000) * TICK)
            case "hold":
                await trio.sleep(step["n"] * TICK)
                self.tell(place, "begins")
                async with getattr(self.shared[step["of"]], step["what"]):
                    self.tell(place, f"{step['what']} is held")
                    await self.steps(f"{place}h", step["body"])
                await trio.sleep((1 + step["n"] % 1000) * TICK)
        self.tell(place, step["do"])

    def shield(self):
        scope = trio.CancelScope(shield=not self.is_over)
        self.shields.append(scope)
        return scope

    async def in_scope(self, scope, kind, place, steps):
        entry = (scope, kind)
        self.open.append(entry)
        try:
            await self.steps(place, steps)
        finally:
            self.open.remove(entry)

    def tell(self, place, what):
        if not self.is_over:
            now = trio.current_time()
            self.trace.setdefault(place, []).append(f"{round(now / TICK)} {what}")


def name_of(error):
    if isinstance(error, BaseExceptionGroup):
        names = {name_of(inner) for inner in error.exceptions}
        return max(names)  # "cancelled" only if all are
    return {trio.Cancelled: "cancelled", Failure: "failed"}.get(type(error), "wrong")


for line in sys.stdin:
    actors = Actors(json.loads(line))
    clock = trio.testing.MockClock(autojump_threshold=0)
    clock.jump(-clock.current_time())
    trio.run(actors.main, clock=clock, strict_exception_groups=True)
    print(json.dumps(actors.trace), flush=True)
