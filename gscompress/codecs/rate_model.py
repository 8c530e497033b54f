"""What a Gaussian's values cost in bits, as a function smooth enough to descend: the adaptive entropy coder of the
default codec, seen from its own statistics.

The coder learns how often each symbol of a column comes in a class of precision. So do the tables here, from the
symbols as they are now; between two symbols the cost is a straight line. DC and the largest scale are taken relative to
the mean of their neighbours, as the coder's context does. Bits of positions and rotations follow from the scales alone:
a thin Gaussian needs a finer position, an elongated one a finer turn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.codecs.geometry import widen
from gscompress.codecs.part import log2_cells
from gscompress.codecs.plan import Plan
from gscompress.codecs.positions import encode_coarse, wanted_levels
from gscompress.codecs.reconstruction import log_opacity
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


class Tables:
    """Bits per symbol, (CLASSES, C, 2 * _REACH + 1) float32, of a plane with C columns."""

    def __init__(self, values: F32, steps: F64, classes: I64) -> None:
        """values: (N, C), what the symbols stand for. steps, classes: (N,)."""
        columns = values.shape[1]
        symbols = np.clip(np.round(values / steps[:, None]), -_REACH, _REACH).astype(np.int64) + _REACH
        width = 2 * _REACH + 1
        place = (classes[:, None] * columns + np.arange(columns)) * width + symbols
        counts = np.bincount(place.ravel(), minlength=CLASSES * columns * width).reshape(CLASSES, columns, width)
        magnitude = np.abs(np.arange(width) - _REACH)
        total = counts.sum(2, keepdims=True)
        mean = (counts @ magnitude + 1.0)[..., None] / (total + 2.0)
        prior = (mean / (1 + mean)) ** magnitude
        prior /= prior.sum(2, keepdims=True)
        self.bits = -np.log2((counts + _PRIOR * prior) / (total + _PRIOR)).astype(np.float32)

    def slopes(self, values: F32, steps: F64, classes: I64) -> F32:
        """(N, C) bits per unit of ``values``."""
        return _slopes(np.ascontiguousarray(values, np.float32), steps, classes, self.bits)

    def total(self, values: F32, steps: F64, classes: I64) -> float:
        """Bits of all symbols."""
        symbols = np.clip(np.round(values / steps[:, None]), -_REACH, _REACH).astype(np.int64) + _REACH
        return float(self.bits[classes[:, None], np.arange(values.shape[1]), symbols].sum())


@nb.njit(cache=True, nogil=True)
def _slopes(values: F32, steps: F64, classes: I64, bits: F32) -> F32:
    out = np.empty(values.shape, np.float32)
    for i in range(values.shape[0]):
        scale, table = np.float32(1 / steps[i]), bits[classes[i]]
        for j in range(values.shape[1]):
            low = int(min(max(np.floor(values[i, j] * scale), -_REACH), _REACH - 1)) + _REACH
            out[i, j] = (table[j, low + 1] - table[j, low]) * scale
    return out


@dataclass(frozen=True, slots=True)
class Values:
    """What a plan's rows stand for before rounding, or slopes with respect to it.

    log_scales: (N, 3), axes in any order. logit_opacities: (N,). dc: (N, 3) luma and chroma. sh: (N, columns), in the
    fitted basis.
    """

    log_scales: F32
    logit_opacities: F32
    dc: F32
    sh: F32


class Cost:
    """Bits of a plan's rows. The statistics and the neighbours are those of the values it was made with."""

    def __init__(self, values: Values, plan: Plan, known: I64) -> None:
        """known: (N,) levels of the position tree."""
        self._plan, self._known = plan, known
        self._near = nearest_earlier(encode_coarse(plan.shared.box, plan.splats.means)[1])
        steps, shape, colour = plan.shared.steps, plan.classes.shape, plan.classes.colour
        self._step = {name: steps.of(name, shape) for name in ("scale", "opacity")}
        self._step |= {name: steps.of(name, colour) for name in ("dc", "sh")}
        self._of = {"scale": shape, "opacity": shape, "dc": colour, "sh": colour}
        self._centre = {"dc": around(values.dc, self._near), "size": around(self._drops(values)[0][:, :1], self._near)}
        planes = self._planes(values)
        self._tables = {name: Tables(planes[name], self._step[name], self._of[name]) for name in planes}

    def bits(self, values: Values) -> dict[str, float]:
        """Bits by attribute, but for positions and rotations."""
        planes = self._planes(values)
        return {name: t.total(planes[name], self._step[name], self._of[name]) for name, t in self._tables.items()}

    def slopes(self, values: Values) -> Values:
        """Bits per unit of each value."""
        planes = self._planes(values)
        slope = {name: t.slopes(planes[name], self._step[name], self._of[name]) for name, t in self._tables.items()}
        _, widened, order = self._drops(values)
        first, second, third = slope["scale"].T
        scales = np.stack([first + second, third - second, -third], 1) + shape_slopes(widened, self._thin(widened))
        # What is thinner than a pixel's blur hardly moves its widened scale.
        bare = -np.sort(-values.log_scales, axis=1)
        scales *= np.exp(2 * (bare - widened))
        back = np.empty(scales.shape, np.float32)
        np.put_along_axis(back, order, scales.astype(np.float32), axis=1)
        opacity = 1 / (1 + np.exp(-values.logit_opacities))
        logits = (slope["opacity"][:, 0] * (opacity - 1)).astype(np.float32)
        return Values(back, logits, slope["dc"], slope["sh"])

    def _planes(self, values: Values) -> dict[str, F32]:
        drops = self._drops(values)[0]
        drops[:, :1] -= self._centre["size"]
        t = log_opacity(values.logit_opacities).astype(np.float32)
        return {"scale": drops, "opacity": t[:, None], "dc": values.dc - self._centre["dc"], "sh": values.sh}

    def _drops(self, values: Values) -> tuple[F32, F64, I64]:
        """The largest widened scale and how much each next one is smaller; the widened scales; their order."""
        order = np.argsort(-np.asarray(values.log_scales, np.float64), axis=1, kind="stable")
        widened = widen(
            np.take_along_axis(values.log_scales, order, 1).astype(np.float64), self._plan.shared.steps.blur
        )
        drops = np.stack([widened[:, 0], widened[:, 0] - widened[:, 1], widened[:, 1] - widened[:, 2]], 1)
        return drops.astype(np.float32), widened, order

    def _thin(self, widened: F64) -> npt.NDArray[np.bool_]:
        cells = log2_cells(self._plan.shared.steps, self._plan.classes, widened)
        return np.asarray(wanted_levels(self._plan.shared.box, cells) > self._known)


