"""Bjøntegaard deltas: the mean gap between two rate-distortion curves, in percent of rate or in dB.

Bjøntegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33 (2001): rates in the log domain, one
cubic polynomial through (at least) four points, integrated over the range that both curves cover. JCT-VC replaced the
polynomial by piecewise cubics that keep monotone data monotone (Fritsch and Carlson, SIAM J. Numer. Anal. 17, 1980,
with Butland's slopes), which is what ``pchip`` does and what everyone quotes today.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
Method = Literal["pchip", "cubic"]
_LEAST = {"pchip": 2, "cubic": 4}


@dataclass(frozen=True, slots=True)
class Curve:
    """rates (P,) in bytes and psnrs (P,) in dB, both strictly increasing."""

    rates: F64
    psnrs: F64

    def __len__(self) -> int:
        return len(self.rates)


def curve(points: Sequence[tuple[float, float]]) -> Curve:
    """From (bytes, dB) in any order. Points that another one beats in both are left out, and so are infinite ones."""
    kept: list[tuple[float, float]] = []
    for rate, psnr in sorted((r, p) for r, p in points if r > 0 and math.isfinite(p)):
        if kept and rate == kept[-1][0]:
            kept.pop()
        if not kept or psnr > kept[-1][1]:
            kept.append((rate, psnr))
    table = np.array(kept, np.float64).reshape(-1, 2)
    return Curve(table[:, 0], table[:, 1])


def bd_rate(anchor: Curve, test: Curve, method: Method = "pchip") -> float | None:
    """Percent more (negative: fewer) bytes than the anchor at the same PSNR; None when no PSNR is in both curves."""
    gap = _mean_gap(
        (anchor.psnrs, np.log(anchor.rates)),
        (test.psnrs, np.log(test.rates)),
        method,
    )
    return None if gap is None else math.expm1(gap) * 100


def bd_psnr(anchor: Curve, test: Curve, method: Method = "pchip") -> float | None:
    """dB more (negative: less) than the anchor at the same size; None when no size is in both curves."""
    return _mean_gap((np.log(anchor.rates), anchor.psnrs), (np.log(test.rates), test.psnrs), method)


def rate_at(curve: Curve, psnr: float) -> float | None:
    """Bytes that the curve needs for a PSNR; None outside of it, nothing is extrapolated."""
    if len(curve) < 2 or not curve.psnrs[0] <= psnr <= curve.psnrs[-1]:
        return None
    return float(np.exp(_pchip(curve.psnrs, np.log(curve.rates), np.array([psnr]))[0]))


def psnr_at(curve: Curve, rate: float) -> float | None:
    """dB that the curve reaches in so many bytes; None outside of it."""
    if len(curve) < 2 or not curve.rates[0] <= rate <= curve.rates[-1]:
        return None
    return float(_pchip(np.log(curve.rates), curve.psnrs, np.log([rate]))[0])


def _mean_gap(anchor: tuple[F64, F64], test: tuple[F64, F64], method: Method) -> float | None:
    """Mean of test - anchor over the x that both cover."""
    if min(len(anchor[0]), len(test[0])) < _LEAST[method]:
        return None
    low, high = max(anchor[0][0], test[0][0]), min(anchor[0][-1], test[0][-1])
    if not low < high:
        return None
    area = _polynomial_area if method == "cubic" else _pchip_area
    return (area(*test, low, high) - area(*anchor, low, high)) / float(high - low)


def _polynomial_area(x: F64, y: F64, low: float, high: float) -> float:
    middle = float(x.mean())  # centred: the polynomial is the same, its coefficients are tame
    integral = np.polyint(np.polyfit(x - middle, y, 3))
    return float(np.polyval(integral, high - middle) - np.polyval(integral, low - middle))


def _pchip_area(x: F64, y: F64, low: float, high: float) -> float:
    """Exact: Simpson's rule on every piece, which is a cubic."""
    inner = x[(x > low) & (x < high)]
    edges = np.concatenate([[low], inner, [high]])
    left, middle, right = (_pchip(x, y, at) for at in (edges[:-1], (edges[:-1] + edges[1:]) / 2, edges[1:]))
    return float((np.diff(edges) * (left + 4 * middle + right) / 6).sum())


def _pchip(x: F64, y: F64, at: F64) -> F64:
    """Monotone piecewise cubic through (x, y), evaluated inside the range of x."""
    h, slope = np.diff(x), np.diff(y) / np.diff(x)
    d = _slopes(h, slope)
    i = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(h) - 1)
    t = (at - x[i]) / h[i]
    keep, turn = (1 + 2 * t) * (1 - t) ** 2, t * (1 - t) ** 2
    return y[i] * keep + h[i] * d[i] * turn + y[i + 1] * (1 - keep) - h[i] * d[i + 1] * t**2 * (1 - t)


def _slopes(h: F64, slope: F64) -> F64:
    """Derivatives at the points: weighted harmonic means inside, a limited three-point formula at the ends."""
    if len(h) == 1:
        return np.repeat(slope, 2)
    before, after = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    same = slope[:-1] * slope[1:] > 0
    safe = [np.where(same, s, 1.0) for s in (slope[:-1], slope[1:])]
    inner = np.where(same, (before + after) / (before / safe[0] + after / safe[1]), 0.0)
    first = _end_slope(h[0], h[1], slope[0], slope[1])
    last = _end_slope(h[-1], h[-2], slope[-1], slope[-2])
    return np.concatenate([[first], inner, [last]])


def _end_slope(h0: float, h1: float, s0: float, s1: float) -> float:
    d = ((2 * h0 + h1) * s0 - h0 * s1) / (h0 + h1)
    if d * s0 <= 0:
        return 0.0
    return 3 * s0 if s0 * s1 <= 0 and abs(d) > 3 * abs(s0) else d
