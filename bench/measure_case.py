"""The counterpart of measure-case.ts for Python: measures one workload in a fresh process, and prints
the result as one line of JSON. rounds.ts starts it.

    python3 bench/measure_case.py FOLDER asyncio|uvloop|trio '{"tasks":1000,"repeats":1000}' SAMPLES BUDGET-MS
"""

import gc
import importlib.util
import json
import pathlib
import sys
import time


def load(folder, name):
    # Under a name of its own: a file called asyncio.py must not stand in for the library.
    path = pathlib.Path(__file__).parent / "workloads" / folder / f"{name}.py"
    spec = importlib.util.spec_from_file_location("workload_under_test", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.workload


async def measure(workload, tasks, repeats, samples, budget):
    checksum = await (await workload(tasks, repeats))()
    found = []
    spent = 0.0
    while not found or (len(found) < samples and spent < budget):
        work = await workload(tasks, repeats)
        gc.collect()
        started_at = time.perf_counter()
        again = await work()
        took = time.perf_counter() - started_at
        if again != checksum:
            raise RuntimeError(f"two samples have the checksums {checksum} and {again}")
        spent += took
        found.append(took * 1e9 / (tasks * repeats))
    return {"checksum": checksum, "nanosecondsPerOperation": sorted(found)}


def main():
    folder, implementation, size, samples, budget_ms = sys.argv[1:]
    size = json.loads(size)
    name = "asyncio" if implementation == "uvloop" else implementation
    args = (load(folder, name), size["tasks"], size["repeats"], int(samples), int(budget_ms) / 1000)
    if implementation == "trio":
        import trio

        result = trio.run(measure, *args)
    elif implementation == "uvloop":
        import uvloop

        uvloop.install()
        import asyncio

        result = asyncio.run(measure(*args))
    else:
        import asyncio

        result = asyncio.run(measure(*args))
    print(json.dumps(result))


main()
