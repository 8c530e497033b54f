"""Codes for rotations: smallest-three quaternions and half-turn canonical ones.

Fixed-length codes for formats and render-ready tables; for an entropy-coded archive ``quant.rotation`` is far better,
because it spends bits only on turns that change the ellipsoid.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.errors import UsageError

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]
Array = npt.NDArray[Any]
_ROOT = 2.0**-0.5  # no component but the largest exceeds it
_REST = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])


def pack_smallest_three(quats: Array, bits: int = 10) -> U32:
    """(N, 4) wxyz to (N,) words of 2 + 3 bits: which component is largest, then the others in order, uniform on
    +-sqrt(1/2).

    bits: 1 to 10 each; 8 and 10 make 26- and 32-bit codes. Sign and length are dropped, a zero quaternion becomes the
    identity.
    """
    _check(bits)
    q = _unit(quats)
    largest = np.argmax(np.abs(q), axis=1)
    q = q * np.where(np.take_along_axis(q, largest[:, None], 1) < 0, -1.0, 1.0)
    top = (1 << bits) - 1
    rest = np.take_along_axis(q, _REST[largest], 1)
    levels = np.clip(np.rint((rest / _ROOT + 1) * 0.5 * top), 0, top).astype(np.uint32)
    code = largest.astype(np.uint32)
    for k in range(3):
        code = code << np.uint32(bits) | levels[:, k]
    return code


def unpack_smallest_three(codes: Array, bits: int = 10) -> F64:
    """(N, 4) unit quaternions."""
    _check(bits)
    codes = np.asarray(codes, np.int64)
    top = (1 << bits) - 1
    levels = np.stack([codes >> (bits * k) & top for k in (2, 1, 0)], 1)
    rest = (levels * (2.0 / top) - 1.0) * _ROOT
    largest = codes >> (3 * bits) & 3
    out = np.empty((len(codes), 4))
    np.put_along_axis(out, _REST[largest], rest, 1)
    np.put_along_axis(out, largest[:, None], np.sqrt(np.maximum(1 - np.square(rest).sum(1), 0))[:, None], 1)
    return _unit(out)


def canonical(quats: Array) -> F64:
    """Of the eight quaternions that turn an ellipsoid alike (times 1, i, j, k and -1) the one with the largest w.

    Half-turns about an ellipsoid's own axes leave it as it is. The result has w >= 1/2 and w >= |x|, |y|, |z|.
    """
    w, x, y, z = _unit(quats).T
    turned = np.stack(
        [
            np.stack([w, x, y, z], 1),
            np.stack([-x, w, z, -y], 1),  # times i
            np.stack([-y, -z, w, x], 1),  # times j
            np.stack([-z, y, -x, w], 1),  # times k
        ],
        1,
    )
    best = np.argmax(np.abs(turned[:, :, 0]), axis=1)
    chosen = turned[np.arange(len(turned)), best]
    return chosen * np.where(chosen[:, :1] < 0, -1.0, 1.0)


def encode_canonical(quats: Array, bits: int) -> I64:
    """(N, 3) integers below 2^bits for the rotation of an ellipsoid: atan(v / w) on a uniform grid.

    No index of the largest component is needed, which saves 2 bits; the arctan evens out the angular error.
    """
    _check(bits)
    q = canonical(quats)
    top = (1 << bits) - 1
    warped = np.arctan(q[:, 1:] / q[:, :1]) * (4 / np.pi)
    return np.clip(np.rint((warped + 1) * 0.5 * top), 0, top).astype(np.int64)


def decode_canonical(codes: Array, bits: int) -> F64:
    """(N, 4) unit quaternions of the same ellipsoid."""
    _check(bits)
    ratio = np.tan((np.asarray(codes) * (2.0 / ((1 << bits) - 1)) - 1.0) * (np.pi / 4))
    return _unit(np.column_stack([np.ones(len(ratio)), ratio]))


def _unit(quats: Array) -> F64:
    q = np.asarray(quats, np.float64)
    length = np.linalg.norm(q, axis=1, keepdims=True)
    return np.where(length > 0, q / np.where(length > 0, length, 1), np.array([1.0, 0.0, 0.0, 0.0]))


def _check(bits: int) -> None:
    if not 1 <= bits <= 10:
        raise UsageError(f"{bits} bits per quaternion component: expected 1 to 10")
