"""A web server for one stream: a folder or a single file, read-only, to be left running.

It gives out regular files below one folder (or one file) and nothing else, says how long they may be cached, answers
range and conditional requests, and lets pages of other origins read it. Clients that are slow on purpose lose their
connection; more clients than ``Limits.connections`` are asked to come back later. Encryption and names are the business
of a proxy in front, as is serving the whole world.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gscompress.errors import MissingExtraError, UnreadableError
from gscompress.stream.manifest import NAME, is_safe

if TYPE_CHECKING:
    from aiohttp import web

EXPOSED = "Accept-Ranges, Content-Length, Content-Range, ETag"
HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": EXPOSED,
    "Server": "gscompress",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
}
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "Range, If-Range, If-None-Match, If-Modified-Since, Cache-Control",
    "Access-Control-Max-Age": "86400",
}
LOG = logging.getLogger(__name__)
LOG.addHandler(logging.NullHandler())  # what clients do wrong fills no terminal; who wants to know can listen
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Limits:
    """connections: at once. idle: seconds until a whole request must be there, also on a connection that is kept.

    grace, slowest: a reply may take ``grace`` seconds and one more for every ``slowest`` bytes.
    """

    connections: int = 256
    idle: float = 15.0
    grace: float = 20.0
    slowest: int = 64 << 10


class StreamServer:
    """Serves while the context is entered: ``async with StreamServer(folder) as server``.

    port: where it listens; 0 takes any free one. Raises UnreadableError when there is no stream to serve,
    MissingExtraError without aiohttp, OSError when the port cannot be had.
    """

    def __init__(self, source: Path, host: str = "127.0.0.1", port: int = 8090, limits: Limits | None = None) -> None:
        try:
            from aiohttp import web
        except ImportError:
            raise MissingExtraError("aiohttp", "stream", "serving a stream") from None
        self._web, self._limits = web, limits or Limits()
        self._root = (source if source.is_dir() else source.parent).resolve()
        self._only = None if source.is_dir() else source.name
        if not (source / NAME if source.is_dir() else source).is_file():
            raise UnreadableError(f"{source}: neither a stream's folder (with a {NAME}) nor a file")
        self._host, self.port = host, port

    @property
    def url(self) -> str:
        """What to open: the folder's address, or the file's."""
        shown = {"0.0.0.0": "localhost", "::": "localhost"}.get(self._host, self._host)
        shown = f"[{shown}]" if ":" in shown else shown
        return f"http://{shown}:{self.port}/{quote(self._only or '')}"

    async def __aenter__(self) -> StreamServer:
        app = self._web.Application(client_max_size=1024)
        app.router.add_route("*", "/{path:.*}", self._answer)
        app.on_response_prepare.append(_mark)
        self._runner = self._web.AppRunner(
            app, logger=LOG, access_log=None, keepalive_timeout=self._limits.idle, lingering_time=1, shutdown_timeout=1
        )
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, self._host, self.port, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._runner.cleanup()

    def _connection(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        assert server is not None
        return _Busy() if len(server.connections) >= self._limits.connections else server()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.method == "OPTIONS":
            return self._web.Response(status=204, headers=PREFLIGHT)
        if request.method not in ("GET", "HEAD"):
            raise self._web.HTTPMethodNotAllowed(request.method, ["GET", "HEAD", "OPTIONS"])
        wanted = request.match_info["path"]
        if not wanted:
            return self._web.Response(text=f"A gscompress stream. Play it with: gscompress stream play {self.url}\n")
        path = await asyncio.to_thread(self._find, wanted)
        if path is None:
            raise self._web.HTTPNotFound(text="not found\n")
        unchanging = path.suffix == ".gop"
        headers = {
            "Content-Type": "application/json" if path.suffix == ".json" else "application/octet-stream",
            "Cache-Control": "public, max-age=31536000, immutable" if unchanging else "no-cache",
        }
        return _timed(self._web)(path, self._limits, headers)

    def _find(self, wanted: str) -> Path | None:
        """The file that is asked for, or None: no way leads out of the folder, through links neither."""
        if wanted != self._only and (self._only is not None or not is_safe(wanted)):
            return None
        try:
            path = (self._root / wanted).resolve(strict=True)
        except (OSError, RuntimeError, ValueError):
            return None
        return path if path.is_file() and path.is_relative_to(self._root) else None


class _Busy(asyncio.Protocol):
    """Says so and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(BUSY)
        transport.close()


async def _mark(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


@functools.cache
def _timed(web: Any) -> Any:
    """aiohttp's reply with a file, given up when the client does not take it in time."""

    class Timed(web.FileResponse):
        def __init__(self, path: Path, limits: Limits, headers: dict[str, str]) -> None:
            super().__init__(path, headers=headers)
            self._seconds = limits.grace + path.stat().st_size / limits.slowest

        async def prepare(self, request: web.BaseRequest) -> Any:
            try:
                return await asyncio.wait_for(super().prepare(request), self._seconds)
            except asyncio.TimeoutError:
                if request.transport is not None:
                    request.transport.abort()
                raise ConnectionResetError("the client reads too slowly") from None

    return Timed
