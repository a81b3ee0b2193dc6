"""The same with Trio."""

import trio

MASK = 0xFFFFFFFF


async def workload(tasks, repeats):
    async def work():
        lock = trio.Lock()
        balance = 0

        async def deposit(amount):
            nonlocal balance
            for _ in range(repeats):
                async with lock:
                    before = balance
                    await trio.lowlevel.checkpoint()
                    balance = (before + amount) & MASK

        async with trio.open_nursery() as nursery:
            for task in range(tasks):
                nursery.start_soon(deposit, task + 1)
        return balance

    return work
