"""The compiled inner loops of the SOG writer."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


def dots(a: F32, b: F32) -> F32:
    """``a @ b.T``. On a busy machine thousands of small BLAS calls wait for each other's threads; this one has none."""
    out = np.zeros((len(a), len(b)), np.float32)
    _add_dots(np.ascontiguousarray(a), np.ascontiguousarray(b.T), out)
    return out


def optimal_cuts(total: F64, first: F64, second: F64, parts: int) -> npt.NDArray[Any]:
    """(parts + 1,) ascending cuts, from 0 to n, of n ordered points into runs with the least squared error in all.

    ``total``, ``first``, ``second``: (n + 1,) running sums of mass, mass * x and mass * x^2; n is at least ``parts``.
    """
    n = len(total) - 1
    choices = np.zeros((parts, n + 1), np.int32)
    _choose(total, first, second, choices)
    cuts = [n]
    for part in range(parts - 1, 0, -1):
        cuts.append(int(choices[part, cuts[-1]]))
    return np.array([*cuts, 0])[::-1]


def merge_cheapest(cost: F32, weight: F64, keep: int) -> npt.NDArray[np.int64]:
    """(n,) group number of each of n weighted points after merging the cheapest pair until ``keep`` groups are left.

    ``cost``: (n, n) Ward (1963) costs w_i w_j / (w_i + w_j) |x_i - x_j|^2, overwritten.
    """
    np.fill_diagonal(cost, np.inf)
    owner = np.arange(len(cost))
    _merge_cheapest(cost, weight.copy(), keep, owner)
    while (owner[owner] != owner).any():
        owner = owner[owner]
    return np.unique(owner, return_inverse=True)[1]


@njit(cache=True, fastmath=True, nogil=True)  # type: ignore[untyped-decorator]
def _add_dots(a: F32, bt: F32, out: F32) -> None:
    fours = a.shape[1] // 4 * 4
    for i in range(len(a)):
        row = out[i]
        for j in range(0, fours, 4):
            a0, a1, a2, a3 = a[i, j], a[i, j + 1], a[i, j + 2], a[i, j + 3]
            b0, b1, b2, b3 = bt[j], bt[j + 1], bt[j + 2], bt[j + 3]
            for c in range(len(row)):
                row[c] += a0 * b0[c] + a1 * b1[c] + a2 * b2[c] + a3 * b3[c]
        for j in range(fours, a.shape[1]):
            for c in range(len(row)):
                row[c] += a[i, j] * bt[j, c]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _choose(total: F64, first: F64, second: F64, choices: npt.NDArray[np.int32]) -> None:
    """choices[k, j]: where the last of k + 1 runs over the first j points starts.

    The best start never moves left as j grows, so the odd multiples of each step search between their neighbours.
    """
    n = len(total) - 1
    before = np.empty(n + 1)
    for j in range(n + 1):
        before[j] = second[j] - first[j] * first[j] / total[j] if j else 0.0
    after = np.empty(n + 1)
    for k in range(1, len(choices)):
        starts = choices[k]
        top = 1
        while top * 2 <= n:
            top *= 2
        step = top
        after[:] = np.inf
        while step >= 1:
            for j in range(step, n + 1, 2 * step):
                low = max(starts[j - step], k) if j - step >= k else k
                high = min(starts[j + step], j - 1) if j + step <= n else j - 1
                for i in range(low, high + 1):
                    moment = first[j] - first[i]
                    cost = before[i] + second[j] - second[i] - moment * moment / (total[j] - total[i])
                    if cost < after[j]:
                        after[j] = cost
                        starts[j] = i
            step //= 2
        before[:] = after


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _merge_cheapest(cost: F32, weight: F64, keep: int, owner: npt.NDArray[np.int64]) -> None:
    """Merged costs follow from the old ones (Lance and Williams 1967). They never fall below the cheaper of the two.

    So the cheapest partner that a row remembers stays a lower bound after that partner is gone, and is looked up again
    only when the row comes first (Müllner 2011).
    """
    n = len(cost)
    partner = np.empty(n, np.int64)
    best = np.empty(n, np.float32)
    for i in range(n):
        partner[i] = np.argmin(cost[i])
        best[i] = cost[i, partner[i]]
    for _ in range(n - keep):
        i = int(np.argmin(best))
        j = partner[i]
        while best[i] != cost[i, j]:
            partner[i] = np.argmin(cost[i])
            best[i] = cost[i, partner[i]]
            i = int(np.argmin(best))
            j = partner[i]
        apart, joint = cost[i, j], weight[i] + weight[j]
        for k in range(n):
            if best[k] < np.inf and k not in (i, j):
                both = (weight[i] + weight[k]) * cost[i, k] + (weight[j] + weight[k]) * cost[j, k]
                merged = np.float32(max((both - weight[k] * apart) / (joint + weight[k]), 0.0))
                cost[i, k] = merged
                cost[k, i] = merged
                cost[k, j] = np.inf
                if merged < best[k]:
                    partner[k], best[k] = i, merged
        weight[i] = joint
        owner[j] = i
        cost[j, :] = np.inf
        cost[i, j] = np.inf
        best[j] = np.inf
        partner[i] = np.argmin(cost[i])
        best[i] = cost[i, partner[i]]
