"""The same with the memory channel of Trio."""

import trio

MASK = 0xFFFFFFFF
CAPACITY = 100


async def workload(tasks, repeats):
    async def work():
        sender, receiver = trio.open_memory_channel(CAPACITY)
        checksum = 0

        async def produce(producer):
            for turn in range(repeats):
                await sender.send(producer + turn)

        async def consume():
            nonlocal checksum
            for _ in range(repeats):
                item = await receiver.receive()
                checksum = (checksum + item) & MASK

        async with trio.open_nursery() as nursery:
            for task in range(tasks):
                nursery.start_soon(produce, task)
            for _ in range(tasks):
                nursery.start_soon(consume)
        return checksum

    return work
