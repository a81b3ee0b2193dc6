"""The same with Trio, where what is cancelled one by one are scopes."""

import trio

MASK = 0xFFFFFFFF


async def workload(tasks, repeats):
    checksum = 0
    scopes = [trio.CancelScope() for _ in range(tasks)]

    async def block(task):
        nonlocal checksum
        with scopes[task]:
            try:
                await trio.sleep_forever()
            finally:
                checksum = (checksum + task) & MASK

    # Opened here and left in `work`: the children are started in the part that is not timed.
    manager = trio.open_nursery()
    nursery = await manager.__aenter__()
    for task in range(tasks):
        nursery.start_soon(block, task)
    await trio.lowlevel.checkpoint()

    async def work():
        for scope in scopes:
            scope.cancel()
        await manager.__aexit__(None, None, None)
        cancelled = sum(scope.cancelled_caught for scope in scopes)
        return (checksum * 31 + cancelled) & MASK

    return work
