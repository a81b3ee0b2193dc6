"""A task whose TaskGroup has children that all wait for something that never comes, cancelled once:
the group cancels and joins them, and each runs its `finally`. Starting them is not timed."""

import asyncio

MASK = 0xFFFFFFFF


async def workload(tasks, repeats):
    checksum = 0
    cancelled = 0
    never = asyncio.Event()

    async def block(task):
        nonlocal checksum, cancelled
        try:
            await never.wait()
        except asyncio.CancelledError:
            cancelled += 1
            raise
        finally:
            checksum = (checksum + task) & MASK

    async def parent():
        async with asyncio.TaskGroup() as group:
            for task in range(tasks):
                group.create_task(block(task))

    owner = asyncio.create_task(parent())
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    async def work():
        owner.cancel()
        await asyncio.wait([owner])
        return (checksum * 31 + cancelled) & MASK

    return work
