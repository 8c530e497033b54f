"""A run of chunks without signature, HEAD and index: what a segment of a stream holds."""

from __future__ import annotations

from collections.abc import Iterator

from gscompress.container.chunk import Chunk, pack_streams, unpack_streams
from gscompress.container.layout import CHUNK, COMPLETE, checksum
from gscompress.errors import ChecksumError, UnreadableError


def pack(chunk: Chunk, flags: int = COMPLETE) -> bytes:
    """One chunk with its header and checksum."""
    name, payload = chunk.kind.encode("ascii"), pack_streams(chunk.streams)
    return CHUNK.pack(name, flags, chunk.level, len(payload), checksum(name, flags, chunk.level, payload)) + payload


def unpack(data: bytes | memoryview) -> Iterator[Chunk]:
    """Checked chunks one after the other; what comes before damage is yielded. Raises UnreadableError."""
    view, position = memoryview(data).toreadonly().cast("B"), 0
    while position < len(view):
        if position + CHUNK.size > len(view):
            raise UnreadableError(f"cut off inside the chunk header at byte {position}")
        name, flags, level, length, crc = CHUNK.unpack_from(view, position)
        start = position + CHUNK.size
        if not name.isalpha() or length > len(view) - start:
            raise UnreadableError(f"the chunk at byte {position} is cut off or corrupt")
        payload = view[start : start + length]
        if checksum(name, flags, level, payload) != crc:
            raise ChecksumError(f"chunk {name.decode('ascii')} at byte {position} is corrupt: its checksum differs")
        yield Chunk(name.decode("ascii"), level, unpack_streams(payload))
        position = start + length
