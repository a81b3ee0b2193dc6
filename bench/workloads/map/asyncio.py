"""A bounded map: a task for every item, and a semaphore that lets a hundred of them work at a time."""

import asyncio

MASK = 0xFFFFFFFF
LIMIT = 100


async def workload(tasks, repeats):
    items = range(tasks * repeats)

    async def work():
        semaphore = asyncio.Semaphore(LIMIT)
        now = 0

        async def process(item):
            nonlocal now
            async with semaphore:
                now += 1
                if now > LIMIT:
                    raise RuntimeError(f"{now} items are worked on at a time")
                await asyncio.sleep(0)
                now -= 1
                return item ^ 1

        results = await asyncio.gather(*(process(item) for item in items))
        checksum = 0
        for result in results:
            checksum = (checksum * 31 + result) & MASK
        return checksum

    return work
