"""Trellis-coded (dependent) scalar quantization: two interleaved grids and an 8-state machine that switches between
them.

Even states quantize to the even multiples 2 k of a grid step, odd states to the odd multiples and zero, 2 k - sgn k;
the parity of every symbol k moves the machine on (the scheme of VVC and NNC; Schwarz et al. 2021). The decoder is one
look-up per symbol, the encoder a Viterbi search. At high rate and for independent errors it saves 0.12 to 0.16 bit
per symbol against a uniform quantizer with the spacing 2; below one bit it saves nothing. What it does on splats is
in docs/quantization.md.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.errors import UsageError

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Array = npt.NDArray[Any]

NEXT = np.array([[0, 2], [7, 5], [1, 3], [6, 4], [2, 0], [5, 7], [3, 1], [4, 6]])
"""State after a symbol with parity 0 or 1; even states use the even grid."""


def decode(symbols: Array) -> F64:
    """(T,) integers to values in units of the spacing: k, or k - sgn(k) / 2 in an odd state. Starts in state 0."""
    symbols = np.asarray(symbols, np.int64)
    return symbols - 0.5 * np.sign(symbols) * parities(symbols)


def parities(symbols: Array) -> I64:
    """(T,) which grid each symbol was coded on, 0 even or 1 odd: what an entropy coder should split its contexts
    by."""
    return _walk(np.ascontiguousarray(symbols, np.int64))


def encode(
    scaled: Array,
    price: float = 0.0,
    bits: Array | None = None,
    contexts: Array | None = None,
    weights: Array | None = None,
) -> I64:
    """The symbols with the least total of weight * error^2 + price * bits (exact over the candidates looked at).

    scaled: (T,) values in units of the spacing. price: error^2 that a bit is worth, log(2) / 6 on the slope of plain
    rounding. bits: (C, 2, 2 K + 1) what symbols -K to K cost in each context on each grid; larger ones cost 2 bits
    per octave more. contexts: (T,) in [0, C). Without ``bits`` only the error counts. Candidates are the two nearest
    points of either parity on each grid, and zero.
    """
    x = np.ascontiguousarray(scaled, np.float64)
    table = np.zeros((1, 2, 3)) if bits is None else np.ascontiguousarray(bits, np.float64)
    where = np.zeros(len(x), np.int64) if contexts is None else np.ascontiguousarray(contexts, np.int64)
    w = np.ones(len(x)) if weights is None else np.ascontiguousarray(weights, np.float64)
    if table.ndim != 3 or table.shape[1] != 2 or table.shape[2] % 2 == 0:
        raise UsageError(f"a trellis cost table is (contexts, 2, 2 K + 1), not {table.shape}")
    if where.shape != x.shape or w.shape != x.shape or (len(x) and not 0 <= where.min() <= where.max() < len(table)):
        raise UsageError("a trellis needs one weight and one context within the cost table per value")
    return _viterbi(x, w, where, table, price if bits is not None else 0.0)


@nb.njit(cache=True, nogil=True)
def _walk(symbols: I64) -> I64:
    out = np.empty(len(symbols), np.int64)
    state = 0
    for t in range(len(symbols)):
        out[t] = state & 1
        state = NEXT[state, symbols[t] & 1]
    return out


@nb.njit(cache=True, nogil=True)
def _viterbi(x: F64, weights: F64, contexts: I64, table: F64, price: float) -> I64:
    count, largest = len(x), table.shape[2] // 2
    came, chosen = np.empty((count, 8), np.int8), np.empty((count, 8), np.int32)
    total, after = np.full(8, np.inf), np.empty(8)
    total[0] = 0.0
    for t in range(count):
        after[:] = np.inf
        size = abs(x[t])
        for grid in range(2):
            # The k below the value on this grid; candidates are it, its neighbours and zero.
            base = np.int64(np.floor(size + 0.5 * grid))
            for offset in range(-2, 3):
                k = base + offset
                if offset == -2 or k < 0:
                    k = np.int64(0)
                error = size - (k - 0.5 * grid * (k > 0))
                signed = k if x[t] >= 0 else -k
                rate = table[contexts[t], grid, min(max(signed, -largest), largest) + largest]
                if k > largest:
                    rate += 2.0 * np.log2(k / largest)
                cost = weights[t] * error * error + price * rate
                for state in range(grid, 8, 2):
                    target = NEXT[state, k & 1]
                    if total[state] + cost < after[target]:
                        after[target] = total[state] + cost
                        came[t, target], chosen[t, target] = state, signed
        total[:] = after - after.min()
    out = np.empty(count, np.int64)
    last: Any = np.argmin(total)
    for t in range(count - 1, -1, -1):
        out[t] = chosen[t, last]
        last = came[t, last]
    return out
