"""One thing wakes all who wait for it, in rounds: an Event for each. The last to be woken begins the
next round."""

import asyncio

MASK = 0xFFFFFFFF


async def workload(tasks, repeats):
    async def work():
        checksum = 0
        woken = 0
        opened = asyncio.Event()
        all_woken = asyncio.Event()

        async def wait(task):
            nonlocal checksum, woken
            for turn in range(1, repeats + 1):
                await opened.wait()
                checksum = (checksum + task * turn) & MASK
                woken += 1
                if woken == tasks:
                    all_woken.set()

        async with asyncio.TaskGroup() as group:
            for task in range(1, tasks + 1):
                group.create_task(wait(task))
            await asyncio.sleep(0)
            for _ in range(repeats):
                current = opened
                opened = asyncio.Event()
                all_woken = asyncio.Event()
                woken = 0
                current.set()
                await all_woken.wait()
        return checksum

    return work
