"""A chunk: the unit of the ``.gscz`` container, holding named streams of bytes."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from gscompress.errors import UnreadableError


@dataclass(frozen=True, slots=True)
class Chunk:
    """kind: four ASCII letters, an upper-case first letter marks a chunk that a reader must understand.

    level: 0 is the base, every further level refines it. streams: attribute name → bytes (the ledger's rows).
    """

    kind: str
    level: int
    streams: Mapping[str, bytes]


def pack_streams(streams: Mapping[str, bytes]) -> bytes:
    """Streams to one payload: count u8, then per stream name length u8, name, size u64; then the bytes in order."""
    head, body = bytearray([len(streams)]), bytearray()
    for name, data in streams.items():
        encoded = name.encode("ascii")
        head += struct.pack(f"<B{len(encoded)}sQ", len(encoded), encoded, len(data))
        body += data
    return bytes(head + body)


def stream_sizes(payload: bytes | memoryview) -> tuple[dict[str, int], int]:
    """Name → size of every stream, and where the first one starts. Raises UnreadableError when they do not fit."""
    view = memoryview(payload)
    try:
        count, position, sizes = view[0], 1, {}
        for _ in range(count):
            length = view[position]
            name, size = struct.unpack_from(f"<{length}sQ", view, position + 1)
            sizes[name.decode("ascii")] = size
            position += 9 + length
    except (IndexError, struct.error, UnicodeDecodeError):
        raise UnreadableError("a chunk's stream table is cut short or not ASCII: the file is corrupt") from None
    if len(sizes) != count or position + sum(sizes.values()) != len(view):
        raise UnreadableError("a chunk's stream sizes do not add up to its length: the file is corrupt")
    return sizes, position


def unpack_streams(payload: bytes | memoryview) -> dict[str, bytes]:
    """The reverse of ``pack_streams``. Raises UnreadableError when sizes do not fit the payload."""
    view = memoryview(payload)
    sizes, position = stream_sizes(view)
    out = {}
    for name, size in sizes.items():
        out[name] = bytes(view[position : position + size])
        position += size
    return out
