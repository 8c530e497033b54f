"""exp, log and friends from +, -, *, / and exact scaling alone: the same bits on every machine.

Math libraries differ in the last place; a decoder that used them would not decode to the same bytes everywhere. Every
step below is a single IEEE 754 double operation in a fixed order (numba fuses none of them without fastmath).
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
LN2 = 0.6931471805599453
LOG2E = 1.4426950408889634
SQRT_HALF = 0.7071067811865476
# Taylor coefficients, highest first: 1 / n! of exp, 1 / n (odd n) of atanh.
EXP_SERIES = tuple(1.0 / math.factorial(n) for n in range(14, -1, -1))
LOG_SERIES = tuple(1.0 / n for n in range(21, 0, -2))


@nb.njit(cache=True, nogil=True)
def exp(x: float) -> float:
    """e^x for |x| < 700 to 1e-15 relative: 2^k times a Taylor series on [-ln2 / 2, ln2 / 2]."""
    k = math.floor(x * LOG2E + 0.5)
    r = x - k * LN2
    total = EXP_SERIES[0]
    for c in EXP_SERIES[1:]:
        total = total * r + c
    return math.ldexp(total, int(k))


@nb.njit(cache=True, nogil=True)
def log(x: float) -> float:
    """ln x for positive x to 1e-15: 2 atanh((m - 1) / (m + 1)) on m in [sqrt(1/2), sqrt 2), plus exponent times ln
    2."""
    m, k = math.frexp(x)
    if m < SQRT_HALF:
        m, k = m * 2.0, k - 1
    z = (m - 1.0) / (m + 1.0)
    zz = z * z
    total = LOG_SERIES[0]
    for c in LOG_SERIES[1:]:
        total = total * zz + c
    return 2.0 * z * total + k * LN2


def exponent(x: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """floor(log2 x) of positive x, exactly."""
    return np.frexp(x)[1].astype(np.int64) - 1


def half_octave(x: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """floor(2 log2 x) of positive x, exactly (up to the rounding of the square root of one half)."""
    mantissa, k = np.frexp(x)
    return 2 * (k.astype(np.int64) - 1) + (mantissa >= SQRT_HALF)
