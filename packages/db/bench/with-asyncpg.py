# For the bench: begin, select, commit on a pool of eight, with asyncpg and uvloop. Runs a round for each
# line that it reads, and prints its seconds.

import asyncio
import sys
import time

import asyncpg
import uvloop

URL, COUNT, TASKS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


async def one(pool):
    async with pool.acquire() as connection:
        async with connection.transaction():
            await connection.fetch("select $1::int as n", 1)


async def main():
    async with asyncpg.create_pool(URL, min_size=8, max_size=8) as pool:
        while await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
            left = COUNT

            async def worker():
                nonlocal left
                while left > 0:
                    left -= 1
                    await one(pool)

            started = time.perf_counter()
            await asyncio.gather(*(worker() for _ in range(TASKS)))
            print(time.perf_counter() - started, flush=True)


uvloop.install()
asyncio.run(main())
