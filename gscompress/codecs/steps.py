"""Quantization steps of the default codec: one table of numbers in the file, from which both sides derive every step.

A Gaussian has two classes, one for its shape (position, scales, rotation, opacity) and one for its colour. A class is
an
octave: the step of an attribute is its base times 2^class, up to a cap beyond which the local model of the picture's
error does not hold.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.errors import UnreadableError

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
CLASSES = 8
# The largest step of each attribute: e-fold of scale and opacity, radians, sigmas of the thinnest axis, colour units.
CAPS = {"scale": 0.4, "opacity": 0.7, "turn": 1.2, "position": 3.0, "dc": 1.2, "sh": 64.0}
# d with log2(2 sinh d) = k - 1/2 for k = -4 .. 7: how much a turn changes an ellipse whose log axes differ by d, in
# octaves.
TURN_EDGES = np.array([0.0221, 0.0442, 0.0883, 0.1759, 0.3466, 0.6585, 1.1462, 1.7627, 2.4337, 3.1211, 3.8128, 4.5056])
_LEAN_UNIT = 16
_QUARTER = math.pi / 4


@dataclass(frozen=True, slots=True)
class Steps:
    """Base step of each attribute at class 0, and the pixel blur (scene units) below which widths do not matter.

    scale: ln of the widened scale. opacity: ln opacity. turn: radians at an axis ratio of the golden mean (2 sinh d =
    1).
    position: in sigmas of the thinnest axis. dc, sh: coefficient units. scale_offset, dc_offset: values coded as zero.
    """

    scale: float
    opacity: float
    turn: float
    position: float
    dc: float
    sh: float
    blur: float
    scale_offset: float
    dc_offset: tuple[float, float, float]

    def of(self, attribute: str, classes: I64) -> F64:
        """(N,) steps of an attribute for classes (N,) from 0 to CLASSES - 1."""
        table: F64 = np.minimum(np.ldexp(getattr(self, attribute), np.arange(CLASSES)), CAPS[attribute])
        return table[classes]

    def units(self, attribute: str, classes: I64) -> npt.NDArray[np.int32]:
        """The same in integers, for the entropy coder's comparison of neighbours."""
        ratio = self.of(attribute, np.arange(CLASSES)) / getattr(self, attribute)
        return np.maximum(np.floor(ratio * _LEAN_UNIT + 0.5), 1).astype(np.int32)[classes]

    def pack(self) -> bytes:
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @staticmethod
    def unpack(data: bytes) -> Steps:
        """Raises UnreadableError."""
        try:
            values: dict[str, Any] = json.loads(data)
            offset = tuple(float(v) for v in values.pop("dc_offset"))
            numbers = {name: float(value) for name, value in values.items()}
            steps = Steps(**numbers, dc_offset=offset)  # type: ignore[arg-type]
            flat = [getattr(steps, f.name) for f in fields(steps) if f.name != "dc_offset"] + list(offset)
            positive = [getattr(steps, name) for name in CAPS] + [steps.blur]
            if len(offset) != 3 or not np.isfinite(flat).all() or min(positive) < 1e-12 or max(map(abs, flat)) > 1e12:
                raise ValueError("out of range")
        except (ValueError, TypeError, KeyError, AttributeError):
            raise UnreadableError("the table of quantization steps is malformed: the file is corrupt") from None
        return steps


def turn_octaves(difference: F64) -> I64:
    """How sensitive a turn is for log axes that differ by ``difference`` >= 0, in octaves from -4 to 8."""
    return np.searchsorted(TURN_EDGES, difference, side="right") - 4


@nb.njit(cache=True, nogil=True, error_model="numpy")
def turn_steps(scales: F64, base: F64) -> tuple[I64, F64, F64]:
    """What scales (N, 3), descending, and the turn's base step (N,) say of a rotation: the leading axis as
    ``quant.rotation.leading_axis`` has it, the step of its warped tangents, and the steps in the half circle."""
    rows = len(scales)
    lead, direction, turns = np.empty(rows, np.int64), np.empty(rows), np.empty(rows)
    for i in range(rows):
        upper, lower = scales[i, 0] - scales[i, 1], scales[i, 1] - scales[i, 2]
        lead[i] = 0 if upper >= lower else 2
        about = lower if lead[i] == 0 else upper
        outer, inner = 16.0, 16.0  # two to the power of minus turn_octaves: of the direction, of the turn about it
        for edge in TURN_EDGES:
            outer = outer * 0.5 if upper + lower >= edge else outer
            inner = inner * 0.5 if about >= edge else inner
        direction[i] = min(max(base[i] * outer, 2.0**-16), 0.8) / _QUARTER
        turns[i] = max(math.floor(math.pi / max(base[i] * inner, 2.0**-16) + 0.5), 1.0)
    return lead, direction, turns
