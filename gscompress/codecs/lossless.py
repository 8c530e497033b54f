"""Bit-exact storage of every float, NaN payloads and negative zeros included.

The order of Gaussians carries no meaning in a splat scene, so rows are stored in Morton order, which makes neighbours
alike; all columns of a row (extras too) move together. Positions then cost what their set costs, not their order
(entropy/octree.py); the other attributes go through entropy/float_columns.py, after rows that repeat an earlier one
(densification clones Gaussians, and leaves many with the SH they were born with) are replaced by a reference.
"""

from __future__ import annotations

import json
import lzma
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from gscompress.codecs.base import Codec
from gscompress.container.chunk import Chunk
from gscompress.context import Context
from gscompress.entropy.float_columns import decode_columns, encode_columns
from gscompress.entropy.octree import LEVELS, decode_tree, encode_tree, morton_order
from gscompress.entropy.raw_bits import pack_refinement, unpack_refinement
from gscompress.errors import UnreadableError, UsageError
from gscompress.recipe import Recipe
from gscompress.scene import Scene, Splats

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]
_COLUMNS = {"scales": 3, "rotations": 4, "opacity": 1, "sh0": 3}
_WORTH_REFERENCES = 0.02  # share of repeated rows from which references pay
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 22}]  # 45 MB to encode
_FREE_BYTES, _MAX_RATIO = 384 << 20, 8192  # a file may unpack to the first, or to the second times its size
_INFO = struct.Struct("<QB")  # Gaussians, SH degree


@dataclass(frozen=True)
class LosslessCodec(Codec):
    """Levels are SH degrees: the base has degree 0, level d adds the band of degree d."""

    name: ClassVar[str] = "lossless"
    version: ClassVar[int] = 1

    def encode(self, scene: Scene, ctx: Context) -> Iterator[Chunk]:
        splats = scene.splats
        splats = splats.take(morton_order(_ordered(splats.means) >> 2))
        columns = {
            "scales": splats.log_scales,
            "rotations": splats.quats,
            "opacity": splats.logit_opacities[:, None],
            "sh0": splats.sh[:, 0],
        }
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            coded = {name: pool.submit(_pack, values) for name, values in columns.items()}
            bands = {d: pool.submit(_pack, _band(splats.sh, d), 3) for d in range(1, splats.sh_degree + 1)}
            streams = {"info": _INFO.pack(len(splats), splats.sh_degree), **_pack_means(_ordered(splats.means))}
            streams |= {name: future.result() for name, future in coded.items()}
            if splats.extras:
                streams["extras"] = _pack_extras(splats.extras)
            yield Chunk("BASE", 0, streams)
            for degree, future in bands.items():
                yield Chunk("FINE", degree, {f"sh{degree}": future.result()})

    def decode(self, chunks: Iterable[Chunk]) -> Iterator[Scene]:
        stored = iter(chunks)
        for first in stored:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                splats = _base(first.streams, pool)
                yield Scene(splats)
                bands = [
                    pool.submit(_unpack, chunk.streams[f"sh{degree}"], len(splats), 3 * (2 * degree + 1), 3)
                    for degree, chunk in enumerate(stored, 1)
                ]
                for degree, future in enumerate(bands, 1):
                    band = future.result().reshape(len(splats), 2 * degree + 1, 3)
                    splats = replace(splats, sh=np.concatenate([splats.sh, band], axis=1))
                    yield Scene(splats)


LOSSLESS = Recipe("lossless", "every float bit-exact, order of Gaussians free", (), LosslessCodec())


def _band(sh: npt.NDArray[np.float32], degree: int) -> npt.NDArray[np.float32]:
    """(N, 3 (2 degree + 1)) the coefficients of one degree, colours next to each other."""
    return sh[:, degree**2 : (degree + 1) ** 2].reshape(len(sh), 3 * (2 * degree + 1))


def _base(streams: Mapping[str, bytes], pool: ThreadPoolExecutor) -> Splats:
    rows, degree = _INFO.unpack(streams["info"])
    unpacked = rows * 4 * (11 + 3 * (degree + 1) ** 2)
    if degree > 3 or unpacked > max(_FREE_BYTES, _MAX_RATIO * sum(map(len, streams.values()))):
        raise UnreadableError(f"claims {rows:,} Gaussians: refused as corrupt or a decompression bomb")
    decoded = pool.map(lambda name: _unpack(streams[name], rows, _COLUMNS[name]), _COLUMNS)
    columns = dict(zip(_COLUMNS, decoded))
    return Splats(
        _unpack_means(streams, rows),
        columns["scales"],
        columns["rotations"],
        columns["opacity"][:, 0],
        columns["sh0"][:, None, :],
        _unpack_extras(streams["extras"], rows) if "extras" in streams else {},
    )


