# What the programs of cpython/ and trio/ have in common in Python. actors.ts does the same, in the
# same order, so that the two can be read side by side.

import json
import sys

TICK = 2**-22
END = 20_000_000.5


class Failure(Exception):
    pass


class Shared:
    """One of each kind. The names are the same in asyncio and in Trio."""

    async def use(self, what, n):
        match what:
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
        self.trace = {}
        self.is_over = False

    async def task(self, place, steps):
        try:
            await self.steps(place, steps)
            self.tell(place, "has returned")
        except BaseException as error:
            self.tell(place, f"has ended: {self.name_of(error)}")
            raise

    async def steps(self, place, steps):
        for index, step in enumerate(steps):
            await self.step(f"{place}.{index}", step)

    async def use(self, place, step):
        await self.sleep(step["n"])
        self.tell(place, "begins")
        told = await self.shared[step["of"]].use(step["what"], step["n"])
        self.tell(place, f"{step['what']} {'' if told is None else told}")
        await self.sleep(1 + step["n"] % 1000)

    async def hold(self, place, step):
        await self.sleep(step["n"])
        self.tell(place, "begins")
        async with getattr(self.shared[step["of"]], step["what"]):
            self.tell(place, f"{step['what']} is held")
            await self.steps(f"{place}h", step["body"])
        await self.sleep(1 + step["n"] % 1000)

    def tell(self, place, what):
        if not self.is_over:
            self.trace.setdefault(place, []).append(f"{round(self.time() / TICK)} {what}")


def run_programs(run):
    """Calls `run` for each program that comes in, a line each, and writes the trace it gives."""
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)
