"""Everything of a Gaussian but its colour, as the default codec stores it: classes, position, scales, opacity,
rotation.

Each ``encode_*`` returns the stream and what the decoder will have, since later streams are coded in view of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.codecs.steps import CLASSES, Steps, turn_steps
from gscompress.entropy.plane import PlaneDecoder, PlaneEncoder, Shape, Side
from gscompress.errors import UnreadableError
from gscompress.quant.exact import exponent, half_octave
from gscompress.quant.rotation import to_parameters

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
_QUARTER = np.pi / 4
_CLASSES = Shape(columns=2, first_classes=1, second_classes=1, signed=True)
_SCALES = Shape(columns=3, first_classes=CLASSES, second_classes=1, signed=True)
_SIZES = 16
_OPACITIES = Shape(columns=1, first_classes=CLASSES, second_classes=_SIZES, signed=False)
_FACES = Shape(columns=1, first_classes=2, second_classes=1, signed=False)
_DIRECTION_LEVELS, _ANGLE_LEVELS = 16, 32
_DIRECTIONS = Shape(columns=2, first_classes=_DIRECTION_LEVELS, second_classes=3, signed=True)
_ANGLES = Shape(columns=1, first_classes=_ANGLE_LEVELS, second_classes=1, signed=False)
_TYPICAL_CLASS = CLASSES // 2
LEAST = 1e-4  # -ln(opacity) of what is all but opaque


def encode_one(shape: Shape, symbols: npt.NDArray[Any], side: Side) -> bytes:
    coder = PlaneEncoder(shape)
    coder.add(np.ascontiguousarray(symbols, dtype=np.int32), side)
    return coder.finish()


def decode_one(shape: Shape, data: bytes, rows: int, side: Side) -> I64:
    return decode_symbols(shape, data, rows, side).astype(np.int64)


def decode_symbols(shape: Shape, data: bytes, rows: int, side: Side) -> I32:
    """As the decoder has them: a wide plane is not copied."""
    coder = PlaneDecoder(data, shape)
    symbols = coder.take(rows, side)
    coder.finish()
    return symbols


@dataclass(frozen=True, slots=True)
class Classes:
    """Octave classes of shape and colour (N,), 0 to CLASSES - 1."""

    shape: I64
    colour: I64

    def encode(self, near: I32) -> bytes:
        return encode_one(_CLASSES, np.stack([self.shape, self.colour], 1) - _TYPICAL_CLASS, Side(near=near))

    @staticmethod
    def decode(data: bytes, rows: int, near: I32) -> Classes:
        symbols = decode_one(_CLASSES, data, rows, Side(near=near)) + _TYPICAL_CLASS
        if rows and (symbols.min() < 0 or symbols.max() >= CLASSES):
            raise UnreadableError("a Gaussian has a precision class that does not exist: the file is corrupt")
        return Classes(symbols[:, 0], symbols[:, 1])


def _scale_side(steps: Steps, classes: Classes, near: I32) -> Side:
    return Side(first=classes.shape.astype(np.uint16), near=near, steps=steps.units("scale", classes.shape))


def widen(log_scales: F64, blur: float) -> F64:
    """Log scales after the pixel's blur: what is thinner than that does not show."""
    return np.asarray(0.5 * np.log(np.exp(2 * log_scales) + blur**2), np.float64)


def round_opacities(t: F64, steps: Steps, classes: Classes) -> I64:
    """Symbols (N,) of t = -ln(opacity) (N,)."""
    return np.floor(np.maximum(t, LEAST) / steps.of("opacity", classes.shape) + 0.5).astype(np.int64)


def round_scales(widened: F64, steps: Steps, classes: Classes) -> I64:
    """Symbols (N, 3) of widened log scales (N, 3), descending: the largest, then how much each next one is smaller."""
    step = steps.of("scale", classes.shape)
    first = np.floor((widened[:, 0] - steps.scale_offset) / step + 0.5)
    kept = steps.scale_offset + first * step
    symbols = [first]
    for k in (1, 2):
        drop = np.maximum(np.floor((kept - widened[:, k]) / step + 0.5), 0)
        symbols.append(drop)
        kept = kept - drop * step
    return np.stack(symbols, 1).astype(np.int64)


def encode_scales(widened: F64, steps: Steps, classes: Classes, near: I32) -> tuple[bytes, F64]:
    """The stream of widened log scales (N, 3), descending, and what it decodes to."""
    symbols = round_scales(widened, steps, classes)
    stream = encode_one(_SCALES, symbols, _scale_side(steps, classes, near))
    return stream, restored_scales(symbols, steps, classes)


def decode_scales(data: bytes, rows: int, steps: Steps, classes: Classes, near: I32) -> F64:
    symbols = decode_symbols(_SCALES, data, rows, _scale_side(steps, classes, near))
    # e^60 scene units is beyond any scene; the bound keeps what follows finite for corrupt input.
    return np.clip(restored_scales(symbols, steps, classes), -60.0, 60.0)


