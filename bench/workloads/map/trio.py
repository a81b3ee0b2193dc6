"""The same with the capacity limiter of Trio."""

import trio

MASK = 0xFFFFFFFF
LIMIT = 100


async def workload(tasks, repeats):
    items = range(tasks * repeats)

    async def work():
        limiter = trio.CapacityLimiter(LIMIT)
        results = [0] * len(items)
        now = 0

        async def process(item):
            nonlocal now
            async with limiter:
                now += 1
                if now > LIMIT:
                    raise RuntimeError(f"{now} items are worked on at a time")
                await trio.lowlevel.checkpoint()
                now -= 1
                results[item] = item ^ 1

        async with trio.open_nursery() as nursery:
            for item in items:
                nursery.start_soon(process, item)
        checksum = 0
        for result in results:
            checksum = (checksum * 31 + result) & MASK
        return checksum

    return work
