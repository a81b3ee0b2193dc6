# Programs of program.ts, one to a line, run by Trio in virtual time: one trace to a line. here.ts does
# the same, in the same order, so that the two can be read side by side.

import sys
from pathlib import Path

import trio
import trio.testing

sys.path.append(str(Path(__file__).parent.parent))
import actors
from actors import END, TICK, Failure, run_programs


class Shared(actors.Shared):
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
            case _:
                await super().use(what, n)


class Actors(actors.Actors):
    def __init__(self, program):
        super().__init__(program)
        self.open = []
        self.shields = []

    def sleep(self, ticks):
        return trio.sleep(ticks * TICK)

    def time(self):
        return trio.current_time()

    def name_of(self, error):
        return name_of(error)

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

    async def step(self, place, step):
        match step["do"]:
            case "sleep":
                await self.sleep(step["n"])
            case "fail":
                raise Failure
            case "cancel":
                await self.sleep(step["n"])
                if self.open:
                    (scope, kind) = self.open[step["of"] % len(self.open)]
                    if kind != "timeout":
                        scope.cancel()
                await self.sleep(step["n"])
            case "move":
                await self.sleep(step["n"])
                if self.open:
                    (scope, kind) = self.open[step["of"] % len(self.open)]
                    if kind != "group":
                        scope.deadline = self.time() + 30 * step["n"] * TICK
                await self.sleep(step["n"])
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
                        scope.deadline = self.time() + step["n"] * TICK
                        await self.steps(f"{place}f", step["cleanup"])
            case "use":
                await self.use(place, step)
            case "hold":
                await self.hold(place, step)
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


def name_of(error):
    if isinstance(error, BaseExceptionGroup):
        names = {name_of(inner) for inner in error.exceptions}
        return max(names)  # "cancelled" only if all are
    return {trio.Cancelled: "cancelled", Failure: "failed"}.get(type(error), "wrong")


def run(program):
    actors = Actors(program)
    clock = trio.testing.MockClock(autojump_threshold=0)
    clock.jump(-clock.current_time())
    trio.run(actors.main, clock=clock, strict_exception_groups=True)
    return actors.trace


run_programs(run)
