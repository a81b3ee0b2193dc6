# For the demonstration: three long queries, and then Ctrl-C.

import asyncio
import os

import asyncpg


async def main():
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=3, max_size=3) as pool:
        await asyncio.gather(*(pool.fetch("select pg_sleep(30)") for _ in range(3)))


asyncio.run(main())
