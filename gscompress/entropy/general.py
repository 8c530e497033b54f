"""General-purpose byte compression (zstd or xz) that is safe to undo on bytes from strangers.

What was packed says itself how (both formats start with their magic number). Unpacking stops at the caller's limit and
never allocates from a size that the data merely claims.
"""

from __future__ import annotations

import lzma

import zstandard

from gscompress.errors import UnreadableError

METHODS = ("zstd", "xz")
_ZSTD, _XZ = b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\x00"
_WINDOW = 1 << 27  # largest window of zstd, and
_DICTIONARY = 1 << 28  # memory of xz, that a file may ask for
_PIECE = 1 << 20  # unpacked bytes asked of xz at once
_SIP = 1 << 10  # packed bytes given to zstd at once: 32 MB unpacked at most
_CUT = "compressed bytes end early: the file is corrupt"
_MORE = "bytes follow the compressed ones: the file is corrupt"


def pack(data: bytes, method: str = "zstd", level: int | None = None) -> bytes:
    """Compress with ``method`` "zstd" (level 1 to 22, 12 by default) or "xz" (0 to 9, 6 by default)."""
    if method == "zstd":
        return zstandard.ZstdCompressor(level=12 if level is None else level, write_checksum=True).compress(data)
    if method == "xz":
        return lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_CRC32, 6 if level is None else level)
    raise ValueError(f"no compression method {method!r}: there are {', '.join(METHODS)}")


def unpack(data: bytes, limit: int) -> bytes:
    """The reverse, at most ``limit`` bytes. Raises UnreadableError for corrupt, cut, longer or other data."""
    pieces: list[bytes] = []
    if data.startswith(_ZSTD):
        _unzstd(data, limit, pieces)
    elif data.startswith(_XZ):
        _unxz(data, limit, pieces)
    else:
        raise UnreadableError("neither zstd nor xz: the file is corrupt")
    return b"".join(pieces)


def _take(pieces: list[bytes], piece: bytes, room: int) -> int:
    if len(piece) > room:
        raise UnreadableError("compressed bytes unpack to more than is allowed: corrupt, or a decompression bomb")
    pieces.append(piece)
    return room - len(piece)


def _unzstd(data: bytes, room: int, pieces: list[bytes]) -> None:
    unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()
    try:
        for start in range(0, len(data), _SIP):
            if unpacker.eof:
                raise UnreadableError(_MORE)
            room = _take(pieces, unpacker.decompress(data[start : start + _SIP]), room)
    except zstandard.ZstdError as error:
        raise UnreadableError(f"zstd cannot unpack: {error}") from None
    if unpacker.unused_data or not unpacker.eof:
        raise UnreadableError(_MORE if unpacker.eof else _CUT)


def _unxz(data: bytes, room: int, pieces: list[bytes]) -> None:
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, _DICTIONARY)
    rest = data
    try:
        while not unpacker.eof:
            if unpacker.needs_input and not rest:
                raise UnreadableError(_CUT)
            room = _take(pieces, unpacker.decompress(rest, min(_PIECE, room + 1)), room)
            rest = b""
    except lzma.LZMAError as error:
        raise UnreadableError(f"xz cannot unpack: {error}") from None
    if unpacker.unused_data:
        raise UnreadableError(_MORE)
