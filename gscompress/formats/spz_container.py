"""The bytes around the streams of an SPZ file: header, gzip (versions 1 to 3) or zstd with a table (version 4).

Extensions are records of type u32, length u32 and payload: after the streams in the old layout, between header and
table in version 4. Only Adobe's coordinate system is understood, the others are skipped as the specification asks.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zstandard

from gscompress.errors import UnreadableError
from gscompress.events import EventLog
from gscompress.formats.limits import check_expansion
from gscompress.formats.spz_pack import Packed, row_bytes
from gscompress.frame import RUB, Frame

MAGIC = b"NGSP"
GZIP = b"\x1f\x8b"
MAX_DEGREE = 4
# The numbers of the specification's sixteen axis systems, from 1. Its second half writes F and B in the middle.
AXES = "LDB RDB LUB RUB LDF RDF LUF RUF LFD RFD LFU RFU LBD RBD LBU RBU".split()  # noqa: SIM905
_OLD = struct.Struct("<4sIIBBBB")
_NEW = struct.Struct("<4sIIBBBBI12x")
_ENTRY = struct.Struct("<QQ")
_RECORD = struct.Struct("<II")
_ANTIALIASED, _HAS_EXTENSIONS = 1, 2
_COORDINATE_SYSTEM = 0xADBE0003
_STREAM_NAMES = ("positions", "alphas", "colors", "scales", "rotations", "sh")


@dataclass(frozen=True, slots=True)
class Header:
    """The fields that all versions share. degree: of SH, 0 to 4. flags: bit 0 antialiased, bit 1 has extensions."""

    version: int
    count: int
    degree: int
    fractional_bits: int
    flags: int

    @property
    def antialiased(self) -> bool:
        return bool(self.flags & _ANTIALIASED)

    @property
    def extended(self) -> bool:
        return bool(self.flags & _HAS_EXTENSIONS)

    def check(self, path: Path, stored: int) -> None:
        """Raises UnreadableError when the values make no sense for a file of ``stored`` bytes."""
        if not 1 <= self.version <= 4:
            raise UnreadableError(f"{path}: SPZ version {self.version}, expected 1 to 4: written by a newer program?")
        if self.degree > MAX_DEGREE:
            raise UnreadableError(f"{path}: SH degree {self.degree}, expected 0 to {MAX_DEGREE}")
        if self.fractional_bits > 30:
            raise UnreadableError(f"{path}: {self.fractional_bits} fractional bits, expected at most 30")
        check_expansion(path, self.count, min((self.degree + 1) ** 2, 16), stored)


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that an SPZ file says."""

    header: Header
    frame: Frame
    packed: Packed


def is_spz(head: bytes) -> bool:
    """Whether the first bytes are those of an SPZ file of any version, gzipped or not."""
    if head[:2] == GZIP:
        try:
            return zlib.decompressobj(31).decompress(head, 4) == MAGIC
        except zlib.error:
            return False
    return head[:4] == MAGIC


def parse(path: Path, data: bytes, log: EventLog) -> Content:
    """Split a whole file into its streams. Raises UnreadableError."""
    if data[:2] == GZIP:
        return _parse_old(path, _gunzip(path, data), log)
    if int.from_bytes(data[4:8], "little") < 4:
        return _parse_old(path, data, log)
    return _parse_v4(path, data, log)


def build(packed: Packed, header: Header, frame: Frame, level: int) -> bytes:
    """The bytes of a version 3 or 4 file; the extension flag follows from the frame."""
    extensions = b""
    if frame != RUB:
        extensions = _RECORD.pack(_COORDINATE_SYSTEM, 4) + struct.pack("<I", AXES.index(frame.axes) + 1)
    flags = header.flags & _ANTIALIASED | _HAS_EXTENSIONS * bool(extensions)
    fixed = (MAGIC, header.version, header.count, header.degree, header.fractional_bits, flags)
    streams = [stream.tobytes() for stream in packed.streams() if stream.size]
    if header.version < 4:
        body = _OLD.pack(*fixed, 0) + b"".join(streams) + extensions
        return gzip.compress(body, compresslevel=min(level, 9), mtime=0)
    compressor = zstandard.ZstdCompressor(level=level)
    chunks = [compressor.compress(stream) for stream in streams]
    table = b"".join(_ENTRY.pack(len(c), len(s)) for c, s in zip(chunks, streams, strict=True))
    return b"".join([_NEW.pack(*fixed, len(streams), _NEW.size + len(extensions)), extensions, table, *chunks])


