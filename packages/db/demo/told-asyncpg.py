# For the demonstration: the same with Python's asyncio and asyncpg, whose cancellation reaches the
# server and is waited for. Prints what it was told as JSON.

import asyncio
import json
import sys

import asyncpg

URL, WHO, ROUNDS, LANES = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


async def transfer(pool, number):
    async with pool.acquire() as connection:
        async with connection.transaction():
            await connection.execute("insert into told values ($1, $2)", number, WHO)
            await connection.execute("select pg_sleep(0.002)")


async def main():
    answers = {}
    dead = 0
    async with asyncpg.create_pool(URL, min_size=LANES, max_size=LANES) as pool:

        async def transfers(lane):
            for n in range(lane, ROUNDS, LANES):
                seconds = 0.0005 + 0.012 * ((n * 0.618) % 1)
                try:
                    await asyncio.wait_for(transfer(pool, n), seconds)
                    answers[n] = True
                except Exception:
                    answers[n] = False

        async def queries(lane):
            nonlocal dead
            for n in range(lane, ROUNDS, LANES):
                seconds = 0.002 + 0.003 * ((n * 0.618) % 1)
                try:
                    await asyncio.wait_for(pool.fetch("select pg_sleep(0.003)"), seconds)
                except Exception:
                    pass
                try:
                    await pool.fetch("select pg_sleep(0.0005)")
                except Exception:
                    dead += 1

        for work in (transfers, queries):
            await asyncio.gather(*(work(lane) for lane in range(LANES)))
    print(json.dumps({"answers": answers, "dead": dead}))


asyncio.run(main())
