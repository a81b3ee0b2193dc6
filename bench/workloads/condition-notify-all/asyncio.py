"""One task announces a new round to all who wait for it, and waits until each of them has seen it."""

import asyncio

MASK = 0xFFFFFFFF


async def workload(tasks, repeats):
    async def work():
        lock = asyncio.Lock()
        announced = asyncio.Condition(lock)
        answered = asyncio.Condition(lock)
        current = 0
        answers = 0
        checksum = 0

        async def announce():
            nonlocal current, answers
            for _ in range(repeats):
                async with lock:
                    current += 1
                    answers = 0
                    announced.notify_all()
                    await answered.wait_for(lambda: answers == tasks)

        async def answer(task):
            nonlocal answers, checksum
            for turn in range(repeats):
                async with lock:
                    await announced.wait_for(lambda: current > turn)
                    checksum = (checksum + task * current) & MASK
                    answers += 1
                    if answers == tasks:
                        answered.notify()

        async with asyncio.TaskGroup() as group:
            for task in range(1, tasks + 1):
                group.create_task(answer(task))
            group.create_task(announce())
        return checksum

    return work
