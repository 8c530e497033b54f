"""What a Gaussian's values cost in bits, as a function smooth enough to descend: the adaptive entropy coder of the
default codec, seen from its own statistics.

The coder learns how often each symbol of a column comes in a class of precision. So do the tables here, from the
symbols as they are now; between two symbols the cost is a straight line. DC and the largest scale are taken relative to
the mean of their neighbours, as the coder's context does. Bits of positions and rotations follow from the scales alone:
a thin Gaussian needs a finer position, an elongated one a finer turn.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.codecs.latents import Grid, Latents
from gscompress.codecs.part import log2_cells
from gscompress.codecs.plan import Plan
from gscompress.codecs.positions import encode_coarse, wanted_levels
from gscompress.codecs.steps import CLASSES
from gscompress.entropy.neighbours import nearest_earlier
from gscompress.quant.exact import LOG2E

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
_REACH = 24  # symbols beyond this all cost what the last one does, plus the same slope
_ROUND = 0.25  # log axes closer than this: turns cost little, and their slope would explode
_PRIOR = 16.0  # symbols that a table has seen before the first one: of a geometric law with its mean


def tables(values: npt.NDArray[Any], classes: I64) -> F32:
    """Bits per symbol, (CLASSES, C, 2 * _REACH + 1), of (N, C) values in steps in rows of ``classes`` (N,)."""
    columns, width = values.shape[1], 2 * _REACH + 1
    place = (classes[:, None] * columns + np.arange(columns)) * width + _symbols(values)
    counts = np.bincount(place.ravel(), minlength=CLASSES * columns * width).reshape(CLASSES, columns, width)
    magnitude = np.abs(np.arange(width) - _REACH)
    total = counts.sum(2, keepdims=True)
    mean = (counts @ magnitude + 1.0)[..., None] / (total + 2.0)
    prior = (mean / (1 + mean)) ** magnitude
    prior /= prior.sum(2, keepdims=True)
    return np.asarray(-np.log2((counts + _PRIOR * prior) / (total + _PRIOR)), np.float32)


def total_bits(table: F32, values: npt.NDArray[Any], classes: I64) -> float:
    """Bits of all symbols."""
    return float(table[classes[:, None], np.arange(values.shape[1]), _symbols(values)].sum())


def _symbols(values: npt.NDArray[Any]) -> I64:
    return np.clip(np.round(values), -_REACH, _REACH).astype(np.int64) + _REACH


@nb.njit(cache=True, nogil=True, error_model="numpy")
def slope(value: Any, table: Any) -> Any:
    """Bits per step of a value in steps. table: (2 * _REACH + 1,)."""
    low = int(min(max(math.floor(value), -_REACH), _REACH - 1)) + _REACH
    return table[low + 1] - table[low]


@nb.njit(cache=True, nogil=True, error_model="numpy")
def shape_slopes(first: float, second: float, third: float, thin: bool) -> tuple[float, float, float]:
    """Bits of position and rotation per e-fold of the widened, descending scales.

    thin: whether the thinnest axis decides how many bits the position has.
    """
    a, b, c = 0.0, 0.0, -3.0 * LOG2E if thin else 0.0
    # Two parameters turn the leading axis against both others, one turns those against each other.
    if first - third >= _ROUND:
        bits = 2 * LOG2E / math.tanh(first - third)
        a, c = a + bits, c - bits
    upper, lower = first - second, second - third
    if upper >= lower >= _ROUND:
        bits = LOG2E / math.tanh(lower)
        b, c = b + bits, c - bits
    elif lower > upper >= _ROUND:
        bits = LOG2E / math.tanh(upper)
        a, b = a + bits, b - bits
    return a, b, c


class Prices(NamedTuple):
    """Of a plan's rows: statistics and neighbours of the values that they were made with.

    scale (of the largest and two drops), opacity, dc, sh: ``tables``. size (N,), luma_chroma (N, 3): the neighbours'
    mean, of the largest widened log scale and of DC in steps. thin (N,): see ``shape_slopes``.
    """

    scale: F32
    opacity: F32
    dc: F32
    sh: F32
    size: F64
    luma_chroma: F32
    thin: npt.NDArray[np.bool_]


def prices_of(latents: Latents, plan: Plan, grid: Grid, known: I64) -> Prices:
    """known: (N,) levels of the position tree."""
    near = nearest_earlier(encode_coarse(plan.shared.box, plan.splats.means)[1])
    widened = -np.sort(-latents.scales, axis=1)
    size = around(widened[:, :1].astype(np.float32), near)[:, 0].astype(np.float64)
    luma_chroma = around(latents.colours[:, :3] * grid.colour[:, :1], near) / grid.colour[:, :1]
    cells = log2_cells(plan.shared.steps, plan.classes, widened)
    planes = _planes(latents, grid, size, luma_chroma)
    made = {name: tables(plane, classes) for name, (plane, classes) in planes.items()}
    return Prices(
        **made, size=size, luma_chroma=luma_chroma, thin=np.asarray(wanted_levels(plan.shared.box, cells) > known)
    )


def bits(latents: Latents, grid: Grid, prices: Prices) -> dict[str, float]:
    """Bits by attribute, but for positions and rotations."""
    planes = _planes(latents, grid, prices.size, prices.luma_chroma)
    return {name: total_bits(getattr(prices, name), *plane) for name, plane in planes.items()}


def _planes(latents: Latents, grid: Grid, size: F64, luma_chroma: F32) -> dict[str, tuple[npt.NDArray[Any], I64]]:
    """What each table is about: (N, C) values in steps, and classes (N,)."""
    widened = -np.sort(-latents.scales, axis=1)
    drops = np.stack([widened[:, 0] - size, widened[:, 0] - widened[:, 1], widened[:, 1] - widened[:, 2]], 1)
    return {
        "scale": (drops / grid.scale[:, None], grid.shapes),
        "opacity": ((latents.opacities / grid.opacity)[:, None], grid.shapes),
        "dc": (latents.colours[:, :3] - luma_chroma, grid.colours),
        "sh": (latents.colours[:, 3:], grid.colours),
    }


def around(values: F32, near: I32) -> F32:
    """(N, C) mean over the earlier neighbours of each row, zero where there are none. near: (N, n), -1 for none."""
    there = (near >= 0)[:, :, None]
    total = np.where(there, values[near], 0).sum(1)
    return np.asarray(total / np.maximum(there.sum(1), 1), np.float32)
