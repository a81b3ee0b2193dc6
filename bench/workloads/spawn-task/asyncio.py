"""Tasks that return at once: what starting and awaiting one costs, `tasks` of them alive at a time."""

import asyncio

MASK = 0xFFFFFFFF


async def workload(tasks, repeats):
    async def answer(task):
        return task

    async def work():
        checksum = 0
        for _ in range(repeats):
            started = [asyncio.create_task(answer(task)) for task in range(tasks)]
            for task in started:
                checksum = (checksum * 31 + await task) & MASK
        return checksum

    return work
