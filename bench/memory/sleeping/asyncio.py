"""Sleeping tasks, children of one group."""

import asyncio


async def main(start):
    stage = start()
    loop = asyncio.get_running_loop()

    async def doze():
        if stage.enter():
            loop.call_soon(stage.measure)
        await asyncio.sleep(stage.seconds)
        stage.leave()

    async with asyncio.TaskGroup() as group:
        for _ in range(stage.tasks):
            group.create_task(doze())
    stage.print(wall=True)
