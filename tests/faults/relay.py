"""Passes TCP on to a Unix socket and back, in a process of its own: `relay.py LISTEN TARGET`, host:port or a path.

A network namespace shares no network with the machine, but files: two relays lead out of it.
"""

import asyncio
import contextlib
import sys


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(4096):
            writer.write(piece)
            await writer.drain()
    writer.close()


async def main(listen: str, target: str) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if ":" in target:
            back, forth = await asyncio.open_connection(*target.split(":"))
        else:
            back, forth = await asyncio.open_unix_connection(target)
        await asyncio.gather(copy(reader, forth), copy(back, writer))

    if ":" in listen:
        server = await asyncio.start_server(connected, *listen.split(":"))
    else:
        server = await asyncio.start_unix_server(connected, listen)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
