"""The HTTP transport, on aiohttp."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from gscompress.errors import MissingExtraError, UsageError
from gscompress.stream.transport import Missing

if TYPE_CHECKING:
    import aiohttp

CONNECT = 5.0
"""Seconds to wait for a connection."""
CONNECTIONS = 3
"""At once: enough that one that stalls does not hold up the others, few enough that what is due comes first."""
_BLOCK = 1 << 16


def base_and_name(url: str) -> tuple[str, str]:
    """The folder of a URL, ending in a slash, and the name in it with its query. Raises UsageError."""
    parts = urlsplit(url)
    if not parts.netloc:
        raise UsageError(f"'{url}' names no server")
    folder, _, name = parts.path.rpartition("/")
    query = f"?{parts.query}" if parts.query else ""
    return urlunsplit((parts.scheme, parts.netloc, f"{folder}/", "", "")), name + query


class Http:
    """Files below a URL. A file read by ranges must stay the same while it is read: its ETag is watched.

    stall: seconds to wait for the next byte.
    """

    def __init__(self, base: str, stall: float) -> None:
        try:
            import aiohttp
        except ImportError:
            raise MissingExtraError("aiohttp", "stream", "reading a stream over HTTP") from None
        self._aiohttp, self._base, self._stall = aiohttp, base, stall
        self._session: aiohttp.ClientSession | None = None
        self._tags: dict[str, str] = {}

    async def read(self, path: str, most: int) -> bytes:
        data = await self._get(path, {}, most, None)
        assert data is not None
        return data

    async def read_changed(self, path: str, most: int) -> bytes | None:
        known = self._tags.get(path)
        return await self._get(path, {} if known is None else {"If-None-Match": known}, most, None)

    async def read_range(self, path: str, offset: int, size: int) -> bytes:
        wanted = f"bytes={offset}" if offset < 0 else f"bytes={offset}-{offset + size - 1}"
        data = await self._get(path, {"Range": wanted}, size, size)
        assert data is not None
        return data

    async def size(self, path: str) -> int:
        async with self._answer("HEAD", path, {}) as reply:
            self._check(reply, path, 200)
            if reply.content_length is None:
                raise Missing(f"the server does not say how large {path} is", again=False)
            return reply.content_length

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _get(self, path: str, headers: dict[str, str], most: int, exactly: int | None) -> bytes | None:
        async with self._answer("GET", path, headers) as reply:
            if reply.status == 304 and "If-None-Match" in headers:
                return None
            self._check(reply, path, 200 if exactly is None else 206)
            if (reply.content_length or 0) > most:
                raise Missing(f"{path} has {reply.content_length} bytes, {most} are expected", again=False)
            data = bytearray()
            async for block in reply.content.iter_chunked(_BLOCK):
                data += block
                if len(data) > most:
                    raise Missing(f"{path} goes on after the {most} bytes that are expected", again=False)
        if exactly is not None and len(data) != exactly:
            raise Missing(f"{path} ends after {len(data)} of {exactly} bytes", again=True)
        return bytes(data)

    def _answer(self, method: str, path: str, headers: dict[str, str]) -> _Answer:
        if self._session is None:
            limits = self._aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=self._stall)
            # Compressed replies would blur sizes and ranges; splats do not shrink any further anyway.
            plain = {"Accept-Encoding": "identity"}
            pool = self._aiohttp.TCPConnector(limit=CONNECTIONS)
            self._session = self._aiohttp.ClientSession(timeout=limits, connector=pool, headers=plain)
        return _Answer(self._session.request(method, self._base + path, headers=headers), path, self._aiohttp)

    def _check(self, reply: aiohttp.ClientResponse, path: str, status: int) -> None:
        if reply.status != status:
            if status == 206 and reply.status == 200:
                raise Missing("the server ignores range requests: publish the stream as a folder", again=False)
            busy = reply.status >= 500 or reply.status in (408, 425, 429)
            raise Missing(f"{path}: the server answers {reply.status} {reply.reason or ''}".rstrip(), again=busy)
        tag = reply.headers.get("ETag")
        if tag is None:
            return
        if status == 206 and self._tags.setdefault(path, tag) != tag:
            raise Missing(f"{path} has changed on the server: open the stream again", again=False)
        self._tags[path] = tag


class _Answer:
    """A reply as a context manager that turns what goes wrong on the way into Missing."""

    def __init__(self, request: Any, path: str, library: Any) -> None:
        self._request, self._path, self._library = request, path, library

    async def __aenter__(self) -> aiohttp.ClientResponse:
        try:
            return await self._request.__aenter__()
        except (self._library.ClientError, OSError, asyncio.TimeoutError) as error:
            raise self._missing(error) from None

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        await self._request.__aexit__(kind, error, trace)
        if isinstance(error, (self._library.ClientError, OSError, asyncio.TimeoutError)):
            raise self._missing(error) from None

    def _missing(self, error: BaseException) -> Missing:
        text = " ".join(str(error).split()) or "no answer in time"
        again = not isinstance(error, self._library.InvalidURL)
        return Missing(f"{self._path}: {text}", again=again)
