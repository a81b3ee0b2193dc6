"""Timeouts that are set and never fire: the body is done at once, and the timer is cancelled."""

import asyncio

MASK = 0xFFFFFFFF


async def workload(tasks, repeats):
    async def body(turn):
        return turn

    async def work():
        checksum = 0

        async def hurry():
            nonlocal checksum
            for turn in range(repeats):
                async with asyncio.timeout(60):
                    value = await body(turn)
                checksum = (checksum * 31 + value) & MASK

        async with asyncio.TaskGroup() as group:
            for _ in range(tasks):
                group.create_task(hurry())
        return checksum

    return work
