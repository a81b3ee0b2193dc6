"""A lock that many want: taken, held for one turn, released."""

import asyncio

MASK = 0xFFFFFFFF


async def workload(tasks, repeats):
    async def work():
        lock = asyncio.Lock()
        balance = 0

        async def deposit(amount):
            nonlocal balance
            for _ in range(repeats):
                async with lock:
                    before = balance
                    await asyncio.sleep(0)
                    balance = (before + amount) & MASK

        async with asyncio.TaskGroup() as group:
            for task in range(tasks):
                group.create_task(deposit(task + 1))
        return balance

    return work
