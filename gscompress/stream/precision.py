"""Precision that follows the picture: steps and classes anew, where the views say that the key frame's no longer fit.

A Gaussian that grows in the pictures, or turns into view, needs finer steps than its key frame gave it. Steps stay on
the octaves that they are on, so that rows whose precision still fits cost next to nothing.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gscompress.codecs.geometry import Classes, decode_one, encode_one
from gscompress.codecs.steps import CLASSES, Steps
from gscompress.entropy.plane import Shape, Side
from gscompress.errors import UnreadableError
from gscompress.stream.state import State

I64 = npt.NDArray[np.int64]
_BASES = struct.Struct("<bb")
_SHIFTS = Shape(columns=2, first_classes=CLASSES, second_classes=CLASSES, signed=True)
_SHAPE, _COLOUR = ("scale", "opacity", "turn", "position"), ("dc", "sh")
_TOO_COARSE, _TOO_FINE = 0.6, 2.0  # octaves by which a row may be off
_OUTLIERS = 0.002  # share of rows that may need finer steps than class 0 has
_MOST = 24  # octaves by which the steps of class 0 change at most


@dataclass(frozen=True, slots=True)
class Precision:
    """bases: octaves by which the steps of class 0 grow, of shape and colour. shifts: (N, 2) octaves by which the
    steps of a row do."""

    bases: tuple[int, int]
    shifts: I64

    def of(self, state: State) -> State:
        """The same rows, with steps as they are from now on. Raises UnreadableError."""
        shape, colour = (
            old - base + shift
            for old, base, shift in zip((state.classes.shape, state.classes.colour), self.bases, self.shifts.T)
        )
        if len(state) and (min(shape.min(), colour.min()) < 0 or max(shape.max(), colour.max()) >= CLASSES):
            raise UnreadableError("a Gaussian has a precision class that does not exist: the frame is corrupt")
        return state.with_precision(_shifted(state.shared.steps, self.bases), Classes(shape, colour))

    def encode(self, state: State) -> dict[str, bytes]:
        """Stream "precision"."""
        return {"precision": _BASES.pack(*self.bases) + encode_one(_SHIFTS, self.shifts, _side(state))}

    @staticmethod
    def decode(data: bytes, state: State) -> Precision:
        """Raises UnreadableError."""
        shape, colour = _BASES.unpack_from(data)
        if max(abs(shape), abs(colour)) > _MOST:
            raise UnreadableError("the steps of a frame are out of range: the frame is corrupt")
        return Precision((shape, colour), decode_one(_SHIFTS, data[_BASES.size :], len(state), _side(state)))


def wanted(like: Steps, planned: Classes, state: State) -> Precision | None:
    """What makes a state as precise as a key frame of now; None when no row is far off.

    like: steps of that key frame. planned: classes in it of the state's rows, -1 for those that it would not have.
    """
    known = planned.shape >= 0
    if not known.any():
        return None
    now = state.shared.steps
    bases, shifts = [], []
    for aim, have, ratio in (
        (planned.shape, state.classes.shape, like.position / now.position),
        (planned.colour, state.classes.colour, like.dc / now.dc),
    ):
        octaves = aim + np.log2(ratio)
        fits = ~known | ((have - octaves < _TOO_COARSE) & (octaves - have < _TOO_FINE))
        classes = np.where(fits, have, np.floor(octaves + 0.5))
        base = int(np.clip(np.floor(np.quantile(classes, _OUTLIERS)), -_MOST, _MOST))
        classes = np.clip(classes, base, base + CLASSES - 1).astype(np.int64)
        bases.append(base)
        shifts.append(classes - have)
    return Precision((bases[0], bases[1]), np.stack(shifts, 1)) if any(s.any() for s in shifts) else None


def _shifted(steps: Steps, bases: tuple[int, int]) -> Steps:
    """Raises UnreadableError when steps leave the range that files may have."""
    grown = {name: float(np.ldexp(getattr(steps, name), bases[0])) for name in _SHAPE}
    grown |= {name: float(np.ldexp(getattr(steps, name), bases[1])) for name in _COLOUR}
    return Steps.unpack(replace(steps, **grown).pack())  # type: ignore[arg-type]


def _side(state: State) -> Side:
    shape, colour = (c.astype(np.uint16) for c in (state.classes.shape, state.classes.colour))
    return Side(first=shape, second=colour, near=state.near)
