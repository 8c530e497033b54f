"""Everything of a Gaussian but its colour, as the default codec stores it: classes, position, scales, opacity,
rotation.

Each ``encode_*`` returns the stream and what the decoder will have, since later streams are coded in view of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.codecs.steps import CLASSES, Steps, turn_octaves
from gscompress.entropy.plane import PlaneDecoder, PlaneEncoder, Shape, Side
from gscompress.errors import UnreadableError
from gscompress.quant.exact import exponent, half_octave
from gscompress.quant.rotation import leading_axis, to_parameters

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


def encode_one(shape: Shape, symbols: npt.NDArray[Any], side: Side) -> bytes:
    coder = PlaneEncoder(shape)
    coder.add(np.ascontiguousarray(symbols, dtype=np.int32), side)
    return coder.finish()


def decode_one(shape: Shape, data: bytes, rows: int, side: Side) -> I64:
    coder = PlaneDecoder(data, shape)
    symbols = coder.take(rows, side)
    coder.finish()
    return symbols.astype(np.int64)


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


def encode_scales(widened: F64, steps: Steps, classes: Classes, near: I32) -> tuple[bytes, F64]:
    """Widened log scales (N, 3), descending: the largest, then how much each next one is smaller."""
    step = steps.of("scale", classes.shape)
    first = np.floor((widened[:, 0] - steps.scale_offset) / step + 0.5)
    kept = steps.scale_offset + first * step
    symbols = [first]
    for k in (1, 2):
        drop = np.maximum(np.floor((kept - widened[:, k]) / step + 0.5), 0)
        symbols.append(drop)
        kept = kept - drop * step
    stacked = np.stack(symbols, 1).astype(np.int64)
    return encode_one(_SCALES, stacked, _scale_side(steps, classes, near)), _scales(stacked, steps, step)


def decode_scales(data: bytes, rows: int, steps: Steps, classes: Classes, near: I32) -> F64:
    symbols = decode_one(_SCALES, data, rows, _scale_side(steps, classes, near))
    # e^60 scene units is beyond any scene; the bound keeps what follows finite for corrupt input.
    return np.clip(_scales(symbols, steps, steps.of("scale", classes.shape)), -60.0, 60.0)


def _scales(symbols: I64, steps: Steps, step: F64) -> F64:
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
    step = steps.of("opacity", classes.shape)
    symbols = np.floor(t / step + 0.5)
    stream = encode_one(_OPACITIES, symbols[:, None], _opacity_side(steps, classes, scales, near))
    return stream, symbols * step


def decode_opacities(data: bytes, rows: int, steps: Steps, classes: Classes, scales: F64, near: I32) -> F64:
    symbols = decode_one(_OPACITIES, data, rows, _opacity_side(steps, classes, scales, near))
    return np.minimum(symbols[:, 0] * steps.of("opacity", classes.shape), 60.0)


@dataclass(frozen=True, slots=True)
class _Turns:
    """What the decoded scales say of a rotation's coding: the leading axis, and the steps of direction and angle."""

    lead: I64
    direction: F64  # (N,) in units of the warped tangent
    turns: F64  # (N,) how many steps the angle's half circle has
    faces: Side
    directions: Side
    angles: Side

    @staticmethod
    def given(steps: Steps, classes: Classes, scales: F64, near: I32) -> _Turns:
        lead = leading_axis(scales)
        upper, lower = scales[:, 0] - scales[:, 1], scales[:, 1] - scales[:, 2]
        base = np.ldexp(steps.turn, classes.shape.astype(np.int32))
        direction = np.clip(np.ldexp(base, -turn_octaves(upper + lower).astype(np.int32)), 2.0**-16, 0.8) / _QUARTER
        about = turn_octaves(np.where(lead == 0, lower, upper)).astype(np.int32)
        turns = np.maximum(np.floor(np.pi / np.maximum(np.ldexp(base, -about), 2.0**-16) + 0.5), 1)
        level = np.clip(-exponent(direction), 0, _DIRECTION_LEVELS - 1)
        half = np.clip(half_octave(turns), 0, _ANGLE_LEVELS - 1)
        return _Turns(
            lead,
            direction,
            turns,
            Side(first=(lead // 2).astype(np.uint16), near=near),
            Side(first=level.astype(np.uint16), near=near, steps=np.maximum(direction * 1024, 1).astype(np.int32)),
            Side(first=half.astype(np.uint16), near=near, steps=np.maximum(16384 / turns, 1).astype(np.int32)),
        )

    def with_faces(self, face: I64) -> Side:
        return Side(self.directions.first, face.astype(np.uint16), self.directions.near, self.directions.steps)


def encode_rotations(axes: F64, steps: Steps, classes: Classes, scales: F64, near: I32) -> dict[str, bytes]:
    """Axes (N, 3, 3) of Gaussians with decoded widened ``scales``: face, direction and angle streams."""
    plan = _Turns.given(steps, classes, scales, near)
    face, parameters = to_parameters(axes, plan.lead)
    warped = np.floor(parameters[:, :2] / plan.direction[:, None] + 0.5)
    angle = np.floor(parameters[:, 2] / np.pi * plan.turns + 0.5) % plan.turns
    return {
        "rotation.face": encode_one(_FACES, face[:, None], plan.faces),
        "rotation.direction": encode_one(_DIRECTIONS, warped, plan.with_faces(face)),
        "rotation.angle": encode_one(_ANGLES, angle[:, None], plan.angles),
    }


def decode_rotations(
    streams: dict[str, bytes], rows: int, steps: Steps, classes: Classes, scales: F64, near: I32
) -> tuple[I64, F64, I64]:
    """Face (N,), parameters (N, 3) and leading axis (N,), as ``quant.rotation`` takes them."""
    plan = _Turns.given(steps, classes, scales, near)
    face = decode_one(_FACES, streams["rotation.face"], rows, plan.faces)[:, 0]
    if rows and face.max() > 2:
        raise UnreadableError("a rotation lies on a cube face that does not exist: the file is corrupt")
    warped = decode_one(_DIRECTIONS, streams["rotation.direction"], rows, plan.with_faces(face))
    angle = decode_one(_ANGLES, streams["rotation.angle"], rows, plan.angles)[:, 0]
    tangents = np.clip(warped * plan.direction[:, None], -1.0, 1.0)
    return face, np.column_stack([tangents, np.minimum(angle, plan.turns) * np.pi / plan.turns]), plan.lead
