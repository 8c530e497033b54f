"""Who gets how many bits: equal slopes in closed form, convex hulls of measured points, choices under a size limit."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.errors import UsageError

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Array = npt.NDArray[Any]


def equal_slope_steps(sensitivity: Array, error: float) -> F64:
    """Steps at which every parameter adds ``error`` to the picture: sqrt(12 error / h), of h's shape, infinite where
    h is 0.

    That is the optimum at high rate, since each bit then buys the same: d error / d bit = 2 ln(2) ``error``
    everywhere.
    """
    h = np.asarray(sensitivity, np.float64)
    with np.errstate(divide="ignore"):
        return np.sqrt(12.0 * error / h)


def slope_of(error: float) -> float:
    """Picture error that one bit is worth when every parameter adds ``error``: the price for all other choices."""
    return float(2 * np.log(2) * error)


def step_classes(steps: Array, per_octave: int, low: int, high: int) -> I64:
    """Steps rounded to 2^(class / per_octave), class clipped to [low, high]: what a file says about a Gaussian's
    precision.

    At equal bits one class per octave costs 8 % more error than exact steps, two cost 2 %.
    """
    with np.errstate(divide="ignore"):
        octaves = np.log2(np.asarray(steps, np.float64)) * per_octave
    return np.clip(np.rint(octaves), low, high).astype(np.int64)


def lower_hull(rates: Array, errors: Array) -> I64:
    """Indices of the points on the lower convex hull, by increasing rate, ending at the least error."""
    rates, errors = np.asarray(rates, np.float64), np.asarray(errors, np.float64)
    hull: list[int] = []
    for i in np.lexsort((errors, rates)):
        if hull and errors[i] >= errors[hull[-1]]:
            continue
        while len(hull) > 1 and _turns_up(rates, errors, hull[-2], hull[-1], i):
            hull.pop()
        hull.append(int(i))
    return np.array(hull, np.int64)


def _turns_up(rates: F64, errors: F64, a: int, b: int, c: int) -> bool:
    """Whether b lies on or above the line from a to c."""
    return (errors[b] - errors[a]) * (rates[c] - rates[a]) >= (errors[c] - errors[a]) * (rates[b] - rates[a])


def choose(streams: Sequence[tuple[Array, Array]], budget: float) -> list[int]:
    """One option for each stream, (rates, errors) per stream, with a small total error within a total rate of
    ``budget``.

    Walks down the steepest hull segments of all streams (optimal for the hulls), then spends what is left on any
    option that still fits. The error is above the best possible by less than the largest single step on a hull.
    Raises UsageError when even the cheapest options exceed the budget.
    """
    hulls = [lower_hull(rates, errors) for rates, errors in streams]
    chosen = [int(hull[0]) for hull in hulls]
    spent = sum(float(rates[c]) for (rates, _), c in zip(streams, chosen))
    if spent > budget:
        raise UsageError(f"the cheapest options need {spent:g}, the budget is {budget:g}")
    segments = []
    for s, ((rates, errors), hull) in enumerate(zip(streams, hulls)):
        for a, b in pairwise(hull):
            segments.append(((errors[b] - errors[a]) / (rates[b] - rates[a]), s, int(a), int(b)))
    for _, s, a, b in sorted(segments):
        extra = float(streams[s][0][b] - streams[s][0][a])
        if chosen[s] == a and spent + extra <= budget:
            chosen[s], spent = b, spent + extra
    return _spend_rest(streams, chosen, budget - spent)


def _spend_rest(streams: Sequence[tuple[Array, Array]], chosen: list[int], left: float) -> list[int]:
    while True:
        best = (0.0, -1, -1)
        for s, (rates, errors) in enumerate(streams):
            fits = np.asarray(rates) - rates[chosen[s]] <= left
            option = int(np.argmin(np.where(fits, errors, np.inf)))
            best = min(best, (float(errors[option] - errors[chosen[s]]), s, option))
        gain, s, option = best
        if gain >= 0:
            return chosen
        left -= float(streams[s][0][option] - streams[s][0][chosen[s]])
        chosen[s] = option


def bisect_slope(streams: Sequence[tuple[Array, Array]], budget: float, rounds: int = 60) -> float:
    """The least price of rate at which each stream's own best option (error + price * rate) keeps the total in budget.

    Raises UsageError when even the cheapest options exceed it.
    """
    if sum(float(np.min(rates)) for rates, _ in streams) > budget:
        raise UsageError(f"the cheapest options exceed the budget of {budget:g}")

    def total(price: float) -> float:
        # Of equally good options the cheaper counts.
        return sum(float(rates[best_at(rates, errors, price)]) for rates, errors in streams)

    if total(0.0) <= budget:
        return 0.0
    low, high = 0.0, 1e-12
    while total(high) > budget:
        low, high = high, high * 16
    for _ in range(rounds):
        middle = np.sqrt(low * high) if low else high / 4
        low, high = (middle, high) if total(middle) > budget else (low, middle)
    return float(high)


def best_at(rates: Array, errors: Array, price: float) -> int:
    """Index of the least error + price * rate, the cheapest of equals."""
    cost = np.asarray(errors, np.float64) + price * np.asarray(rates, np.float64)
    return int(np.lexsort((rates, cost))[0])
