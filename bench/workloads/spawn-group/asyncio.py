"""As spawn-task, but the tasks are children of a group, which joins them: one group per batch."""

import asyncio

MASK = 0xFFFFFFFF


async def workload(tasks, repeats):
    async def work():
        checksum = 0

        async def child(task, batch):
            nonlocal checksum
            checksum = (checksum + (task + 1) * (batch + 1)) & MASK

        for batch in range(repeats):
            async with asyncio.TaskGroup() as group:
                for task in range(tasks):
                    group.create_task(child(task, batch))
        return checksum

    return work
