"""K-means of a scene's attributes, and sums over the members of each cluster."""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.quant.vector import assign, fit_kmeans

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
_MEMBERS = 4  # Gaussians per code, at least: a codebook for few of them would outweigh them
_ENOUGH = 1 << 17  # rows that a codebook is fitted to, evenly drawn


def cluster(values: F32, most: int, seed: int, weights: F64 | None = None) -> tuple[F32, I64]:
    """At most ``most`` codes for (N, D) values, and the code of each row (N,). weights: (N,) or none."""
    rows = len(values)
    if not rows:
        return values, np.zeros(0, np.int64)
    some = slice(None, None, -(-rows // _ENOUGH))
    size = max(1, min(most, rows // _MEMBERS))
    book = fit_kmeans(values[some], size, None if weights is None else weights[some], iterations=6, seed=seed)
    return book.codes, assign(values, book)


def sum_rows(values: F32, indices: I64, groups: int) -> F64:
    """(groups, D) sums of the rows of (N, D) values by their indices (N,)."""
    sums = np.zeros((groups, values.shape[1]))
    _sum_rows(np.require(values, np.float32, ["C", "W"]), indices, sums)
    return sums


@nb.njit(cache=True, nogil=True)
def _sum_rows(values: F32, indices: I64, sums: F64) -> None:
    for i in range(len(values)):
        for k in range(values.shape[1]):
            sums[indices[i], k] += values[i, k]
