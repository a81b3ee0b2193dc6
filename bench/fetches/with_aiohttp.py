"""With asyncio and aiohttp: a task for each page, a semaphore, a timeout around each. See stage.ts."""

import asyncio
import json
import resource
import sys
import time

import aiohttp

LIMIT = 100
DEADLINE_SECONDS = 60


async def measure(plan):
    fetched = 0
    failed = 0
    reached = asyncio.Event()
    cancel_at = plan.get("cancelAt")

    async def load(session, semaphore, url):
        nonlocal fetched, failed
        async with semaphore:
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    async with session.get(url) as response:
                        await response.text()
                        response.raise_for_status()
                fetched += 1
            except Exception:
                failed += 1
        if fetched + failed == cancel_at:
            reached.set()

    async def fetch_all():
        semaphore = asyncio.Semaphore(LIMIT)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            async with asyncio.TaskGroup() as group:
                for page in range(plan["pages"]):
                    group.create_task(load(session, semaphore, f"{plan['url']}/page/{page}"))

    started_at = time.perf_counter()
    cancelled_at = 0
    task = asyncio.create_task(fetch_all())
    if cancel_at is not None:
        await reached.wait()
        cancelled_at = time.perf_counter()
        task.cancel()
    await asyncio.wait([task])
    ended_at = time.perf_counter()
    return {
        "fetched": fetched,
        "failed": failed,
        "seconds": ended_at - started_at,
        "cancelMs": (ended_at - cancelled_at) * 1000 if cancel_at is not None else None,
        "peakResidentBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


async def main():
    print(json.dumps({"ready": True}), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await measure(json.loads(line))), flush=True)


asyncio.run(main())
