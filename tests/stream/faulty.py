"""A web server on loopback that does what bad networks and broken disks do."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

Fault = Callable[[str, int], str | None]
"""From the path that is asked for and how often it was before, to what goes wrong (None: nothing).

missing, broken: 404 and 500. silent: no answer. stalled: half the bytes, then nothing. cut: half the bytes, then the
connection breaks. short: half the bytes, as if they were all. flipped: one bit is wrong. late: 0.1 s goes by first.
other: the bytes of another segment. dripping: byte by byte, without end.
"""


class FaultyServer:
    """Serves a folder while the context is entered.

    asked: how often each path was asked for. rate: bytes per second and request, None for all at once.
    """

    def __init__(self, folder: Path, fault: Fault = lambda path, before: None, rate: float | None = None) -> None:
        self._folder, self.fault, self.rate = folder, fault, rate
        self.asked: Counter[str] = Counter()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def __aenter__(self) -> FaultyServer:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        what = self.fault(path, self.asked[path])
        self.asked[path] += 1
        if what == "late":
            await asyncio.sleep(0.1)
        if what == "silent":
            await asyncio.sleep(60)
        if what in ("missing", "broken"):
            return web.Response(status=404 if what == "missing" else 500)
        if what is None and self.rate is None:
            return web.FileResponse(self._folder / path)
        data = bytearray((self._folder / path).read_bytes())
        half = bytes(data[: len(data) // 2])
        if what == "short":
            return web.Response(body=half)
        if what == "flipped":
            data[len(data) // 2] ^= 4
        if what == "other":
            data = bytearray(
                next(p for p in sorted((self._folder / path).parent.glob("*.gop")) if p.name not in path).read_bytes()
            )
        response = web.StreamResponse(headers={} if what == "dripping" else {"Content-Length": str(len(data))})
        await response.prepare(request)
        while what == "dripping":
            await response.write(b"x")
            await asyncio.sleep(0.05)
        if what in ("stalled", "cut"):
            await response.write(half)
            await asyncio.sleep(60 if what == "stalled" else 0.02)
            assert request.transport is not None
            request.transport.abort()
        with contextlib.suppress(ConnectionError):
            step = len(data) if self.rate is None else max(1, int(self.rate / 20))
            for start in range(0, len(data), step):
                await response.write(bytes(data[start : start + step]))
                if self.rate is not None:
                    await asyncio.sleep(min(step, len(data)) / self.rate)
            await response.write_eof()
        return response
