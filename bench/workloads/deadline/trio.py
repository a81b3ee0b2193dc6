"""The same with Trio."""

import trio

MASK = 0xFFFFFFFF


async def workload(tasks, repeats):
    async def work():
        checksum = 0

        async def take_turns(task):
            nonlocal checksum
            with trio.fail_after(60):
                for turn in range(repeats):
                    checksum = (checksum + (task + 1) * (turn + 1)) & MASK
                    await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            for task in range(tasks):
                nursery.start_soon(take_turns, task)
        return checksum

    return work
