"""A colour field as integers and streams. What a decoder computes from them takes no part in decoding any symbol."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gscompress.codecs.field import Domain, Weights
from gscompress.codecs.field_grid import FEATURES
from gscompress.codecs.field_net import BANDS
from gscompress.codecs.geometry import decode_one, encode_one
from gscompress.entropy.plane import PlaneDecoder, PlaneEncoder, Shape, Side
from gscompress.errors import UnreadableError

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
NET_STEP = 2.0**-10
MOST_LEVELS, MOST_ENTRIES, MOST_WIDTH = 32, 1 << 22, 256
_HEAD = struct.Struct("<4dBBHf")  # centre, radius, levels, log2 of table entries per level, hidden values, table step
_NET = Shape(columns=1, first_classes=1, second_classes=1, signed=True)
_MOST_CELLS = 1 << 20


@dataclass(frozen=True, slots=True)
class StoredField:
    """table (L, T, 2) in units of ``step``; net: the other weights in units of NET_STEP, one after the other."""

    domain: Domain
    step: float
    table: I32
    net: I32
    width: int

    @staticmethod
    def of(domain: Domain, weights: Weights, step: float) -> StoredField:
        """Round weights; the table to -127 .. 127 steps."""
        table = np.clip(np.rint(weights.table / np.float32(step)), -127, 127).astype(np.int32)
        net = np.concatenate([array.reshape(-1) for array in weights.arrays()[1:]])
        return StoredField(
            domain, step, table, np.rint(net / np.float32(NET_STEP)).astype(np.int32), weights.w1.shape[1]
        )

    def weights(self) -> Weights:
        """As a decoder has them: integers times powers of two, no rounding."""
        net = self.net.astype(np.float32) * np.float32(NET_STEP)
        parts, start = [], 0
        for shape in _net_shapes(len(self.table), self.width):
            stop = start + int(np.prod(shape))
            parts.append(net[start:stop].reshape(shape))
            start = stop
        return Weights(self.table.astype(np.float32) * np.float32(self.step), *parts)

    def pack(self) -> dict[str, bytes]:
        levels, entries, _ = self.table.shape
        head = _HEAD.pack(
            *self.domain.centre, self.domain.radius, levels, entries.bit_length() - 1, self.width, self.step
        )
        coder = PlaneEncoder(_table_shape(levels))
        for level, rows in enumerate(_used(self.domain, entries)):
            coder.add(np.ascontiguousarray(self.table[level, :rows]), _table_side(level, rows))
        net = encode_one(_NET, self.net[:, None], Side())
        return {
            "field.domain": head + self.domain.cells.astype("<u4").tobytes(),
            "field.table": coder.finish(),
            "field.net": net,
        }

    @staticmethod
    def unpack(streams: Mapping[str, bytes]) -> StoredField:
        """Raises UnreadableError, KeyError for a missing stream."""
        head = streams["field.domain"]
        if len(head) < _HEAD.size:
            raise UnreadableError("the colour field's header is cut short: the file is corrupt")
        x, y, z, radius, levels, log2_entries, width, step = _HEAD.unpack_from(head)
        possible = 0 < levels <= MOST_LEVELS and 0 < width <= MOST_WIDTH and levels << log2_entries <= MOST_ENTRIES
        if not possible or len(head) != _HEAD.size + 4 * levels:
            raise UnreadableError("the colour field has an impossible size: the file is corrupt")
        cells = np.frombuffer(head, "<u4", offset=_HEAD.size).astype(np.int64)
        numbers = np.array([x, y, z, radius, step])
        if not np.isfinite(numbers).all() or radius <= 0 or not 0 < step < 1e3 or np.abs(numbers).max() > 1e30:
            raise UnreadableError("the colour field's domain is out of range: the file is corrupt")
        if cells.min() < 1 or cells.max() > _MOST_CELLS:
            raise UnreadableError("the colour field's grid is out of range: the file is corrupt")
        domain = Domain((x, y, z), radius, cells)
        table = np.zeros((levels, 1 << log2_entries, FEATURES), np.int32)
        coder = PlaneDecoder(streams["field.table"], _table_shape(levels))
        for level, rows in enumerate(_used(domain, table.shape[1])):
            table[level, :rows] = coder.take(rows, _table_side(level, rows))
        coder.finish()
        count = sum(int(np.prod(shape)) for shape in _net_shapes(levels, width))
        net = decode_one(_NET, streams["field.net"], count, Side())[:, 0].astype(np.int32)
        return StoredField(domain, step, np.clip(table, -127, 127), net, width)


def _net_shapes(levels: int, width: int) -> tuple[tuple[int, ...], ...]:
    return (levels * FEATURES, width), (BANDS, width), (width, 3), (3,)


def _used(domain: Domain, entries: int) -> Iterator[int]:
    """How many entries of each level's table its grid can reach."""
    return (min((int(cells) + 1) ** 3, entries) for cells in domain.cells)


def _table_shape(levels: int) -> Shape:
    return Shape(columns=FEATURES, first_classes=levels, second_classes=1, signed=True)


def _table_side(level: int, rows: int) -> Side:
    return Side(first=np.full(rows, level, np.uint16))
