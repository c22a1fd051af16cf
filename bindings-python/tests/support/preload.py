"""An application that opens its session and then forks workers, as servers do that preload: `preload.py FD FD`."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys

import signoff
import signoff.mcp
import uvicorn

from support.mounted import who_calls

if __name__ == "__main__":
    opening = json.loads(os.environ["OPENING"])
    so = signoff.Signoff.open(**opening)

    async def used() -> None:
        await so
        # It has been used before the fork, so there are threads that the children do not have.
        await so.tools()

    asyncio.run(used())
    app = signoff.mcp.asgi(so, context=who_calls)
    workers = []
    for handle in map(int, sys.argv[1:]):
        worker = os.fork()
        if worker == 0:
            server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
            server.run(sockets=[socket.socket(fileno=handle)])
            os._exit(0)
        workers.append(worker)
    sys.stdin.read()
    for worker in workers:
        os.kill(worker, 15)
    ended = [os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) for worker in workers]
    print(json.dumps(ended))
