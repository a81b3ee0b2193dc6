"""The same with Trio."""

import trio

MASK = 0xFFFFFFFF


async def workload(tasks, repeats):
    async def work():
        checksum = 0

        async def child(task, batch):
            nonlocal checksum
            checksum = (checksum + (task + 1) * (batch + 1)) & MASK

        for batch in range(repeats):
            async with trio.open_nursery() as nursery:
                for task in range(tasks):
                    nursery.start_soon(child, task, batch)
        return checksum

    return work
