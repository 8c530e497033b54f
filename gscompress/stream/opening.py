"""Open a stream: find out whether it is a folder with a manifest or a single file, here or on a server."""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from gscompress.container.layout import (
    CHUNK,
    END_PAYLOAD,
    END_SIZE,
    INDEX_ROW,
    MAGIC,
    MAX_CHUNKS,
    MAX_HEADER,
    PREAMBLE,
    Placed,
    checksum,
)
from gscompress.container.reader import Reader
from gscompress.errors import UnreadableError
from gscompress.stream import manifest as manifests
from gscompress.stream.client import Decoder, StreamClient
from gscompress.stream.fetch import Patience, persist
from gscompress.stream.file import Place, StreamFile, places
from gscompress.stream.frames import GopDecoder
from gscompress.stream.manifest import Group, Manifest, Rendition, Segment
from gscompress.stream.prefetch import Options
from gscompress.stream.transport import Disk, Missing, Transport, place

FILE = "file"
"""Name of the only rendition of a single file."""
HASTE = Patience(seconds=2.0)
"""A stream that cannot even be opened is no reason to wait long."""


def decoder_of(init: bytes) -> Decoder:
    """The decoder for the bytes of an init segment. Raises UnreadableError."""
    return GopDecoder(Reader(init).header)


async def open_stream(
    where: str, options: Options | None = None, decoder: Callable[[bytes], Decoder] = decoder_of
) -> StreamClient:
    """Open a folder, a manifest or a ``.gscz`` file by its path or URL.

    Raises UnreadableError, UsageError for an unknown scheme, MissingExtraError without aiohttp for URLs.
    """
    options = options or Options()
    transport, name = place(where, options.patience.stall)
    try:
        single = name.partition("?")[0].endswith(".gscz")
        if single and isinstance(transport, Disk):
            manifest = _local_manifest(Path(where))
        else:
            read = _file_manifest if single else _manifest
            name = name or manifests.NAME
            manifest = await persist(lambda _: read(transport, name), HASTE)
        return StreamClient(transport, manifest, decoder, _no_news if single else _news_of(transport, name), options)
    except BaseException as error:
        await transport.close()
        if isinstance(error, (Missing, UnreadableError)):
            text = str(error)
            raise UnreadableError(text if text.startswith(where) else f"{where}: {text}") from None
        raise


async def _manifest(transport: Transport, name: str) -> Manifest:
    return manifests.from_json(await transport.read(name, manifests.MAX_BYTES))


async def _no_news() -> None:
    return None


def _news_of(transport: Transport, name: str) -> Callable[[], Awaitable[Manifest | None]]:
    async def news() -> Manifest | None:
        data = await transport.read_changed(name, manifests.MAX_BYTES)
        return None if data is None else manifests.from_json(data)

    return news


async def _file_manifest(transport: Transport, name: str) -> Manifest:
    """What the index at the end of a file says, as a manifest of one rendition. Raises Missing, UnreadableError."""
    head = await transport.read_range(name, 0, PREAMBLE.size + CHUNK.size)
    if head[: len(MAGIC)] != MAGIC:
        raise UnreadableError("not a .gscz file (its first bytes are not the .gscz signature)")
    _, _, _, length, _ = CHUNK.unpack_from(head, PREAMBLE.size)
    if length > MAX_HEADER:
        raise UnreadableError("the header is larger than 1 MiB: the file is corrupt")
    init = Segment(name, PREAMBLE.size + CHUNK.size + length, None)
    header = Reader(await transport.read_range(name, 0, init.size)).header
    return _single(name, init, GopDecoder(header).fps, places(await _index(transport, name)))


def _local_manifest(path: Path) -> Manifest:
    """The same for a file on disk, which may be cut off: its chunks are walked."""
    found = StreamFile(path)
    init = Segment(path.name, found.gops[0].offset, None)
    return _single(path.name, init, GopDecoder(found.header).fps, found.gops)


def _single(name: str, init: Segment, fps: float, gops: Sequence[Place]) -> Manifest:
    groups = [Group(gop.first_frame, gop.frames, Segment(name, gop.size, None, gop.offset)) for gop in gops]
    if not groups or max(gop.size for gop in gops) > manifests.MAX_SEGMENT:
        raise UnreadableError("the file holds no frames, or too large ones: it is corrupt")
    return Manifest(fps, False, [Rendition(FILE, init, groups)])


async def _index(transport: Transport, name: str) -> list[Placed]:
    """The chunks that the index lists. Raises Missing, UnreadableError."""
    size = await transport.size(name)
    end = await transport.read_range(name, -END_SIZE, END_SIZE)
    (at,) = END_PAYLOAD.unpack(end[CHUNK.size :])
    length = size - END_SIZE - CHUNK.size - at
    if not 0 <= length <= MAX_CHUNKS * INDEX_ROW.size or length % INDEX_ROW.size:
        raise UnreadableError("the file is cut off: fetch it again, or play what there is from a local copy")
    tail = await transport.read_range(name, at, CHUNK.size + length)
    rows = []
    try:
        kind, flags, level, _, crc = CHUNK.unpack_from(tail)
        if checksum(kind, flags, level, tail[CHUNK.size :]) != crc:
            raise UnreadableError("the index is corrupt: its checksum differs")
        for kind, flags, level, offset, payload in INDEX_ROW.iter_unpack(tail[CHUNK.size :]):
            if offset + CHUNK.size + payload > at:
                raise UnreadableError("the index points outside the file: the file is corrupt")
            rows.append(Placed(kind.decode("ascii"), flags, level, offset, payload, 0))
    except (struct.error, UnicodeDecodeError):
        raise UnreadableError("the index cannot be read: the file is corrupt") from None
    return rows