def around(values: F32, near: I32) -> F32:
    """(N, C) mean over the earlier neighbours of each row, zero where there are none. near: (N, n), -1 for none."""
    there = (near >= 0)[:, :, None]
    total = np.where(there, values[near], 0).sum(1)
    return np.asarray(total / np.maximum(there.sum(1), 1), np.float32)


def shape_slopes(widened: F64, thin: npt.NDArray[np.bool_]) -> F64:
    """(N, 3) bits of position and rotation per e-fold of the widened, descending scales.

    thin: (N,) where the thinnest axis decides how many bits a position has.
    """
    out = np.zeros(widened.shape)
    out[:, 2] -= 3 * LOG2E * thin
    lead = widened[:, 0] - widened[:, 1] >= widened[:, 1] - widened[:, 2]
    rows = np.arange(len(widened))
    # Two parameters turn the leading axis against both others, one turns those against each other.
    for long, short, parameters in ((0, 2, 2), (np.where(lead, 1, 0), np.where(lead, 2, 1), 1)):
        apart = widened[rows, long] - widened[rows, short]
        slope = np.where(apart < _ROUND, 0.0, parameters * LOG2E / np.tanh(np.maximum(apart, _ROUND)))
        out[rows, long] += slope
        out[rows, short] -= slope
    return out
