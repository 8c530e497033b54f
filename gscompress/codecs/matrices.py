"""Weight matrices of small networks in few bits: second-order rounding, steps by the water-filling rule, one coder.

Columns are rounded one after the other, and those still to come make up for the errors so far (Frantar et al. 2022,
"GPTQ"). With H^-1 = U^T U an error of column j costs e^2 / U_jj^2 whatever comes later, so at equal slope column j
deserves a step in proportion to U_jj, and row o one in proportion to 1 / sqrt(its weight): entropy-coded rounding with
these steps comes within a quarter bit of the rate-distortion bound. A step that outgrows its column prunes it, and the
other columns take over what they can. Steps are whole half octaves, so decoding is exact everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.entropy.plane import PlaneDecoder, PlaneEncoder, Shape, Side
from gscompress.errors import UnreadableError

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
_DAMP = 0.01  # of the mean diagonal, added to it: what few rays measured is not to be believed to the last digit
_LAYERS = 40  # that have statistics of their own
_SIZES = 28  # classes of steps, half octaves
_SCALES = Shape(columns=1, first_classes=2 * _LAYERS, second_classes=1, signed=True)
_WEIGHTS = Shape(columns=1, first_classes=_SIZES, second_classes=_LAYERS, signed=True)
_EXPONENTS = (-120, 120)  # half octaves
_SQRT_HALF = 0.7071067811865476


@dataclass(frozen=True, slots=True)
class Quantized:
    """symbols (out, in); the step of a weight is 2^((row + column) / 2). rows (out,), columns (in,): integers."""

    symbols: I64
    rows: I64
    columns: I64

    def values(self) -> F32:
        return (self.symbols * power(self.rows[:, None] + self.columns)).astype(np.float32)


def power(half_octaves: npt.NDArray[Any]) -> F64:
    """2^(k / 2), the same bits everywhere."""
    up = (half_octaves + 1) >> 1
    return np.ldexp(np.where(half_octaves & 1, _SQRT_HALF, 1.0), up)


def quantize(weights: F32, step: float, moments: F64 | None = None, rows: F64 | None = None) -> Quantized:
    """Round (out, in) weights so that each costs about step^2 / 12 of the pictures' squared error.

    moments: (in, in) second-order cost of a mean row, rows: (out,) weights of the rows; without them every column
    counts as much as any other, in units of the weights' standard deviation.
    """
    w = np.asarray(weights, np.float64)
    count = w.shape[1]
    if moments is None or not moments.trace() > 0:
        moments = np.eye(count) / max(float(w.std()), 1e-12) ** 2
    damped = moments + np.eye(count) * (_DAMP * moments.trace() / count)
    order = np.argsort(-np.diag(damped), kind="stable")
    upper = np.linalg.cholesky(np.linalg.inv(damped[np.ix_(order, order)])).T
    column_exponents = np.empty(count, np.int64)
    column_exponents[order] = _half_octaves(step * np.diag(upper))
    importance = np.ones(len(w)) if rows is None else np.maximum(rows, 1e-6)
    row_exponents = _half_octaves(importance**-0.5)
    row_steps, symbols = power(row_exponents), np.empty(w.shape, np.int64)
    rest = w[:, order]
    for j in range(count):
        steps = row_steps * power(column_exponents[order[j]])
        rounded = np.rint(rest[:, j] / steps)
        symbols[:, order[j]] = rounded
        error = (rest[:, j] - rounded * steps) / upper[j, j]
        rest[:, j + 1 :] -= error[:, None] * upper[j, j + 1 :]
    limit = (1 << 23) - 1
    return Quantized(np.clip(symbols, -limit, limit), row_exponents, column_exponents)


def _half_octaves(x: F64) -> I64:
    return np.clip(np.rint(2 * np.log2(np.maximum(x, 1e-30))), *_EXPONENTS).astype(np.int64)


def encode(matrices: Sequence[Quantized]) -> dict[str, bytes]:
    """Two streams: "steps" and "weights"."""
    scales, weights = PlaneEncoder(_SCALES), PlaneEncoder(_WEIGHTS)
    for number, matrix in enumerate(matrices):
        for which, exponents in enumerate((matrix.rows, matrix.columns)):
            changes = np.diff(exponents, prepend=0).astype(np.int32)
            scales.add(changes[:, None], _scale_side(number, which, len(changes)))
        side = _side(number, matrix.rows, matrix.columns)
        weights.add(np.ascontiguousarray(matrix.symbols.T).reshape(-1, 1).astype(np.int32), side)
    return {"steps": scales.finish(), "weights": weights.finish()}


def decode(streams: Mapping[str, bytes], shapes: Sequence[tuple[int, int]]) -> list[Quantized]:
    """The reverse, for matrices of these (out, in) shapes. Raises UnreadableError."""
    scales, weights = PlaneDecoder(streams["steps"], _SCALES), PlaneDecoder(streams["weights"], _WEIGHTS)
    steps = []
    for number, shape in enumerate(shapes):
        pair = []
        for which, length in enumerate(shape):
            exponents = np.cumsum(scales.take(length, _scale_side(number, which, length))[:, 0].astype(np.int64))
            if exponents.size and not -4096 < exponents.min() <= exponents.max() < 4096:
                raise UnreadableError("a step of the weights is out of range: the file is corrupt")
            pair.append(exponents)
        steps.append(pair)
    scales.finish()
    out = []
    for number, (shape, (rows, columns)) in enumerate(zip(shapes, steps)):
        symbols = weights.take(shape[0] * shape[1], _side(number, rows, columns)).reshape(shape[1], shape[0]).T
        out.append(Quantized(symbols.astype(np.int64), rows, columns))
    weights.finish()
    return out


def _scale_side(number: int, which: int, count: int) -> Side:
    return Side(first=np.full(count, 2 * min(number, _LAYERS - 1) + which, np.uint16))


def _side(number: int, rows: I64, columns: I64) -> Side:
    """Column by column: classes of steps, the layer, and the two neighbours each in the column and in the row."""
    steps = columns[:, None] + rows
    finest = steps.min() if steps.size else 0
    size = np.clip(steps - finest, 0, _SIZES - 1).astype(np.uint16).ravel()
    index = np.arange(steps.size, dtype=np.int32)
    inner = index % max(len(rows), 1)
    near = np.stack(
        [
            index - len(rows),
            np.where(inner >= 1, index - 1, -1),
            index - 2 * len(rows),
            np.where(inner >= 2, index - 2, -1),
        ],
        1,
    )
    layer = np.full(steps.size, min(number, _LAYERS - 1), np.uint16)
    return Side(first=size, second=layer, near=np.maximum(near, -1).astype(np.int32))
