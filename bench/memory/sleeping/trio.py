"""The same with Trio."""

import trio


async def main(start):
    stage = start()
    asleep = trio.Event()

    async def doze():
        if stage.enter():
            asleep.set()
        await trio.sleep(stage.seconds)
        stage.leave()

    async with trio.open_nursery() as nursery:
        for _ in range(stage.tasks):
            nursery.start_soon(doze)
        await asleep.wait()
        stage.measure()
    stage.print(wall=True)
