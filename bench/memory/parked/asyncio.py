"""Tasks that wait for an item of a queue."""

import asyncio


async def main(start):
    stage = start()
    queue = asyncio.Queue()

    async def take():
        stage.enter()
        await queue.get()
        stage.leave()

    async with asyncio.TaskGroup() as group:
        for _ in range(stage.tasks):
            group.create_task(take())
        while stage.waiting < stage.tasks:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        stage.measure()
        for task in range(stage.tasks):
            queue.put_nowait(task)
    stage.print(wall=True)