def _ordered(values: npt.NDArray[np.float32]) -> I64:
    """Float32 bit patterns as integers in the floats' own order."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31)).astype(np.int64)


def _pack_means(whole: I64) -> dict[str, bytes]:
    """The upper 30 bits of each coordinate as a tree, with what lies below its leaves; the lower 2 bits as they are."""
    upper = whole >> 2
    tree, known = encode_tree(upper)
    lower = np.packbits(np.unpackbits((whole & 3).astype(np.uint8)[..., None], axis=-1)[..., 6:]).tobytes()
    return {"positions": tree, "positions_raw": pack_refinement(upper, known, np.full(len(upper), LEVELS)) + lower}


def _unpack_means(streams: Mapping[str, bytes], rows: int) -> npt.NDArray[np.float32]:
    raw, tail = streams["positions_raw"], (6 * rows + 7) // 8
    upper, known = decode_tree(streams["positions"], rows)
    if len(raw) < tail:
        raise UnreadableError("the position bits are cut short: the file is corrupt")
    upper = unpack_refinement(raw[: len(raw) - tail], upper, known, np.full(rows, LEVELS))
    bits = np.unpackbits(np.frombuffer(raw, np.uint8, tail, len(raw) - tail), count=6 * rows).reshape(rows, 3, 2)
    whole = (upper << 2 | bits[..., 0] << 1 | bits[..., 1]).astype(np.uint32)
    return np.where(whole >> 31, whole & np.uint32((1 << 31) - 1), ~whole).view(np.float32)


def _pack(values: npt.NDArray[np.float32], stride: int = 1) -> bytes:
    """(N, C) floats: length of the reference map, the map, the rows that repeat no earlier one."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    plain = struct.pack("<I", 0) + encode_columns(bits, stride)
    back = _references(bits)
    if np.count_nonzero(back) <= _WORTH_REFERENCES * len(bits):
        return plain
    squeezed = _squeeze(back)
    with_map = struct.pack("<I", len(squeezed)) + squeezed + encode_columns(bits[back == 0], stride)
    return min(plain, with_map, key=len)


def _unpack(data: bytes, rows: int, columns: int, stride: int = 1) -> npt.NDArray[np.float32]:
    (length,) = struct.unpack_from("<I", data)
    if not length:
        return decode_columns(data[4:], rows, columns, stride).view(np.float32)
    back = _expand(data[4 : 4 + length], np.dtype("<u4"), rows).astype(np.int64)
    source = np.arange(rows) - back
    if (source < 0).any():
        raise UnreadableError("a row refers to one before the first: the file is corrupt")
    fresh = back == 0
    number = np.cumsum(fresh) - 1  # which of the fresh rows each row is, where it is one
    while not fresh[source].all():
        source = source[source]
    return decode_columns(data[4 + length :], int(fresh.sum()), columns, stride)[number[source]].view(np.float32)


def _references(bits: U32) -> U32:
    """(N,) how many rows back the latest equal row lies, 0 where there is none."""
    rows = np.ascontiguousarray(bits).view(f"V{4 * bits.shape[1]}").ravel()
    _, kind = np.unique(rows, return_inverse=True)
    order = np.argsort(kind, kind="stable")
    repeats = np.diff(kind[order], prepend=-1) == 0
    back = np.zeros(len(bits), np.uint32)
    back[order[repeats]] = np.diff(order, prepend=0)[repeats]
    return back


def _pack_extras(extras: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """A JSON table of contents and one squeezed stream per column, each preceded by its length."""
    table, parts = [], []
    for name, values in extras.items():
        if values.dtype.kind not in "biuf":
            raise UsageError(f"extra column '{name}' is of type {values.dtype}, which cannot be stored losslessly")
        stored = values.astype(values.dtype.newbyteorder("<"))
        packed = _squeeze(stored)
        table.append([name, stored.dtype.str, list(values.shape[1:]), len(packed)])
        parts.append(packed)
    head = json.dumps(table).encode("ascii")
    return struct.pack("<I", len(head)) + head + b"".join(parts)


def _unpack_extras(data: bytes, rows: int) -> dict[str, npt.NDArray[Any]]:
    (length,) = struct.unpack_from("<I", data)
    position, out = 4 + length, {}
    for name, kind, shape, size in json.loads(data[4:position]):
        dtype = np.dtype(kind)
        if dtype.kind not in "biuf" or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise UnreadableError(f"extra column '{name}' has an impossible type: the file is corrupt")
        flat = _expand(data[position : position + size], dtype, rows * int(np.prod(shape, dtype=object)))
        out[str(name)] = flat.reshape(rows, *shape).astype(dtype.newbyteorder("="))
        position += size
    return out


def _squeeze(values: npt.NDArray[Any]) -> bytes:
    """Byte planes (all lowest bytes, then all second, …) through LZMA."""
    flat = np.ascontiguousarray(values).reshape(-1)
    planes = np.ascontiguousarray(flat.view(np.uint8).reshape(len(flat), flat.itemsize).T)
    return lzma.compress(planes.tobytes(), format=lzma.FORMAT_RAW, filters=_FILTERS)


def _expand(data: bytes, dtype: np.dtype[Any], count: int) -> npt.NDArray[Any]:
    """The reverse, for ``count`` values. Raises UnreadableError when the stream does not hold exactly these."""
    size = count * dtype.itemsize
    if size > max(_FREE_BYTES, _MAX_RATIO * len(data)):
        raise UnreadableError(f"claims {size:,} bytes of extra columns: refused as corrupt or a decompression bomb")
    machine = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_FILTERS)
    planes = machine.decompress(data, max_length=size + 1)
    if len(planes) != size or not machine.eof:
        raise UnreadableError("a squeezed stream has the wrong length: the file is corrupt")
    return np.ascontiguousarray(np.frombuffer(planes, np.uint8).reshape(dtype.itemsize, count).T).view(dtype).ravel()
