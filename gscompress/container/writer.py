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
    out = Writer(stream, header)
    held: Chunk | None = None
    for chunk in chunks:
        if held is not None:
            out.data(held, last_of_level=chunk.level != held.level)
        held = chunk
    if held is not None:
        out.data(held, last_of_level=True)
    return out.finish()


class Writer:
    """A file that grows chunk by chunk: the stream, the position in it and the index so far."""

    def __init__(self, stream: BinaryIO, header: Mapping[str, Any]) -> None:
        """Writes signature and HEAD. Raises UsageError when the header is no JSON or larger than 1 MiB."""
        self._stream = stream
        self.position = 0
        self.index: list[bytes] = []
        head = _header_bytes(header)
        self._put(PREAMBLE.pack(MAGIC, MAJOR, MINOR))
        self.chunk(HEAD, 0, 0, head)

    def append(self, piece: bytes) -> None:
        """Add whole chunks as ``container.piece`` packs them."""
        start = self.position
        at = 0
        while at < len(piece):
            name, flags, level, length, _ = CHUNK.unpack_from(piece, at)
            self._listed(INDEX_ROW.pack(name, flags, level, start + at, length))
            at += CHUNK.size + length
        if at != len(piece):
            raise ValueError("a piece must end where its last chunk does")
        self._put(piece)

    def finish(self) -> int:
        """Write index and end marker; returns the size of the file in bytes."""
        index_at = self.position
        self.chunk(INDX, 0, 0, b"".join(self.index))
        self.chunk(END, 0, 0, END_PAYLOAD.pack(index_at))
        return self.position

    def _put(self, data: bytes) -> None:
        self._stream.write(data)
        self.position += len(data)

    def data(self, chunk: Chunk, *, last_of_level: bool) -> None:
        if len(chunk.kind) != 4 or not (chunk.kind.isascii() and chunk.kind.isalpha()) or chunk.kind in STRUCTURAL:
            raise ValueError(f"'{chunk.kind}' cannot be a chunk's type: four ASCII letters, not one of {STRUCTURAL}")
        self.chunk(chunk.kind, COMPLETE if last_of_level else 0, chunk.level, pack_streams(chunk.streams))

    def chunk(self, kind: str, flags: int, level: int, payload: bytes) -> None:
        name = kind.encode("ascii")
        self._listed(INDEX_ROW.pack(name, flags, level, self.position, len(payload)))
        self._put(CHUNK.pack(name, flags, level, len(payload), checksum(name, flags, level, payload)))
        self._put(payload)

    def _listed(self, row: bytes) -> None:
        self.index.append(row)
        if len(self.index) > MAX_CHUNKS:
            raise UsageError(f"more than {MAX_CHUNKS} chunks in one file")


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
