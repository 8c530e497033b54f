"""Rotations of ellipsoids as one direction and one angle, each with the step that its scales ask for.

An ellipsoid does not change under half-turns about its axes, nor when axes and scales are permuted together, so axes
are sorted by scale first and signs are free. The axis that the picture depends on most (the longest of a needle, the
shortest of a disc) is coded as a direction on the half sphere: which world axis it is nearest to, and the two
arctan-warped tangents on that face of the cube. The turn about it follows as an angle in [0, pi).

A turn by w about axis c changes the covariance by 2 w^2 (s_a^2 - s_b^2)^2 (squared Frobenius norm): tolerances follow
from the decoded scales (quantization.md 2.5), which the decoder has. Decoding uses only +, -, *, / and sqrt, which IEEE
754 rounds exactly, so results agree on every machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.frame import quat_to_matrix

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
_QUARTER = np.pi / 4


def sort_axes(log_scales: npt.NDArray[Any], quats: npt.NDArray[Any]) -> tuple[F64, F64]:
    """Permute the axes of (N, 3) scales and (N, 4) quats so that scales descend.

    Returns log scales (N, 3) and axes (N, 3, 3), axes[:, k] the unit vector of scale k (handedness is free).
    """
    order = np.argsort(-np.asarray(log_scales, np.float64), axis=1, kind="stable")
    axes = np.swapaxes(quat_to_matrix(quats), 1, 2)
    return (
        np.take_along_axis(np.asarray(log_scales, np.float64), order, axis=1),
        np.take_along_axis(axes, order[:, :, None], axis=1),
    )


def leading_axis(log_scales: npt.NDArray[Any]) -> I64:
    """(N,) 0 where the longest axis is coded as the direction (needles), 2 where the shortest is (discs).

    log_scales: (N, 3) descending.
    """
    return np.where(log_scales[:, 0] - log_scales[:, 1] >= log_scales[:, 1] - log_scales[:, 2], 0, 2)


def to_parameters(axes: F64, lead: I64) -> tuple[I64, F64]:
    """Axes (N, 3, 3) to face (N,) in 0..2 and (N, 3) parameters: two warped tangents in [-1, 1], the angle in [0,
    pi)."""
    rows = np.arange(len(axes))
    direction = axes[rows, lead]
    other = axes[rows, 2 - lead]
    face = np.argmax(np.abs(direction), axis=1)
    major = direction[rows, face]
    tangents = np.stack([direction[rows, (face + k) % 3] / major for k in (1, 2)], 1)
    warped = np.arctan(tangents) / _QUARTER
    first, second = _tangent_frame(face, tangents)
    angle = np.arctan2((other * second).sum(1), (other * first).sum(1)) % np.pi
    return face, np.column_stack([warped, angle])


def from_parameters(face: I64, parameters: F64, lead: I64) -> F64:
    """The reverse of ``to_parameters``: right-handed (N, 3, 3) axes."""
    tangents = tan_quarter(parameters[:, :2])
    first, second = _tangent_frame(face, tangents)
    cosine, sine = cos_sin(parameters[:, 2])
    direction = _normalised(_on_face(face, tangents))
    other = cosine[:, None] * first + sine[:, None] * second
    middle = _cross(direction, other)
    needle = (lead == 0)[:, None]
    longest, shortest = np.where(needle, direction, other), np.where(needle, other, direction)
    # longest x middle = shortest must hold: the middle axis' sign is free, so it is chosen to make it so.
    middle = np.where(needle, -middle, middle)
    return np.stack([longest, middle, shortest], axis=1)


def tan_quarter(a: F64) -> F64:
    """tan(pi a / 4) for a in [-1, 1] to 1e-12, as sin over cos of the same exact operations on every machine."""
    cosine, sine = cos_sin(a * _QUARTER)
    return sine / cosine


def cos_sin(angle: F64) -> tuple[F64, F64]:
    """Cosine and sine of angles in [-pi, pi + 1] by Taylor series of the quarter angle and two doublings."""
    x = angle * 0.25
    xx = x * x
    sine, cosine = np.zeros_like(x), np.zeros_like(x)
    for k in range(9, -1, -1):
        sine = 1.0 - sine * xx / ((2 * k + 2) * (2 * k + 3)) if k < 9 else np.ones_like(x)
        cosine = 1.0 - cosine * xx / ((2 * k + 1) * (2 * k + 2)) if k < 9 else np.ones_like(x)
    sine = sine * x
    for _ in range(2):
        sine, cosine = 2.0 * sine * cosine, cosine * cosine - sine * sine
    return cosine, sine


def _on_face(face: I64, tangents: F64) -> F64:
    out = np.empty((len(face), 3))
    rows = np.arange(len(face))
    out[rows, face] = 1.0
    for k in (1, 2):
        out[rows, (face + k) % 3] = tangents[:, k - 1]
    return out


def _tangent_frame(face: I64, tangents: F64) -> tuple[F64, F64]:
    """Two unit vectors orthogonal to the direction; the first lies in the plane of the direction and the next world
    axis."""
    direction = _normalised(_on_face(face, tangents))
    rows, axis = np.arange(len(face)), (face + 1) % 3
    first = -direction[rows, axis][:, None] * direction
    first[rows, axis] += 1.0
    first = _normalised(first)
    return first, _cross(direction, first)


def _normalised(v: F64) -> F64:
    return v / np.sqrt(v[:, 0] * v[:, 0] + v[:, 1] * v[:, 1] + v[:, 2] * v[:, 2])[:, None]


def _cross(a: F64, b: F64) -> F64:
    return np.stack(
        [
            a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1],
            a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2],
            a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0],
        ],
        1,
    )
