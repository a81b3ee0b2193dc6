# Programs of program.ts, one to a line, run by CPython's asyncio in virtual time: one trace to a line.
# here.ts does the same, in the same order, so that the two can be read side by side.

import asyncio
import logging
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))
import actors
from actors import END, TICK, Failure, run_programs


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its clock jumps to the next timer when nothing is ready."""

    def __init__(self):
        super().__init__()
        self._now = 0.0
        self._clock_resolution = TICK / 1000

    def time(self):
        return self._now

    def _run_once(self):
        if not self._ready:
            waiting = [timer.when() for timer in self._scheduled if not timer.cancelled()]
            self._now = max(self._now, min(waiting, default=self._now))
        super()._run_once()


class SinceThen:
    """A task, to a timeout: CPython up to 3.11.3 counts what had cancelled it before the timeout began."""

    def __init__(self, task):
        self.task = task
        self.before = task.cancelling()

    def cancel(self):
        return self.task.cancel()

    def uncancel(self):
        return self.task.uncancel() - self.before


class Condition(asyncio.Condition):
    """Wakes those that are notified. Newer versions also wake one whenever another is cancelled."""

    is_notified = False

    def notify(self, n=1):
        self.is_notified = True
        super().notify(n)
        self.is_notified = False

    def _notify(self, n):
        if self.is_notified:
            super()._notify(n)


class Shared(actors.Shared):
    def __init__(self, is_other):
        self.lock = asyncio.Lock()
        self.semaphore = asyncio.Semaphore(1 if is_other else 2)
        self.queue = asyncio.PriorityQueue() if is_other else asyncio.Queue(1)
        self.event = asyncio.Event()
        self.condition = Condition()
        self.barrier = asyncio.Barrier(3 if is_other else 2)
        self.future = asyncio.get_running_loop().create_future()
        self.count = 0

    async def use(self, what, n):
        match what:
            case "put":
                await self.queue.put(n)
            case "get":
                item = await self.queue.get()
                await asyncio.sleep((1 + n % 100) * TICK)
                self.queue.task_done()
                return item
            case "putNowait":
                return "full" if self.queue.full() else self.queue.put_nowait(n)
            case "getNowait":
                return "empty" if self.queue.empty() else self.queue.get_nowait()
            case "join":
                await self.queue.join()
            case "clear":
                self.event.clear()
            case "waitFor":
                goal = self.count + 2
                async with self.condition:
                    await self.condition.wait_for(lambda: self.count >= goal)
            case "count":
                async with self.condition:
                    self.count += 1
                    self.condition.notify_all()
            case "barrier":
                try:
                    await self.barrier.wait()
                    return "passed"
                except asyncio.BrokenBarrierError:
                    return "broken"
            case "reset":
                await self.barrier.reset()
            case "abort":
                await self.barrier.abort()
            case "future":
                return "done" if self.future.done() else await self.future
            case "resolve":
                return "done" if self.future.done() else self.future.set_result(n)
            case _:
                await super().use(what, n)


class Actors(actors.Actors):
    def __init__(self, program):
        super().__init__(program)
        self.tasks = []
        self.timeouts = {}

    def sleep(self, ticks):
        return asyncio.sleep(ticks * TICK)

    def time(self):
        return asyncio.get_running_loop().time()

    def name_of(self, error):
        return type(error).__name__

    async def main(self):
        self.shared = [Shared(False), Shared(True)]
        for actor, steps in enumerate(self.program):
            self.tasks.append(asyncio.create_task(self.task(str(actor), steps)))
        await asyncio.sleep(END * TICK)
        self.is_over = True
        while len(asyncio.all_tasks()) > 1:
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=1)

    async def step(self, place, step):
        match step["do"]:
            case "sleep":
                await self.sleep(step["n"])
            case "fail":
                raise Failure
            case "cancel":
                actor = step["n"] % len(self.tasks)
                if actor == int(place[0]):
                    return
                await self.sleep(step["n"])
                self.tasks[actor].cancel()
                await self.sleep(step["n"])
            case "reschedule":
                open = self.timeouts.get(asyncio.current_task())
                if not open or open[-1].expired():
                    return
                open[-1].reschedule(self.time() + step["n"] * TICK)
            case "timeout":
                await self.timeout(place, step["n"], step["body"])
            case "group":
                async with asyncio.TaskGroup() as group:
                    for start in self.starts(place, step["children"]):
                        group.create_task(start)
                    await self.steps(f"{place}b", step["body"])
            case "gather":
                starts = self.starts(place, step["children"])
                await asyncio.gather(*starts, return_exceptions=step["collect"])
            case "wait":
                tasks = [asyncio.create_task(start) for start in self.starts(place, step["children"])]
                try:
                    done, _ = await asyncio.wait(
                        tasks, timeout=step["n"] * TICK, return_when=step["until"]
                    )
                    self.tell(place, f"{len(done)} are done")
                finally:
                    for task in tasks:
                        task.cancel()
            case "use":
                await self.use(place, step)
            case "hold":
                await self.hold(place, step)
            case "shield":
                await asyncio.shield(self.task(f"{place}s", step["body"]))
            case "swallow":
                await self.catch(asyncio.CancelledError, place, step["body"])
            case "catch":
                await self.catch(Failure, place, step["body"])
            case "finally":
                try:
                    await self.steps(place, step["body"])
                finally:
                    self.tell(place, "cleans up")
                    await self.steps(f"{place}f", step["cleanup"])
        self.tell(place, step["do"])

    async def timeout(self, place, ticks, body):
        open = self.timeouts.setdefault(asyncio.current_task(), [])
        try:
            async with asyncio.timeout(ticks * TICK) as timeout:
                if sys.version_info < (3, 11, 4):
                    timeout._task = SinceThen(timeout._task)
                open.append(timeout)
                try:
                    await self.steps(place, body)
                finally:
                    open.pop()
        except TimeoutError:
            self.tell(place, "has timed out")

    async def catch(self, kind, place, body):
        try:
            await self.steps(place, body)
        except kind as error:
            self.tell(place, f"has caught {self.name_of(error)}")

    def starts(self, place, children):
        return [self.task(f"{place}c{index}", steps) for index, steps in enumerate(children)]


def run(program):
    loop = VirtualLoop()
    actors = Actors(program)
    loop.run_until_complete(actors.main())
    loop.close()
    return actors.trace


logging.disable()
run_programs(run)
