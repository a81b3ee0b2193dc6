"""With concurrent.futures: threads and processes of Python. See stage.ts."""

import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

WORKERS = 2
BURSTS = 4


def same(n):
    return n


def sequential(pool, count):
    for n in range(count):
        pool.submit(same, n).result()
    return count


def pipelined(pool, count):
    for _ in range(BURSTS):
        for future in [pool.submit(same, n) for n in range(count)]:
            future.result()
    return count * BURSTS


def main():
    print(json.dumps({"ready": True}), flush=True)
    measures = {"sequential": sequential, "pipelined": pipelined}
    with ThreadPoolExecutor(WORKERS) as threads, ProcessPoolExecutor(WORKERS) as processes:
        pools = {"threads": threads, "processes": processes}
        while line := sys.stdin.readline():
            plan = json.loads(line)
            started_at = time.perf_counter()
            jobs = measures[plan["what"]](pools[plan["on"]], plan["count"])
            seconds = time.perf_counter() - started_at
            print(json.dumps({"microseconds": seconds / jobs * 1e6}), flush=True)


if __name__ == "__main__":
    main()
