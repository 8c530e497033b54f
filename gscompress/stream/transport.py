"""Getting bytes: from a folder on disk or from an HTTP server, with limits on how many and for how long."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from gscompress.errors import GscompressError, UnreadableError, UsageError


class Missing(GscompressError):
    """These bytes are not there, or not as announced. ``again``: asking once more may help, the server is just ill."""

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.again = again


class Transport(Protocol):
    """Reads parts of the files below one place. Safe for several reads at once."""

    async def read(self, path: str, most: int) -> bytes:
        """The whole file, which must not be larger than ``most`` bytes. Raises Missing."""

    async def read_changed(self, path: str, most: int) -> bytes | None:
        """Like ``read``; None when it is known to be what this call gave last. Raises Missing."""

    async def read_range(self, path: str, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes from ``offset``; a negative offset counts from the end. Raises Missing."""

    async def size(self, path: str) -> int:
        """Bytes of the file. Raises Missing."""

    async def close(self) -> None:
        """Give connections back."""


class Disk:
    """Files below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def read(self, path: str, most: int) -> bytes:
        size = await self.size(path)
        if size > most:
            raise Missing(f"{path} has {size} bytes, at most {most} are expected", again=False)
        return await self.read_range(path, 0, size)

    async def read_changed(self, path: str, most: int) -> bytes | None:
        return await self.read(path, most)

    async def read_range(self, path: str, offset: int, size: int) -> bytes:
        return await asyncio.to_thread(self._read, path, offset, size)

    async def size(self, path: str) -> int:
        try:
            return (self._folder / path).stat().st_size
        except OSError as error:
            raise Missing(f"{path}: {error.strerror}", again=False) from None

    async def close(self) -> None:
        return None

    def _read(self, path: str, offset: int, size: int) -> bytes:
        try:
            with (self._folder / path).open("rb") as stream:
                stream.seek(offset, 2 if offset < 0 else 0)
                data = stream.read(size)
        except OSError as error:
            raise Missing(f"{path}: {error.strerror}", again=False) from None
        if len(data) != size:
            raise Missing(f"{path} ends after {len(data)} of {size} bytes", again=False)
        return data


def place(where: str, stall: float) -> tuple[Transport, str]:
    """The transport for a URL or a path, and the name of the thing in it ("" for the folder itself).

    stall: seconds without a byte after which a server's answer is given up.

    Raises UnreadableError for a missing path, UsageError for an unknown scheme, MissingExtraError without aiohttp.
    """
    scheme, separator, _ = where.partition("://")
    if separator:
        if scheme.lower() not in ("http", "https"):
            raise UsageError(f"'{where}': streams are read from http://, https:// or a path")
        from gscompress.stream.http import Http, base_and_name

        base, name = base_and_name(where)
        return Http(base, stall), name
    path = Path(where)
    if not path.exists():
        raise UnreadableError(f"{where}: no such file or folder")
    return (Disk(path), "") if path.is_dir() else (Disk(path.parent), path.name)
