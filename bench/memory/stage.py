"""The stage of the memory programs in Python, and what starts them: see stage.ts.

    python3 bench/memory/stage.py KIND asyncio|trio '{"tasks":1000,"seconds":1}'
"""

import gc
import importlib.util
import json
import os
import pathlib
import sys
import time


def resident():
    """What the process has from the system, in bytes, garbage collected."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Stage:
    def __init__(self, plan):
        self.tasks = plan["tasks"]
        self.seconds = plan["seconds"]
        self.waiting = 0
        self.gone = 0
        self.before = resident()
        self.started_at = time.perf_counter()

    def enter(self):
        """A task is about to wait. True for the last one."""
        self.waiting += 1
        return self.waiting == self.tasks

    def leave(self):
        self.gone += 1

    def measure(self):
        start = time.perf_counter() - self.started_at
        self.finding = {
            "tasks": self.tasks,
            "overlapped": self.gone > 0,
            "residentBytesPerTask": (resident() - self.before) / self.tasks,
            "startMs": start * 1000,
        }

    def print(self, wall):
        wall_ms = (time.perf_counter() - self.started_at) * 1000 if wall else 0
        print(json.dumps({**self.finding, "wallMs": wall_ms}))


def load(kind, name):
    # Under a name of its own: a file called asyncio.py must not stand in for the library.
    path = pathlib.Path(__file__).parent / kind / f"{name}.py"
    spec = importlib.util.spec_from_file_location("program_under_test", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


if __name__ == "__main__":
    kind, name, plan = sys.argv[1:]
    main = load(kind, name)
    if name == "trio":
        import trio

        trio.run(main, lambda: Stage(json.loads(plan)))
    else:
        import asyncio

        asyncio.run(main(lambda: Stage(json.loads(plan))))
