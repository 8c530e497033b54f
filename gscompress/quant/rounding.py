"""Which integer to round to, when the nearest is not the best: price of bits, correlated errors, renders.

``rdoq`` weighs error against bits, ``compensate`` hands the error of one parameter of a Gaussian to its others
through their joint curvature, ``settle`` moves targets until the rounded whole looks right. Decoders never notice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.errors import UsageError

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Array = npt.NDArray[Any]


def cost_table(symbols: Array, contexts: Array, count: int, largest: int) -> F64:
    """Bits (count, 2 largest + 1) of symbols -largest to largest in every context, from their frequencies.

    symbols, contexts: arrays of one shape, contexts in [0, count). Counts are mixed with four of the overall
    distribution's, so that no symbol is impossible; larger symbols count as the largest.
    """
    width = 2 * largest + 1
    clipped = np.clip(np.asarray(symbols, np.int64), -largest, largest) + largest
    counts = np.bincount((np.asarray(contexts, np.int64) * width + clipped).ravel(), minlength=count * width)
    counts = counts.reshape(count, width).astype(np.float64)
    overall = np.convolve(counts.sum(0), [0.25, 0.5, 0.25], "same") + 0.01
    mixed = counts + 4 * overall / overall.sum()
    return np.log2(mixed.sum(1, keepdims=True) / mixed)


def rdoq(scaled: Array, bits: Array, contexts: Array, price: float, weights: Array | None = None) -> I64:
    """Integers of ``scaled``'s shape with the least weight * error^2 + price * bits, each on its own.

    scaled: values in units of their steps. bits: a ``cost_table``. contexts: of scaled's shape. price: error^2 that a
    bit is worth; log(2) / 6 is the slope of plain rounding. Candidates are the two integers around the value and
    those below, down to zero.
    """
    x = np.ascontiguousarray(scaled, np.float64)
    where = np.ascontiguousarray(contexts, np.int64)
    w = np.ones(x.shape) if weights is None else np.ascontiguousarray(np.broadcast_to(weights, x.shape), np.float64)
    if where.shape != x.shape or (x.size and not 0 <= where.min() <= where.max() < len(bits)):
        raise UsageError("rounding by cost needs a context within the cost table for every value")
    return _rdoq(x.ravel(), np.asarray(bits, np.float64), where.ravel(), price, w.ravel()).reshape(x.shape)


@nb.njit(cache=True, nogil=True)
def _rdoq(x: F64, bits: F64, contexts: I64, price: float, weights: F64) -> I64:
    out = np.empty(len(x), np.int64)
    largest = bits.shape[1] // 2
    for t in range(len(x)):
        size = abs(x[t])
        nearest = np.int64(np.ceil(size))
        best, k = np.inf, nearest
        # Below two steps under the value an error can only pay by a price of bits that no real table has, but zero may.
        while k >= 0:
            signed = k if x[t] >= 0 else -k
            cost = (
                weights[t] * (size - k) ** 2 + price * bits[contexts[t], min(max(signed, -largest), largest) + largest]
            )
            if cost < best:
                best, out[t] = cost, signed
            k = k - 1 if k > nearest - 2 else np.int64(0 if k > 0 else -1)
    return out


def compensate(x: Array, steps: Array, curvature: Array) -> I64:
    """Round D parameters of each Gaussian one after the other; what is left to code makes up for the errors so far.

    x: (N, D). steps: positive, broadcastable to x. curvature: (N, D, D) positive definite second derivatives of the
    picture's error; add a few percent of its mean diagonal if it may be singular. Minimises e^T H e greedily (Frantar
    et al., "GPTQ", 2022).
    """
    values = np.array(x, np.float64)
    steps = np.broadcast_to(np.asarray(steps, np.float64), values.shape)
    try:
        lower = np.linalg.cholesky(np.linalg.inv(curvature))
    except np.linalg.LinAlgError:
        raise UsageError("error compensation needs positive definite curvatures: add to their diagonals") from None
    symbols = np.empty(values.shape, np.int64)
    for j in range(values.shape[1]):
        symbols[:, j] = np.floor(values[:, j] / steps[:, j] + 0.5)
        error = (values[:, j] - symbols[:, j] * steps[:, j]) / lower[:, j, j]
        values[:, j:] -= error[:, None] * lower[:, j:, j]
    return symbols


def settle(
    targets: Array,
    gradient: Callable[[Array, int], Array],
    curvature: Array,
    rounds: int = 3,
    rate: float = 0.2,
    reach: float = 0.15,
) -> Array:
    """Move ``targets`` (N, C), floats in steps, in place, until their roundings together come closer to the whole.

    gradient(targets, round): half the derivative of the squared error by the values that ``targets`` are rounded to, in
    steps, (N, C): the codec rounds, decodes, renders some views and pulls the difference to the original back.
    curvature: (N, 1) or (N, C), what that gradient changes by per step, from above: 16 h step^2 for SH of degree 3,
    whose coefficients act together. A round moves a target by rate * gradient / curvature, at most by ``reach``, and
    later rounds by less: Gaussians overlap by the dozen, and all of them move at once. The gradient is overwritten.
    """
    gain = rate / np.maximum(curvature, 1e-30)
    for done in range(rounds):
        pull = gradient(targets, done)
        pull *= gain
        np.clip(pull, -reach, reach, out=pull)
        pull *= 1 - done / rounds
        targets -= pull
    return targets
