"""Tasks that hand a ball to and fro: each waits, with a condition, until the ball is on its side."""

import asyncio

MASK = 0xFFFFFFFF


async def workload(tasks, repeats):
    async def work():
        condition = asyncio.Condition()
        side = 0
        checksum = 0

        async def play(player):
            nonlocal side, checksum
            for _ in range(repeats):
                async with condition:
                    await condition.wait_for(lambda: side == player)
                    checksum = (checksum * 31 + player) & MASK
                    side = (player + 1) % tasks
                    condition.notify()

        async with asyncio.TaskGroup() as group:
            for player in range(tasks):
                group.create_task(play(player))
        return checksum

    return work
