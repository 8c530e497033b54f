"""Linear changes of basis before quantization: fixed colour transforms and the Karhunen-Loeve transform of a scene.

A basis is stored as small integers, and decoding is *defined* as a product of integers: symbols times matrix, which
float64 computes without rounding in any order, and then one multiplication by the step. So decoders agree bit for
bit. The encoder uses the exact inverse of what is stored, not the matrix that was meant, so rounding the basis costs
no error of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.errors import UnreadableError

F64 = npt.NDArray[np.float64]
Array = npt.NDArray[Any]

YCOCG = np.array([[0.25, 0.5, 0.25], [0.5, 0.0, -0.5], [-0.25, 0.5, -0.25]])
"""Rows Y, Co, Cg of RGB (Malvar and Sullivan 2003): inverse without multiplications, not orthonormal."""

LUMA_CHROMA = np.array(
    [[3.0**-0.5] * 3, [2.0**-0.5, 0.0, -(2.0**-0.5)], [-(6.0**-0.5), 2.0 * 6.0**-0.5, -(6.0**-0.5)]],
)
"""The same axes, orthonormal: squared error in it is squared error in RGB."""

_DTYPES = {1: "i1", 2: "<i2"}


@dataclass(frozen=True)
class Basis:
    """rows: (D, D) integers; row j times 2^-fraction is the (nearly) unit vector that coefficient j stands for."""

    rows: npt.NDArray[np.int16]
    fraction: int

    @property
    def matrix(self) -> F64:
        """(D, D) the vectors as stored."""
        return np.ldexp(self.rows.astype(np.float64), -self.fraction)

    def forward(self, x: Array) -> F64:
        """(N, D) values to coefficients, by the exact inverse of the stored matrix."""
        return np.asarray(x, np.float64) @ np.linalg.inv(self.matrix)

    def inverse(self, symbols: Array, steps: Array) -> F64:
        """(N, D) integers below 2^30 and (N,) or scalar steps to values: the same bits on every machine."""
        products = np.asarray(symbols, np.float64) @ self.rows.astype(np.float64)
        steps = np.asarray(steps, np.float64) * 2.0**-self.fraction
        return products * (steps[:, None] if steps.ndim else steps)

    def pack(self) -> bytes:
        """Size, bytes per entry, then the rows."""
        width = 1 if self.fraction < 8 else 2
        return bytes([len(self.rows), width]) + self.rows.astype(_DTYPES[width]).tobytes()

    @staticmethod
    def unpack(data: bytes) -> Basis:
        """Raises UnreadableError when the length or the entries cannot be those of a basis."""
        if len(data) < 2 or data[1] not in _DTYPES or len(data) != 2 + data[0] ** 2 * data[1]:
            raise UnreadableError("a stored basis has a wrong length: the file is corrupt")
        rows = np.frombuffer(data, _DTYPES[data[1]], offset=2).reshape(data[0], data[0]).astype(np.int16)
        return Basis(rows, 8 * data[1] - 1 - data[1] // 2)


def fit_klt(x: Array, weights: Array | None = None, width: int = 2) -> Basis:
    """The eigenvectors of the (weighted, uncentred) second moments of (N, D <= 255) values, largest energy first.

    weights: (N,) how much each row's squared error counts. width: bytes per stored entry, 1 or 2. Signs are fixed by
    making each vector's largest entry positive. With one byte the basis is some 0.5 % off orthogonal, so quantization
    error grows by as much.
    """
    x = np.asarray(x, np.float64)
    w = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    _, vectors = np.linalg.eigh((x * w[:, None]).T @ x)
    rows = vectors[:, ::-1].T
    largest = np.take_along_axis(rows, np.argmax(np.abs(rows), axis=1)[:, None], axis=1)
    rows = rows * np.where(largest < 0, -1.0, 1.0)
    fraction = 8 * width - 1 - width // 2
    limit = (1 << (8 * width - 1)) - 1
    return Basis(np.clip(np.rint(rows * 2.0**fraction), -limit, limit).astype(np.int16), fraction)
