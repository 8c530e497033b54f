"""``gscompress stream serve``: publish a stream over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from gscompress.cli import console

Stream = Annotated[Path, typer.Argument(metavar="IN", help="A stream's folder, or a .gscz stream.")]
Port = Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="Where to serve; 0 takes any free port.")]
Host = Annotated[str, typer.Option(metavar="ADDRESS", help="0.0.0.0 lets other machines in.")]
Connections = Annotated[int, typer.Option(metavar="N", min=1, help="At once; more are asked to come back later.")]


def serve(source: Stream, port: Port = 8090, host: Host = "127.0.0.1", connections: Connections = 256) -> None:
    """Serve a stream to players and browsers until Ctrl-C, also one that is still being encoded."""
    from gscompress.stream.serve import Limits, StreamServer
    from gscompress.viewer.server import check_address

    server = StreamServer(source, host, port, Limits(connections=connections))
    check_address(host, port)

    async def run() -> None:
        async with server:
            console.say(f"{source.name}: {server.url} (Ctrl-C ends)")
            sys.stdout.flush()
            await asyncio.Event().wait()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())
