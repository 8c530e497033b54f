"""Bytes that SPEC.md fixes: magic, version, chunk header, index and end marker."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

MAGIC = b"\x89GSC\r\n\x1a\n"
MAJOR, MINOR = 1, 0
PREAMBLE = struct.Struct("<8sHH")  # magic, version major, version minor
CHUNK = struct.Struct("<4sBBQI")  # type, flags, level, payload length, crc32
INDEX_ROW = struct.Struct("<4sBBQQ")  # type, flags, level, file offset of the chunk header, payload length
END_PAYLOAD = struct.Struct("<Q")  # file offset of the INDX chunk header

HEAD, INDX, END = "HEAD", "INDX", "FEND"
STRUCTURAL = frozenset({HEAD, INDX, END})
COMPLETE = 0x01
"""Flag of a codec chunk: it and all before it decode to a picture without holes (the last chunk of its level)."""

END_SIZE = CHUNK.size + END_PAYLOAD.size
MAX_HEADER = 1 << 20
MAX_CHUNKS = 1 << 20


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a chunk lies: ``offset`` of its header and ``length`` of its payload, in bytes."""

    kind: str
    flags: int
    level: int
    offset: int
    length: int
    crc: int

    @property
    def payload(self) -> slice:
        start = self.offset + CHUNK.size
        return slice(start, start + self.length)

    @property
    def complete(self) -> bool:
        return bool(self.flags & COMPLETE)

    @property
    def ancillary(self) -> bool:
        return self.kind[0].islower()


def checksum(kind: bytes, flags: int, level: int, payload: bytes | memoryview) -> int:
    """CRC-32 (IEEE 802.3, that of PNG and zip) over type, flags, level and payload."""
    return zlib.crc32(payload, zlib.crc32(kind + bytes([flags, level])))
