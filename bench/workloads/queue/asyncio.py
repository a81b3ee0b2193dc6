"""Producers and consumers on one bounded queue, as many of the ones as of the others."""

import asyncio

MASK = 0xFFFFFFFF
CAPACITY = 100


async def workload(tasks, repeats):
    async def work():
        queue = asyncio.Queue(CAPACITY)
        checksum = 0

        async def produce(producer):
            for turn in range(repeats):
                await queue.put(producer + turn)

        async def consume():
            nonlocal checksum
            for _ in range(repeats):
                item = await queue.get()
                checksum = (checksum + item) & MASK

        async with asyncio.TaskGroup() as group:
            for task in range(tasks):
                group.create_task(produce(task))
            for _ in range(tasks):
                group.create_task(consume())
        return checksum

    return work
