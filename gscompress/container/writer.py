"""Write a ``.gscz`` file as a stream: nothing is sought, nothing is held back but one chunk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

from gscompress.container.chunk import Chunk, pack_streams
from gscompress.container.layout import (
    CHUNK,
    COMPLETE,
    END,
    END_PAYLOAD,
    HEAD,
    INDEX_ROW,
    INDX,
    MAGIC,
    MAJOR,
    MAX_CHUNKS,
    MAX_HEADER,
    MINOR,
    PREAMBLE,
    STRUCTURAL,
    checksum,
)
from gscompress.errors import UsageError


def write(stream: BinaryIO, header: Mapping[str, Any], chunks: Iterable[Chunk]) -> int:
    """Write a whole file to ``stream`` and return its size in bytes. Same header and chunks, same bytes.

    Raises UsageError when the header is no JSON or larger than 1 MiB.
    """
    out = _Output(stream)
    out.put(PREAMBLE.pack(MAGIC, MAJOR, MINOR))
    out.chunk(HEAD, 0, 0, _header_bytes(header))
    held: Chunk | None = None
    for chunk in chunks:
        if held is not None:
            out.data(held, last_of_level=chunk.level != held.level)
        held = chunk
    if held is not None:
        out.data(held, last_of_level=True)
    index_at = out.position
    out.chunk(INDX, 0, 0, b"".join(out.index))
    out.chunk(END, 0, 0, END_PAYLOAD.pack(index_at))
    return out.position


class _Output:
    """The stream, the position in it and the index so far."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.position = 0
        self.index: list[bytes] = []

    def put(self, data: bytes) -> None:
        self._stream.write(data)
        self.position += len(data)

    def data(self, chunk: Chunk, *, last_of_level: bool) -> None:
        if len(chunk.kind) != 4 or not (chunk.kind.isascii() and chunk.kind.isalpha()) or chunk.kind in STRUCTURAL:
            raise ValueError(f"'{chunk.kind}' cannot be a chunk's type: four ASCII letters, not one of {STRUCTURAL}")
        self.chunk(chunk.kind, COMPLETE if last_of_level else 0, chunk.level, pack_streams(chunk.streams))

    def chunk(self, kind: str, flags: int, level: int, payload: bytes) -> None:
        name = kind.encode("ascii")
        self.index.append(INDEX_ROW.pack(name, flags, level, self.position, len(payload)))
        if len(self.index) > MAX_CHUNKS:
            raise UsageError(f"more than {MAX_CHUNKS} chunks in one file")
        self.put(CHUNK.pack(name, flags, level, len(payload), checksum(name, flags, level, payload)))
        self.put(payload)


def _header_bytes(header: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the scene's metadata cannot be stored as JSON: {error}") from None
    if len(text) > MAX_HEADER:
        raise UsageError(
            f"the header would take {len(text)} bytes, {MAX_HEADER} are allowed: shorten the scene's metadata"
        )
    return text.encode("ascii")
