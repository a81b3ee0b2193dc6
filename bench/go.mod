module asyncio-ts-bench

go 1.19
