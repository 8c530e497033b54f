"""Rounding towards what earlier neighbours predict: what matters little follows them and costs next to nothing.

Values of rows in a spatial order are coded as differences from their neighbours' mean. Row by row and in closed loop, a
symbol is the one with the least weight * error^2 + price * bits of its difference, from its own value to the predicted.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
_TABLED, _SPREADS, _ROUNDS = 24, 4, 3
_FARTHEST = 24  # symbols between a value and its prediction that are tried


def follow(scaled: F64, weights: F64, near: I32, price: float) -> I64:
    """(N, C) integers for values in units of their steps. near: (N, 4) earlier rows, -1 for none, nearest first.

    weights: (N, C) of squared errors. price: squared error that a bit is worth; log(2) / 6 is that of plain rounding.
    """
    x, w = np.ascontiguousarray(scaled, np.float64), np.ascontiguousarray(weights, np.float64)
    columns = x.shape[1]
    bits = np.tile(1.0 + 1.5 * np.arange(_TABLED + 1), (columns, _SPREADS, 1))
    out = np.empty(x.shape, np.int64)
    for _ in range(_ROUNDS):
        counts = np.zeros(bits.shape)
        _follow(x, w, near, price, bits, out, counts)
        smooth = counts + 0.5 * 0.7 ** np.arange(_TABLED + 1)
        smooth[..., 1:] *= 0.5  # signs
        bits = np.log2(smooth.sum(-1, keepdims=True) / smooth)
    return out


def differences(symbols: npt.NDArray[Any], near: I32) -> I64:
    """(N, C) symbols minus their predictions."""
    return _differ(np.ascontiguousarray(symbols, np.int64), near)


def undo(differences: npt.NDArray[Any], near: I32) -> I64:
    """The symbols again."""
    out = np.array(differences, np.int64, order="C")
    _undo(out, near)
    return out


@nb.njit(forceinline=True, nogil=True)
def _around(symbols: I64, near: I32, i: int, c: int) -> tuple[Any, Any]:
    """(prediction, class of spread): mean of four earlier rows, the nearer two twice."""
    first = near[i, 0]
    if not 0 <= first < i:
        return np.int64(0), np.int64(_SPREADS - 1)
    v0 = symbols[first, c]
    v1 = symbols[near[i, 1], c] if 0 <= near[i, 1] < i else v0
    v2 = symbols[near[i, 2], c] if 0 <= near[i, 2] < i else v0
    v3 = symbols[near[i, 3], c] if 0 <= near[i, 3] < i else v0
    spread = max(v0, v1, v2, v3) - min(v0, v1, v2, v3)
    kind = np.int64(spread > 0) + np.int64(spread > 1) + np.int64(spread > 4)
    return (2 * (v0 + v1) + v2 + v3 + 3) // 6, kind


@nb.njit(cache=True, nogil=True)
def _follow(x: F64, w: F64, near: I32, price: float, bits: F64, out: I64, counts: F64) -> None:
    tabled = bits.shape[2] - 1
    for i in range(len(x)):
        for c in range(x.shape[1]):
            guess, kind = _around(out, near, i, c)
            k: Any = np.int64(np.rint(x[i, c]))
            toward: Any = 1 if guess > k else -1
            best, chosen = np.inf, k
            for _ in range(_FARTHEST):
                cost = w[i, c] * (x[i, c] - k) ** 2 + price * bits[c, kind, min(abs(k - guess), tabled)]
                if cost < best:
                    best, chosen = cost, k
                if k == guess:
                    break
                k += toward
            if w[i, c] * (x[i, c] - guess) ** 2 + price * bits[c, kind, 0] < best:
                chosen = guess
            out[i, c] = chosen
            counts[c, kind, min(abs(chosen - guess), tabled)] += 1


@nb.njit(cache=True, nogil=True)
def _differ(symbols: I64, near: I32) -> I64:
    out = np.empty_like(symbols)
    for i in range(len(symbols)):
        for c in range(symbols.shape[1]):
            out[i, c] = symbols[i, c] - _around(symbols, near, i, c)[0]
    return out


@nb.njit(cache=True, nogil=True)
def _undo(out: I64, near: I32) -> None:
    for i in range(len(out)):
        for c in range(out.shape[1]):
            out[i, c] += _around(out, near, i, c)[0]