def _gunzip(path: Path, data: bytes) -> bytes:
    """Unpack no more than what the header inside asks for."""
    try:
        head = zlib.decompressobj(31).decompress(data, _OLD.size)
        header = _header(path, head, _OLD)
        header.check(path, len(data))
        # Extensions follow the streams; a megabyte is far more than any known one needs.
        wanted = _OLD.size + header.count * sum(row_bytes(header.version, header.degree)) + (1 << 20)
        return zlib.decompressobj(31).decompress(data, wanted)
    except zlib.error as error:
        raise UnreadableError(f"{path}: the gzip stream is damaged: {error}") from None


def _header(path: Path, data: bytes, layout: struct.Struct) -> Header:
    if len(data) < layout.size:
        raise UnreadableError(f"{path}: the file ends inside the SPZ header")
    magic, version, count, degree, fractional_bits, flags, *_ = layout.unpack_from(data)
    if magic != MAGIC:
        raise UnreadableError(f"{path}: not an SPZ file (no NGSP at its start)")
    return Header(version, count, degree, fractional_bits, flags)


def _parse_old(path: Path, data: bytes, log: EventLog) -> Content:
    header = _header(path, data, _OLD)
    header.check(path, len(data))
    position, streams = _OLD.size, []
    for name, width in zip(_STREAM_NAMES, row_bytes(header.version, header.degree), strict=True):
        end = position + header.count * width
        if end > len(data):
            raise UnreadableError(f"{path}: cut off inside {name}: {header.count:,} Gaussians were announced")
        streams.append(data[position:end])
        position = end
    return Content(header, _frame(path, data[position:] if header.extended else b"", log), _packed(header, streams))


def _parse_v4(path: Path, data: bytes, log: EventLog) -> Content:
    header = _header(path, data, _NEW)
    header.check(path, len(data))
    number, toc = data[15], int.from_bytes(data[16:20], "little")
    sizes = [header.count * width for width in row_bytes(header.version, header.degree)]
    present = [i for i, size in enumerate(sizes) if size]
    position = toc + number * _ENTRY.size
    if number != len(present) or toc < _NEW.size or position > len(data):
        raise UnreadableError(f"{path}: the table of {number} streams at byte {toc} does not fit the file")
    streams = [b""] * len(sizes)
    for row, index in enumerate(present):
        stored, unpacked = _ENTRY.unpack_from(data, toc + row * _ENTRY.size)
        name = _STREAM_NAMES[index]
        if unpacked != sizes[index]:
            raise UnreadableError(f"{path}: {name} has {unpacked:,} bytes, expected {sizes[index]:,}")
        if position + stored > len(data):
            raise UnreadableError(f"{path}: cut off inside {name}")
        streams[index] = _unzstd(path, name, data[position : position + stored], unpacked)
        position += stored
    frame = _frame(path, data[_NEW.size : toc] if header.extended else b"", log)
    return Content(header, frame, _packed(header, streams))


def _unzstd(path: Path, name: str, chunk: bytes, size: int) -> bytes:
    """Exactly ``size`` bytes, whatever size the frame itself claims."""
    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(chunk) as reader:
            out = reader.read(size)
            surplus = reader.read(1)
    except zstandard.ZstdError as error:
        raise UnreadableError(f"{path}: {name} is damaged: {error}") from None
    if len(out) != size or surplus:
        raise UnreadableError(f"{path}: {name} does not unpack to the {size:,} bytes of the table")
    return out


def _frame(path: Path, records: bytes, log: EventLog) -> Frame:
    """The axes that the extension records name, or right-up-back."""
    frame, position = RUB, 0
    while position + _RECORD.size <= len(records):
        kind, length = _RECORD.unpack_from(records, position)
        payload = records[position + _RECORD.size : position + _RECORD.size + length]
        position += _RECORD.size + length
        if len(payload) < length:
            raise UnreadableError(f"{path}: cut off inside an extension")
        if kind != _COORDINATE_SYSTEM:
            log.info(f"{path.name}: extension {kind:#010x} ({length} bytes) is skipped")
            continue
        number = int.from_bytes(payload, "little")
        if not 1 <= number <= len(AXES):
            raise UnreadableError(f"{path}: unknown coordinate system {number} in an extension")
        frame = Frame(AXES[number - 1])
    return frame


def _packed(header: Header, streams: list[bytes]) -> Packed:
    positions, alphas, colors, scales, rotations, sh = (np.frombuffer(stream, np.uint8) for stream in streams)
    return Packed(
        positions.reshape(header.count, 6 if header.version == 1 else 9),
        alphas,
        colors.reshape(-1, 3),
        scales.reshape(-1, 3),
        rotations.reshape(header.count, 3 if header.version < 3 else 4),
        sh.reshape(header.count, (header.degree + 1) ** 2 - 1, 3),
    )
