"""General compressors on the bytes of the .ply file: as they are, and with the bytes of every column side by side."""

from __future__ import annotations

import lzma
import tempfile
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from gscompress.bench.peers.base import Peer, Point
from gscompress.errors import GscompressError
from gscompress.events import EventLog
from gscompress.scene import Scene

_END = b"end_header\n"


def transpose(data: bytes) -> bytes:
    """A binary .ply with its rows' first bytes together, then the second ones …; header and row size in front."""
    end = data.find(_END)
    if end < 0:
        raise GscompressError("not a binary .ply with Unix line ends")
    header, body = data[: end + len(_END)], data[end + len(_END) :]
    rows = next((int(line.split()[2]) for line in header.splitlines() if line.startswith(b"element vertex ")), 0)
    stride = len(body) // rows if rows else 0
    if rows * stride != len(body):
        raise GscompressError("the .ply holds more than vertices: its rows cannot be told apart")
    columns = np.frombuffer(body, np.uint8).reshape(rows, stride).T.tobytes() if rows else b""
    return len(header).to_bytes(4, "little") + stride.to_bytes(4, "little") + header + columns


def restore(data: bytes) -> bytes:
    """The inverse of ``transpose``."""
    length, stride = int.from_bytes(data[:4], "little"), int.from_bytes(data[4:8], "little")
    columns = np.frombuffer(data, np.uint8, offset=8 + length)
    return data[8 : 8 + length] + (columns.reshape(stride, -1).T.tobytes() if stride else b"")


class General(Peer):
    """Bytes in, fewer bytes out."""

    @abstractmethod
    def pack(self, data: bytes) -> bytes: ...

    @abstractmethod
    def unpack(self, data: bytes) -> bytes: ...

    def points(self, sh_degree: int) -> Sequence[Point]:
        return [Point("transposed", {"transposed": True}), Point("raw", {"transposed": False})]

    def encode(self, source: Path, target: Path, options: Mapping[str, Any], log: EventLog) -> None:
        data = source.read_bytes()
        shuffled = options["transposed"]
        target.write_bytes(bytes([shuffled]) + self.pack(transpose(data) if shuffled else data))

    def decode(self, stored: Path, log: EventLog) -> Scene:
        from gscompress import formats

        packed = stored.read_bytes()
        data = self.unpack(packed[1:])
        with tempfile.TemporaryDirectory() as folder:
            unpacked = Path(folder) / "decoded.ply"
            unpacked.write_bytes(restore(data) if packed[0] else data)
            return formats.read(unpacked, log)


class Zstd(General):
    name = "zstd"
    title = "zstd -19"
    suffix = ".zst"

    def version(self) -> str:
        return f"zstandard {version('zstandard')}"

    def pack(self, data: bytes) -> bytes:
        import zstandard

        return zstandard.compress(data, 19)

    def unpack(self, data: bytes) -> bytes:
        import zstandard

        return zstandard.decompress(data)


class Xz(General):
    name = "xz"
    title = "xz -6"
    suffix = ".xz"

    def version(self) -> str:
        return "Python's lzma"

    def pack(self, data: bytes) -> bytes:
        return lzma.compress(data)

    def unpack(self, data: bytes) -> bytes:
        return lzma.decompress(data)


class Brotli(General):
    name = "brotli"
    title = "brotli -9"
    suffix = ".br"
    install = "pip install brotli"

    def version(self) -> str | None:
        try:
            return f"brotli {version('brotli')}"
        except PackageNotFoundError:
            return None

    def pack(self, data: bytes) -> bytes:
        import brotli

        return brotli.compress(data, quality=9)

    def unpack(self, data: bytes) -> bytes:
        import brotli

        return brotli.decompress(data)
