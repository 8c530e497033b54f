"""Scalar quantizers: uniform with dead zone and shifted reconstruction, Lloyd-Max levels, minifloat grids.

Entropy-coded uniform steps are within 0.25 bit of the bound at any rate, so they are the work horse; non-uniform
levels pay where codes have a fixed length (render-ready formats, tables).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.errors import UsageError

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Uniform:
    """symbol = sign(x) floor(|x| / step + rounding); value = sign(q) (|q| - shift) step.

    step: positive, a scalar or an array that broadcasts against x. rounding: 0.5 is plain rounding; less widens the
    zero bin to 2 (1 - rounding) steps. shift: 0 to 0.5, reconstruction points moved towards zero.
    """

    step: float | F64
    rounding: float = 0.5
    shift: float = 0.0

    def __post_init__(self) -> None:
        if not (np.all(np.asarray(self.step) > 0) and 0 <= self.rounding <= 0.5 and 0 <= self.shift <= 0.5):
            raise UsageError("a uniform quantizer needs step > 0, rounding in [0, 0.5] and shift in [0, 0.5]")

    def encode(self, x: Array) -> I64:
        scaled = np.asarray(x, np.float64) / self.step
        return (np.sign(scaled) * np.floor(np.abs(scaled) + self.rounding)).astype(np.int64)

    def decode(self, symbols: Array) -> F64:
        q = np.asarray(symbols, np.float64)
        return (q - np.sign(q) * self.shift) * self.step

    def bound(self) -> float | F64:
        """Greatest possible |x - decode(encode(x))|, per step."""
        return np.asarray(self.step) * (1.0 - self.rounding + self.shift)


def fit_shift(x: Array, step: float | F64, rounding: float, weights: Array | None = None) -> float:
    """The shift at which nonzero symbols decode to the (weighted) mean of what they stand for, within [0, 0.5].

    Beware for splat colours: it lowers each coefficient's own error, but pulls all of them towards zero, which adds
    up where Gaussians overlap and costs more picture than it saves (docs/quantization.md).
    """
    plain = Uniform(step, rounding)
    q = plain.encode(x)
    scaled = np.abs(np.asarray(x, np.float64) / step)
    w = (q != 0) * (np.ones(q.shape) if weights is None else np.broadcast_to(weights, q.shape))
    w = w * np.broadcast_to(np.asarray(step, np.float64) ** 2, q.shape)
    total = w.sum()
    return float(np.clip((w * (np.abs(q) - scaled)).sum() / total, 0.0, 0.5)) if total > 0 else 0.0


@dataclass(frozen=True)
class Levels:
    """A sorted table of values; the code of x is the index of the nearest (the lower one in a tie)."""

    values: F64

    def encode(self, x: Array) -> I64:
        return np.searchsorted((self.values[1:] + self.values[:-1]) / 2, x, side="left").astype(np.int64)

    def decode(self, codes: Array) -> F64:
        return self.values[np.asarray(codes)]


def fit_lloyd_max(x: Array, count: int, weights: Array | None = None, iterations: int = 60) -> Levels:
    """``count`` levels with the least (weighted) mean squared error that Lloyd's rounds find (Lloyd 1982, Max 1960).

    Starts at equal shares of p^(1/3), Panter and Dite's high-rate density, and works on sorted prefix sums: a round
    costs ``count`` look-ups. Levels left without members keep their value.
    """
    flat = np.asarray(x, np.float64).ravel()
    if not len(flat) or count < 1:
        raise UsageError("Lloyd-Max needs at least one value and one level")
    order = np.argsort(flat, kind="stable")
    sorted_x = flat[order]
    w = np.ones(len(flat)) if weights is None else np.broadcast_to(weights, np.shape(x)).ravel()[order]
    mass = np.concatenate([[0.0], np.cumsum(w)])
    moment = np.concatenate([[0.0], np.cumsum(w * sorted_x)])
    levels = _companded_start(sorted_x, w, count)
    for _ in range(iterations):
        edges = np.searchsorted(sorted_x, (levels[1:] + levels[:-1]) / 2, side="right")
        edges = np.concatenate([[0], edges, [len(flat)]])
        inside = np.diff(mass[edges])
        moved = np.where(inside > 0, np.diff(moment[edges]) / np.where(inside > 0, inside, 1.0), levels)
        if np.array_equal(moved, levels):
            break
        levels = np.sort(moved)
    return Levels(levels)


def _companded_start(sorted_x: F64, weights: F64, count: int) -> F64:
    low, high = sorted_x[0], sorted_x[-1]
    density, edges = np.histogram(
        sorted_x, bins=512, range=(low, high) if high > low else (low - 0.5, low + 0.5), weights=weights
    )
    shares = np.concatenate([[0.0], np.cumsum(np.cbrt(density))])
    return np.interp((np.arange(count) + 0.5) / count * shares[-1], shares, edges)


def minifloat(exponent_bits: int, mantissa_bits: int) -> Levels:
    """All finite values of a signed format with subnormals and IEEE bias, without infinities (as in OCP E4M3, E2M1).

    minifloat(2, 1) is E2M1: 0, .5, 1, 1.5, 2, 3, 4, 6. Every code is a number: the codes that E4M3 and E5M2 keep for
    NaN and infinity count as numbers too. Scale before encoding.
    """
    if not (1 <= exponent_bits <= 6 and 0 <= mantissa_bits <= 10):
        raise UsageError("a minifloat has 1 to 6 exponent bits and up to 10 mantissa bits")
    bias = (1 << (exponent_bits - 1)) - 1
    exponent, mantissa = np.divmod(np.arange(1 << (exponent_bits + mantissa_bits)), 1 << mantissa_bits)
    fraction = mantissa / (1 << mantissa_bits) + (exponent > 0)
    positive = np.ldexp(fraction, np.maximum(exponent, 1) - bias)
    return Levels(np.unique(np.concatenate([-positive, positive])))
