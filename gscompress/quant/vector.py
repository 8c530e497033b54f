"""Vector quantization: weighted k-means codebooks, plain and entropy-constrained.

Distances come out of one matrix product per block of rows: with [-2 x, 1] and [c, |c|^2] side by side the product is
|x - c|^2 less |x|^2, so that finding the nearest code costs a BLAS call and an argmin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.errors import UsageError

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Array = npt.NDArray[Any]
_BLOCK = 1 << 23  # entries of a block of distances (32 MB)
_ONE_BY_ONE = 64  # codes of the start that are drawn in turn
_SETTLED = 1e-3  # rounds end when the cost falls by a smaller share


@dataclass(frozen=True)
class Codebook:
    """codes: (K, D) float32. bits: (K,) what the index of each code costs in an entropy-coded stream, or None."""

    codes: F32
    bits: F64 | None = None

    def decode(self, indices: Array) -> F32:
        return self.codes[np.asarray(indices)]


def assign(x: Array, codebook: Codebook, weights: Array | None = None, price: float = 0.0) -> I64:
    """(N,) index of the code with the least weighted squared error; the lowest index in a tie.

    x: (N, D). weights: None, (N,) per vector (matters only with ``price``) or (N, D) per component. price: what a bit
    of index costs in weighted error; needs ``codebook.bits``.
    """
    left, right = _operands(x, codebook, weights, price)
    out = np.empty(len(left), np.int64)
    block = max(1, _BLOCK // len(right))
    for start in range(0, len(left), block):
        rows = slice(start, start + block)
        out[rows] = np.argmin(left[rows] @ right.T, axis=1)
    return out


def fit_kmeans(
    x: Array, k: int, weights: Array | None = None, iterations: int = 10, seed: int = 0, price: float = 0.0
) -> Codebook:
    """At most k codes that lower sum w |x - c|^2 + price * bits, by Lloyd's rounds from a k-means++-like start.

    x: (N, D); fewer distinct rows than k give fewer codes. weights: None, (N,) or (N, D), not negative. price: 0 is
    k-means; above, it is entropy-constrained (Chou, Lookabaugh and Gray 1989): codes that do not earn their index
    bits die out. With price 0, codes left without members move to the vectors with the largest errors. Stops after
    ``iterations`` rounds or when a round gains less than 0.1 %. Deterministic for a seed.
    """
    x = np.ascontiguousarray(x, np.float32)
    if x.ndim != 2 or not len(x) or k < 1:
        raise UsageError("k-means needs a table of at least one row and at least one code")
    w = None if weights is None else np.asarray(weights, np.float32)
    rng = np.random.default_rng(seed)
    codes = _start(x, k, w, rng)
    bits: F64 | None = np.full(len(codes), np.log2(max(len(codes), 2))) if price else None
    before = np.inf
    for _ in range(iterations):
        indices = assign(x, Codebook(codes, bits), w, price)
        errors = _errors(x, codes, indices, w)
        cost = float(errors.sum(dtype=np.float64)) + (price * float(bits[indices].sum()) if bits is not None else 0.0)
        if cost >= before * (1 - _SETTLED):
            break
        before = cost
        codes, counts = _means(x, indices, codes, w)
        if bits is not None:
            alive = counts > 0
            codes, counts = codes[alive], counts[alive]
            bits = np.log2(counts.sum() / counts)
        elif not counts.all():
            codes = codes.copy()
            dead = np.flatnonzero(counts == 0)
            worst = np.argsort(-errors, kind="stable")[: len(dead)]
            codes[dead[: len(worst)]] = x[worst]
    return Codebook(codes, bits)


def _operands(x: Array, codebook: Codebook, weights: Array | None, price: float) -> tuple[F32, F32]:
    """Matrices whose product is the cost of every code for every row, up to a constant per row."""
    x, codes = np.asarray(x, np.float32), codebook.codes
    w = None if weights is None else np.asarray(weights, np.float32)
    if w is not None and w.ndim == 2:
        left, right = [-2 * w * x, w], [codes, codes * codes]
        row: Array = np.ones((len(x), 1), np.float32)
    else:
        left, right = [-2 * x, np.ones((len(x), 1), np.float32)], [codes, (codes * codes).sum(1, keepdims=True)]
        row = np.ones((len(x), 1), np.float32) if w is None else 1 / np.maximum(w, 1e-20)[:, None]
    if price:
        if codebook.bits is None:
            raise UsageError("a price of bits needs a codebook that knows what its indices cost")
        left.append(np.float32(price) * row)
        right.append(codebook.bits.astype(np.float32)[:, None])
    return np.hstack(left), np.hstack(right)


def _start(x: F32, k: int, weights: F32 | None, rng: np.random.Generator) -> F32:
    """Distinct rows drawn by weighted squared distance to those before: one by one at first (k-means++, Arthur and
    Vassilvitskii 2007), then in rounds that quadruple their number."""
    mass = np.ones(len(x)) if weights is None else np.asarray(weights.reshape(len(x), -1).mean(1), np.float64)
    distances = np.square(x - np.average(x, axis=0, weights=mass + 1e-30), dtype=np.float64).sum(1)
    picked = np.zeros(0, np.int64)
    while len(picked) < k:
        odds = mass * distances
        odds[picked] = 0
        possible = np.flatnonzero(odds)
        target = len(picked) + 1 if len(picked) < min(k, _ONE_BY_ONE) else min(k, 4 * len(picked))
        count = min(target - len(picked), len(possible))
        if not count:
            break
        # The largest log odds plus Gumbel noise are a draw by odds without replacement.
        keys = np.log(odds[possible]) + rng.gumbel(size=len(possible))
        fresh = possible[np.argpartition(-keys, count - 1)[:count]]
        near = np.square(x - Codebook(x[fresh]).decode(assign(x, Codebook(x[fresh]))), dtype=np.float64).sum(1)
        distances = np.minimum(distances, near) if len(picked) else near
        picked = np.concatenate([picked, fresh])
    return np.unique(x[picked], axis=0) if len(picked) else x[:1].copy()


def _means(x: F32, indices: I64, codes: F32, weights: F32 | None) -> tuple[F32, F64]:
    """Weighted mean of every code's members (its old value without any) and the number of members."""
    k, d = codes.shape
    counts = np.bincount(indices, minlength=k).astype(np.float64)
    w: Array = np.ones((len(x), 1), np.float32) if weights is None else weights.reshape(len(x), -1)
    sums, masses = np.empty((k, d)), np.empty((k, d))
    for j in range(d):
        column = w[:, min(j, w.shape[1] - 1)]
        if j == 0 or w.shape[1] > 1:
            masses[:, j] = np.bincount(indices, column, k)
        else:
            masses[:, j] = masses[:, 0]
        sums[:, j] = np.bincount(indices, column * x[:, j], k)
    return np.where(masses > 0, sums / np.where(masses > 0, masses, 1), codes).astype(np.float32), counts


def _errors(x: F32, codes: F32, indices: I64, weights: F32 | None) -> F32:
    """(N,) weighted squared errors."""
    squares = np.square(x - codes[indices])
    if weights is None:
        return squares.sum(1)
    return (squares * weights.reshape(len(x), -1)).sum(1)