def restored_scales(symbols: npt.NDArray[Any], steps: Steps, classes: Classes) -> F64:
    """Widened log scales (N, 3) from their symbols."""
    step = steps.of("scale", classes.shape)
    first = steps.scale_offset + symbols[:, 0] * step
    second = first - symbols[:, 1] * step
    return np.stack([first, second, second - symbols[:, 2] * step], 1)


def _opacity_side(steps: Steps, classes: Classes, scales: F64, near: I32) -> Side:
    size = np.clip(np.floor((scales[:, 0] - steps.scale_offset) * 2 + _SIZES / 2), 0, _SIZES - 1)
    return Side(
        first=classes.shape.astype(np.uint16),
        second=size.astype(np.uint16),
        near=near,
        steps=steps.units("opacity", classes.shape),
    )


def encode_opacities(t: F64, steps: Steps, classes: Classes, scales: F64, near: I32) -> tuple[bytes, F64]:
    """t = -ln(opacity) (N,), the domain in which the picture's sensitivity varies least."""
    symbols = round_opacities(t, steps, classes)
    stream = encode_one(_OPACITIES, symbols[:, None], _opacity_side(steps, classes, scales, near))
    return stream, symbols * steps.of("opacity", classes.shape)


def decode_opacities(data: bytes, rows: int, steps: Steps, classes: Classes, scales: F64, near: I32) -> F64:
    symbols = decode_symbols(_OPACITIES, data, rows, _opacity_side(steps, classes, scales, near))
    return np.minimum(symbols[:, 0] * steps.of("opacity", classes.shape), 60.0)


@dataclass(frozen=True, slots=True)
class Turns:
    """What the decoded scales say of a rotation's coding: the leading axis, and the steps of direction and angle."""

    lead: I64
    direction: F64  # (N,) in units of the warped tangent
    turns: F64  # (N,) how many steps the angle's half circle has

    @staticmethod
    def given(steps: Steps, classes: Classes, scales: F64) -> Turns:
        lead, direction, turns = turn_steps(scales, np.ldexp(steps.turn, np.arange(CLASSES))[classes.shape])
        return Turns(lead, direction, turns)

    def round(self, axes: F64) -> tuple[I64, F64, F64]:
        """Symbols of axes (N, 3, 3): faces (N,), warped tangents (N, 2), angles (N,)."""
        face, parameters = to_parameters(axes, self.lead)
        warped = np.floor(parameters[:, :2] / self.direction[:, None] + 0.5)
        return face, warped, np.floor(parameters[:, 2] / np.pi * self.turns + 0.5) % self.turns

    def parameters(self, warped: npt.NDArray[Any], angle: npt.NDArray[Any]) -> F64:
        """(N, 3) as ``quant.rotation`` takes them."""
        tangents = np.clip(warped * self.direction[:, None], -1.0, 1.0)
        return np.column_stack([tangents, np.minimum(angle, self.turns) * np.pi / self.turns])

    def faces(self, near: I32) -> Side:
        return Side(first=(self.lead // 2).astype(np.uint16), near=near)

    def directions(self, face: I64, near: I32) -> Side:
        level = np.clip(-exponent(self.direction), 0, _DIRECTION_LEVELS - 1)
        steps = np.maximum(self.direction * 1024, 1).astype(np.int32)
        return Side(level.astype(np.uint16), face.astype(np.uint16), near, steps)

    def angles(self, near: I32) -> Side:
        half = np.clip(half_octave(self.turns), 0, _ANGLE_LEVELS - 1)
        return Side(half.astype(np.uint16), near=near, steps=np.maximum(16384 / self.turns, 1).astype(np.int32))


def encode_rotations(axes: F64, steps: Steps, classes: Classes, scales: F64, near: I32) -> dict[str, bytes]:
    """Axes (N, 3, 3) of Gaussians with decoded widened ``scales``: face, direction and angle streams."""
    plan = Turns.given(steps, classes, scales)
    face, warped, angle = plan.round(axes)
    return {
        "rotation.face": encode_one(_FACES, face[:, None], plan.faces(near)),
        "rotation.direction": encode_one(_DIRECTIONS, warped, plan.directions(face, near)),
        "rotation.angle": encode_one(_ANGLES, angle[:, None], plan.angles(near)),
    }


def decode_rotations(
    streams: dict[str, bytes], rows: int, steps: Steps, classes: Classes, scales: F64, near: I32
) -> tuple[I64, F64, I64]:
    """Face (N,), parameters (N, 3) and leading axis (N,), as ``quant.rotation`` takes them."""
    plan = Turns.given(steps, classes, scales)
    face = decode_one(_FACES, streams["rotation.face"], rows, plan.faces(near))[:, 0]
    if rows and face.max() > 2:
        raise UnreadableError("a rotation lies on a cube face that does not exist: the file is corrupt")
    warped = decode_symbols(_DIRECTIONS, streams["rotation.direction"], rows, plan.directions(face, near))
    angle = decode_symbols(_ANGLES, streams["rotation.angle"], rows, plan.angles(near))[:, 0]
    return face, plan.parameters(warped, angle), plan.lead
