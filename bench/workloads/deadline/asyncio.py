"""Tasks that take turns under a deadline which never passes; a timer of the loop tells when it does."""

import asyncio

MASK = 0xFFFFFFFF


async def workload(tasks, repeats):
    async def work():
        checksum = 0

        async def take_turns(task):
            nonlocal checksum
            async with asyncio.timeout(60):
                for turn in range(repeats):
                    checksum = (checksum + (task + 1) * (turn + 1)) & MASK
                    await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            for task in range(tasks):
                group.create_task(take_turns(task))
        return checksum

    return work
