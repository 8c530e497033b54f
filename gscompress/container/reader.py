"""Read a ``.gscz`` file: bounds first, checksums on use, and as many levels as a cut-off file still has."""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Collection, Iterator
from typing import Any

from gscompress.container.chunk import Chunk, stream_sizes, unpack_streams
from gscompress.container.layout import (
    CHUNK,
    END,
    END_PAYLOAD,
    END_SIZE,
    HEAD,
    INDEX_ROW,
    INDX,
    MAGIC,
    MAJOR,
    MAX_CHUNKS,
    MAX_HEADER,
    PREAMBLE,
    STRUCTURAL,
    Placed,
    checksum,
)
from gscompress.errors import ChecksumError, UnreadableError
from gscompress.ledger import Entry, Ledger

CONTAINER = "container"
"""The ledger's row for everything that is not a codec's stream."""


class Reader:
    """A ``.gscz`` file in memory or mapped. Building one walks the chunk headers and checks HEAD, nothing else.

    placed: every chunk that lies whole in the file, in file order. truncated: the file ends before its end marker.
    header: the JSON object of HEAD. version: (major, minor). Raises UnreadableError, ChecksumError.
    """

    def __init__(self, data: bytes | bytearray | memoryview | mmap.mmap) -> None:
        self._view = memoryview(data).toreadonly().cast("B")
        self.size = len(self._view)
        self.version = self._preamble()
        self.placed, self.truncated = self._walk()
        self.header = self._head()

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Reader:
        """Map a file. Raises UnreadableError."""
        try:
            with open(path, "rb") as stream:
                if os.fstat(stream.fileno()).st_size == 0:
                    raise UnreadableError("the file is empty")
                return cls(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        except OSError as error:
            raise UnreadableError(f"cannot be read: {error.strerror}") from None

    def usable(self) -> tuple[Placed, ...]:
        """The codec's chunks up to the last complete level. Raises UnreadableError when not even one level is there."""
        data = [p for p in self.placed if p.kind not in STRUCTURAL]
        while data and not data[-1].complete:
            data.pop()
        if not data:
            raise UnreadableError("the file is cut off before its first level is complete: nothing can be decoded")
        return tuple(data)

    def chunks(self, kinds: Collection[str], max_level: int | None = None) -> Iterator[Chunk]:
        """Checked chunks of complete levels, in file order; unknown ancillary ones are skipped.

        ``kinds``: the types that the caller understands; another critical type raises UnreadableError.
        """
        for placed in self.usable():
            if placed.kind in kinds:
                if max_level is None or placed.level <= max_level:
                    yield Chunk(placed.kind, placed.level, unpack_streams(self.payload(placed)))
            elif not placed.ancillary:
                raise UnreadableError(
                    f"chunk type '{placed.kind}' is unknown to this gscompress: upgrade to read the file"
                )

    def payload(self, placed: Placed) -> memoryview:
        """The checked payload of a chunk. Raises ChecksumError."""
        payload = self._view[placed.payload]
        found = checksum(placed.kind.encode("ascii"), placed.flags, placed.level, payload)
        if found != placed.crc:
            raise ChecksumError(
                f"chunk {placed.kind} at byte {placed.offset} is corrupt: checksum {found:08x}, stored {placed.crc:08x}"
            )
        return payload

    def raw(self, offset: int, size: int) -> bytes:
        """Bytes of the file as they are, unchecked."""
        return bytes(self._view[offset : offset + size])

    def check(self) -> None:
        """Check every checksum, the index and the end marker. Raises UnreadableError, ChecksumError."""
        for placed in self.placed:
            self.payload(placed)
        if self.truncated:
            raise UnreadableError(f"the file is cut off after {self.size} bytes")
        rows = [
            INDEX_ROW.pack(p.kind.encode("ascii"), p.flags, p.level, p.offset, p.length)
            for p in self.placed
            if p.kind not in (INDX, END)
        ]
        index, end = self.placed[-2:]
        if index.kind != INDX or bytes(self._view[index.payload]) != b"".join(rows):
            raise UnreadableError("the index does not agree with the chunks: the file is corrupt")
        if bytes(self._view[end.payload]) != END_PAYLOAD.pack(index.offset):
            raise UnreadableError("the end marker does not point at the index: the file is corrupt")
        if self.size != end.payload.stop:
            raise UnreadableError(f"{self.size - end.payload.stop} bytes follow the end marker")

    def _preamble(self) -> tuple[int, int]:
        if bytes(self._view[:8]) != MAGIC[: self.size] or not self.size:
            raise UnreadableError("not a .gscz file (its first bytes are not the .gscz signature)")
        if self.size < PREAMBLE.size:
            raise UnreadableError("the file is cut off inside its signature")
        _, major, minor = PREAMBLE.unpack_from(self._view)
        if major != MAJOR:
            raise UnreadableError(
                f"the file has format version {major}.{minor}, this gscompress reads {MAJOR}.x: upgrade gscompress"
            )
        return major, minor

    def _walk(self) -> tuple[tuple[Placed, ...], bool]:
        placed: list[Placed] = []
        position = PREAMBLE.size
        while position + CHUNK.size <= self.size and len(placed) < MAX_CHUNKS:
            name, flags, level, length, crc = CHUNK.unpack_from(self._view, position)
            if not name.isalpha():
                raise UnreadableError(f"no chunk where one should start (byte {position}): the file is corrupt")
            if length > self.size - position - CHUNK.size:
                break
            placed.append(Placed(name.decode("ascii"), flags, level, position, length, crc))
            if name == END.encode():
                return tuple(placed), False
            position += CHUNK.size + length
        if self._ends_properly():
            raise UnreadableError(f"the chunk at byte {position} claims more bytes than there are: the file is corrupt")
        return tuple(placed), True

    def _ends_properly(self) -> bool:
        """Whether the last bytes are an end marker: if so, a chunk that does not fit is damage, not truncation."""
        if self.size < END_SIZE:
            return False
        name, flags, level, length, crc = CHUNK.unpack_from(self._view, self.size - END_SIZE)
        payload = self._view[self.size - END_PAYLOAD.size :]
        return length == END_PAYLOAD.size and name == END.encode() and crc == checksum(name, flags, level, payload)

    def _head(self) -> dict[str, Any]:
        if not self.placed:
            raise UnreadableError("the file is cut off inside its header")
        head = self.placed[0]
        if head.kind != HEAD or head.length > MAX_HEADER:
            raise UnreadableError("the first chunk is no header of at most 1 MiB: the file is corrupt")
        try:
            header = json.loads(bytes(self.payload(head)))
        except (ValueError, RecursionError):
            raise UnreadableError("the header is not JSON: the file is corrupt") from None
        if not isinstance(header, dict):
            raise UnreadableError("the header is not a JSON object: the file is corrupt")
        return header


def ledger(reader: Reader, gaussians: int) -> Ledger:
    """Bytes per stream and level; the sum is the file size. Ancillary chunks are booked under their type."""
    entries = []
    for placed in reader.placed:
        if placed.kind in STRUCTURAL:
            continue
        if placed.ancillary:
            entries.append(Entry(placed.kind, placed.level, placed.length))
            continue
        sizes, _ = stream_sizes(reader.payload(placed))
        entries += [Entry(name, placed.level, size) for name, size in sizes.items()]
    entries.append(Entry(CONTAINER, 0, reader.size - sum(entry.size for entry in entries)))
    return Ledger(tuple(entries), gaussians)
