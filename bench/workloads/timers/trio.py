"""The same with Trio."""

import trio

MASK = 0xFFFFFFFF


async def workload(tasks, repeats):
    async def body(turn):
        return turn

    async def work():
        checksum = 0

        async def hurry():
            nonlocal checksum
            for turn in range(repeats):
                with trio.fail_after(60):
                    value = await body(turn)
                checksum = (checksum * 31 + value) & MASK

        async with trio.open_nursery() as nursery:
            for _ in range(tasks):
                nursery.start_soon(hurry)
        return checksum

    return work
