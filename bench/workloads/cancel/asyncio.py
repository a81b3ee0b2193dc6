"""Tasks that wait for something that never comes, cancelled one by one, and joined when each has run
its `finally`. Starting them is not timed."""

import asyncio

MASK = 0xFFFFFFFF


async def workload(tasks, repeats):
    checksum = 0
    nothing = asyncio.Queue()

    async def block(task):
        nonlocal checksum
        try:
            await nothing.get()
        finally:
            checksum = (checksum + task) & MASK

    rounds = [[asyncio.create_task(block(task)) for task in range(tasks)] for _ in range(repeats)]
    await asyncio.sleep(0)

    async def work():
        cancelled = 0
        for blocked in rounds:
            for task in blocked:
                task.cancel()
            outcomes = await asyncio.gather(*blocked, return_exceptions=True)
            cancelled += sum(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        return (checksum * 31 + cancelled) & MASK

    return work
