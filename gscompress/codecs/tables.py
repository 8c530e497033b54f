"""Feature tables of hash grids: rounding by rate and sensitivity, pruning on the way, and one adaptive coder.

Every level has a step; within it, an entry's symbol is the one with the least sensitivity * error^2 + price * bits.
What no ray sees costs nothing to get wrong and becomes what is cheapest, zero, so pruning needs no map of its own.
Steps are whole quarter octaves, so decoding is exact everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.entropy.liveness import Liveness
from gscompress.entropy.plane import PlaneDecoder, PlaneEncoder, Shape, Side
from gscompress.errors import UnreadableError
from gscompress.hash_levels import Levels
from gscompress.quant.rounding import cost_table, rdoq

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
_PRICE = math.log(2) / 12  # squared steps per bit: half the slope of plain rounding,
_COARSER = 2.0  # and squared steps twice as large as it would have: 3 % smaller than 1 and 1
_ROUNDS = 3
_TABLED = 12  # symbols above are priced as this
_CLASSES, _LEVELS = 10, 64
_QUARTERS = (-200, 200)
_LARGEST = (1 << 22) - 1


@dataclass(frozen=True)
class Table:
    """symbols: (rows, F). steps: (L,) quarter octaves: a value is its symbol times 2^(step / 4)."""

    symbols: I64
    steps: I64

    def values(self, levels: Levels) -> F32:
        scale = np.repeat(quarter_octaves(self.steps), levels.sizes)
        return (self.symbols * scale[:, None]).astype(np.float32)


def quarter_octaves(k: npt.NDArray[Any]) -> F64:
    """2^(k / 4), the same bits everywhere."""
    fractions = np.array([1.0, 1.189207115002721, 1.4142135623730951, 1.681792830507429])
    return np.ldexp(fractions[k & 3], k >> 2)


def steps_for(sensitivity: F64, levels: Levels, cost: float) -> I64:
    """(L,) steps, in quarter octaves, at which rounding adds ``cost`` to the squared error per value of mean weight.

    sensitivity: (rows, F) what a squared unit of error costs.
    """
    mean = np.array([sensitivity[levels.rows_of(level)].mean() for level in range(len(levels))])
    return np.clip(np.rint(2 * np.log2(12 * _COARSER * cost / np.maximum(mean, 1e-60))), *_QUARTERS).astype(np.int64)


def quantize(values: F32, sensitivity: F64, levels: Levels, cost: float) -> Table:
    """Round (rows, F) features; ``sensitivity`` and ``cost`` as for ``steps_for``."""
    x, steps = np.asarray(values, np.float64), steps_for(sensitivity, levels, cost)
    symbols = np.zeros(x.shape, np.int64)
    for level in range(len(levels)):
        rows = levels.rows_of(level)
        mean = float(sensitivity[rows].mean())
        if mean > 0:
            scaled = x[rows] / quarter_octaves(steps[level])
            symbols[rows] = _cheapest(np.clip(scaled, -_LARGEST, _LARGEST), sensitivity[rows] / mean)
    return Table(symbols, steps)


def exact(values: F32, steps: I64, levels: Levels) -> Table:
    """The table of (rows, F) values that are multiples of their levels' steps, in quarter octaves, already."""
    scale = np.repeat(quarter_octaves(steps), levels.sizes)
    return Table(np.rint(np.asarray(values, np.float64) / scale[:, None]).astype(np.int64), steps)


def _cheapest(scaled: F64, weights: F64) -> I64:
    """Symbols of one level; what a bit costs follows from the symbols of the round before."""
    symbols = np.rint(scaled).astype(np.int64)
    for _ in range(_ROUNDS):
        size = np.minimum(np.abs(symbols).sum(1), 3)
        before = np.concatenate([[0], size[:-1]]) + np.concatenate([[0, 0], size[:-2]])
        contexts = np.repeat(before[:, None], scaled.shape[1], 1)
        symbols = rdoq(scaled, cost_table(symbols, contexts, 7, _TABLED), contexts, _PRICE, weights)
    return symbols


def encode(tables: Sequence[Table], grids: Sequence[Levels]) -> dict[str, bytes]:
    """Streams "table_steps" and "features", for tables of one width."""
    steps = PlaneEncoder(_steps_shape())
    features = PlaneEncoder(_shape(tables[0].symbols.shape[1]))
    for number, (table, levels) in enumerate(zip(tables, grids)):
        changes = np.diff(table.steps, prepend=0).astype(np.int32)
        steps.add(changes[:, None], Side())
        alive = Liveness(levels)
        for level in range(len(levels)):
            symbols = table.symbols[levels.rows_of(level)]
            features.add(symbols.astype(np.int32), _side(number, level, alive.classes(_CLASSES)))
            alive.learn(symbols)
    return {"table_steps": steps.finish(), "features": features.finish()}


def decode(streams: Mapping[str, bytes], grids: Sequence[Levels], width: int) -> list[Table]:
    """The reverse. Raises UnreadableError."""
    steps, features = (
        PlaneDecoder(streams["table_steps"], _steps_shape()),
        PlaneDecoder(streams["features"], _shape(width)),
    )
    out = []
    for number, levels in enumerate(grids):
        exponents = np.cumsum(steps.take(len(levels), Side())[:, 0].astype(np.int64))
        if not -4096 < exponents.min() <= exponents.max() < 4096:
            raise UnreadableError("a step of the features is out of range: the file is corrupt")
        alive, parts = Liveness(levels), []
        for level in range(len(levels)):
            side = _side(number, level, alive.classes(_CLASSES))
            parts.append(features.take(int(levels.sizes[level]), side).astype(np.int64))
            alive.learn(parts[-1])
        out.append(Table(np.concatenate(parts), exponents))
    steps.finish()
    features.finish()
    return out


def _steps_shape() -> Shape:
    return Shape(columns=1, first_classes=1, second_classes=1, signed=True)


def _shape(width: int) -> Shape:
    return Shape(columns=width, first_classes=_LEVELS, second_classes=_CLASSES, signed=True)


def _side(number: int, level: int, alive: npt.NDArray[np.uint16]) -> Side:
    """Table and level; how many live vertices share an entry; the entries before, which are neighbours along x."""
    count = len(alive)
    first = np.full(count, min(level + _LEVELS // 4 * number, _LEVELS - 1), np.uint16)
    index = np.arange(count, dtype=np.int32)
    near = np.stack([index - 1, index - 2, index - 3, index - 4], 1)
    return Side(first=first, second=alive, near=np.maximum(near, -1))
