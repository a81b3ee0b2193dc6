"""A group that stays open while its children come and go."""

import asyncio

AT_ONCE = 1000


async def main(start):
    ended = 0

    async def child():
        nonlocal ended
        ended += 1

    async with asyncio.TaskGroup() as group:

        async def start_thousand():
            for _ in range(AT_ONCE):
                group.create_task(child())
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        await start_thousand()
        ended = 0
        stage = start()
        while ended < stage.tasks:
            await start_thousand()
        stage.measure()
        stage.print(wall=False)
