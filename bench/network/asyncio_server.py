"""An echo server on the streams of asyncio, with its own loop or with uvloop: see service.ts.

    python3 bench/network/asyncio_server.py asyncio|uvloop [tls]
"""

import asyncio
import gc
import json
import os
import pathlib
import resource
import ssl
import sys

CHUNK_SIZE = 65_536


def usage(connections):
    used = resource.getrusage(resource.RUSAGE_SELF)
    gc.collect()
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    cpu_ms = (used.ru_utime + used.ru_stime) * 1000
    return {"connections": connections, "cpuMs": cpu_ms, "residentBytes": resident}


async def main():
    connections = 0

    async def echo(reader, writer):
        nonlocal connections
        connections += 1
        try:
            while chunk := await reader.read(CHUNK_SIZE):
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            pass  # the client resets its connections
        finally:
            connections -= 1
            writer.close()

    context = None
    if sys.argv[2:] == ["tls"]:
        folder = pathlib.Path(__file__).parents[2] / "packages/asyncio/test/fixtures/tls"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem", folder / "server-key.pem")
    server = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=1024, ssl=context)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(usage(connections)), flush=True)
    os._exit(0)


if sys.argv[1] == "uvloop":
    import uvloop

    uvloop.install()
asyncio.run(main())
