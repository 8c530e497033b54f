"""Nearest points of lattices, and Babai's rounding for any basis.

Against the integer grid at equal density and high rate, D4 saves 0.37 dB and E8 0.65 dB of squared error (Conway and
Sloane, "Sphere Packings, Lattices and Groups"), if the coder skips the bits that parity implies.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.errors import UsageError

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Array = npt.NDArray[Any]


def nearest_dn(x: Array) -> F64:
    """Nearest points (..., n) of the checkerboard lattice (integers with an even sum), which for n = 4 is D4.

    Round; where the sum is odd, move the coordinate with the largest rounding error to its other neighbour
    (Conway and Sloane 1982).
    """
    x = np.asarray(x, np.float64)
    rounded = np.rint(x)
    error = x - rounded
    worst = np.argmax(np.abs(error), axis=-1)[..., None]
    move = np.where(np.take_along_axis(error, worst, -1) < 0, -1.0, 1.0)
    odd = rounded.sum(-1, keepdims=True) % 2
    np.put_along_axis(rounded, worst, np.take_along_axis(rounded, worst, -1) + move * odd, -1)
    return rounded


def nearest_e8(x: Array) -> F64:
    """Nearest points (..., 8) of E8: D8 and D8 shifted by one half."""
    x = np.asarray(x, np.float64)
    if x.shape[-1] != 8:
        raise UsageError(f"E8 has 8 dimensions, not {x.shape[-1]}")
    whole, half = nearest_dn(x), nearest_dn(x - 0.5) + 0.5
    nearer = np.square(x - half).sum(-1, keepdims=True) < np.square(x - whole).sum(-1, keepdims=True)
    return np.where(nearer, half, whole)


def e8_symbols(points: Array) -> I64:
    """Integers (..., 8) that name E8 points without redundancy, so that a plain coder reaches the lattice's rate.

    Floors of the coordinates add up to an even number in both cosets, so the first floor's parity follows from the
    others: its lowest bit says the coset instead.
    """
    points = np.asarray(points, np.float64)
    floors = np.floor(points).astype(np.int64)
    coset = (points[..., :1] != floors[..., :1]).astype(np.int64)
    return np.concatenate([floors[..., :1] - (floors[..., 1:].sum(-1, keepdims=True) & 1) + coset, floors[..., 1:]], -1)


def e8_points(symbols: Array) -> F64:
    """The reverse of ``e8_symbols``."""
    symbols = np.asarray(symbols, np.int64)
    coset = symbols[..., :1] & 1
    first = symbols[..., :1] - coset + (symbols[..., 1:].sum(-1, keepdims=True) & 1)
    return np.concatenate([first, symbols[..., 1:]], -1) + 0.5 * coset


def babai(x: Array, basis: Array) -> I64:
    """Integer coordinates (..., n) of a lattice point near x: round(x B^-1), rows of ``basis`` (n, n) span the
    lattice.

    Exact for an orthogonal basis; otherwise off by at most half the sum of the basis vectors' lengths (Babai 1986,
    rounding off). Decode with ``coordinates @ basis``.
    """
    basis = np.asarray(basis, np.float64)
    if basis.ndim != 2 or basis.shape[0] != basis.shape[1] or np.linalg.matrix_rank(basis) < len(basis):
        raise UsageError("a lattice basis must be a square matrix of full rank")
    return np.rint(np.asarray(x, np.float64) @ np.linalg.inv(basis)).astype(np.int64)
