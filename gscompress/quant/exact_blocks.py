"""exp, log, cosine and sine of many numbers: bit by bit what ``quant.exact`` gives for one, several times faster.

Each step is a loop over a block that stays in the first-level cache, so that LLVM makes vector operations of it; the
operations on a number are those of the scalar twins, in the same order.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.quant.exact import EXP_SERIES, LN2, LOG2E, LOG_SERIES, SQRT_HALF

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
BLOCK = 512  # numbers; a handful of such arrays fit the first-level cache
COSINE = tuple((-1.0) ** k / math.factorial(2 * k) for k in range(9, -1, -1))  # Taylor, in x^2, highest first
SINE = tuple((-1.0) ** k / math.factorial(2 * k + 1) for k in range(9, -1, -1))  # the same of sin(x) / x
_MANTISSA = (1 << 52) - 1


@nb.njit(cache=True, nogil=True)
def exp_block(x: F64, out: F64) -> None:
    """out = e^x for (n,) numbers, |x| < 700."""
    n = len(x)
    rest, bits = np.empty(n, np.float64), np.empty(n, np.int64)
    for i in range(n):
        k = math.floor(x[i] * LOG2E + 0.5)
        rest[i] = x[i] - k * LN2
        bits[i] = (np.int64(k) + 1023) << 52
        out[i] = EXP_SERIES[0]
    for c in EXP_SERIES[1:]:
        for i in range(n):
            out[i] = out[i] * rest[i] + c
    power = bits.view(np.float64)
    for i in range(n):
        out[i] *= power[i]


@nb.njit(cache=True, nogil=True, error_model="numpy")
def log_block(x: F64, out: F64) -> None:
    """out = ln x for (n,) positive numbers, none of them denormal."""
    n = len(x)
    bits = x.view(np.int64)
    mantissa, octaves = np.empty(n, np.int64), np.empty(n, np.float64)
    for i in range(n):
        mantissa[i] = (bits[i] & _MANTISSA) | (1022 << 52)
    m = mantissa.view(np.float64)
    z, zz = np.empty(n, np.float64), np.empty(n, np.float64)
    for i in range(n):
        low = m[i] < SQRT_HALF
        octaves[i] = np.float64((bits[i] >> 52) - 1022 - np.int64(low))
        value = m[i] * 2.0 if low else m[i]
        z[i] = (value - 1.0) / (value + 1.0)
        zz[i] = z[i] * z[i]
        out[i] = LOG_SERIES[0]
    for c in LOG_SERIES[1:]:
        for i in range(n):
            out[i] = out[i] * zz[i] + c
    for i in range(n):
        out[i] = 2.0 * z[i] * out[i] + octaves[i] * LN2


@nb.njit(cache=True, nogil=True)
def cos_sin_block(angles: F64, cosine: F64, sine: F64) -> None:
    """Cosine and sine of (n,) angles in [-pi, pi + 1]: series of the quarter angle, doubled twice."""
    n = len(angles)
    x, xx = np.empty(n, np.float64), np.empty(n, np.float64)
    for i in range(n):
        x[i] = angles[i] * 0.25
        xx[i] = x[i] * x[i]
        sine[i], cosine[i] = SINE[0], COSINE[0]
    for a in SINE[1:]:
        for i in range(n):
            sine[i] = sine[i] * xx[i] + a
    for b in COSINE[1:]:
        for i in range(n):
            cosine[i] = cosine[i] * xx[i] + b
    for i in range(n):
        s, c = sine[i] * x[i], cosine[i]
        s, c = 2.0 * s * c, c * c - s * s
        sine[i], cosine[i] = 2.0 * s * c, c * c - s * s


@nb.njit(cache=True, nogil=True)
def log_opacities_to_logits(t: F64, out: F32) -> None:
    """t = -ln(opacity) >= 1e-10 (N,) to logit(opacity) (N,)."""
    x, y, z = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    for start in range(0, len(t), BLOCK):
        n = min(BLOCK, len(t) - start)
        for i in range(n):
            x[i] = -t[start + i]
        exp_block(x[:n], y[:n])
        for i in range(n):
            y[i] = 1.0 - y[i]
        log_block(y[:n], z[:n])
        for i in range(n):
            out[start + i] = np.float32(x[i] - z[i])


@nb.njit(cache=True, nogil=True)
def sharpen(widened: F64, blur: float, out: F32) -> None:
    """Log scales (N, 3) from widened ones, ln sqrt(s^2 + blur^2); no result is thinner than a fifth of the blur."""
    floor, square = 0.04 * blur * blur, blur * blur
    x, y = np.empty(3 * BLOCK), np.empty(3 * BLOCK)
    for start in range(0, len(widened), BLOCK):
        rows = min(BLOCK, len(widened) - start)
        for i in range(rows):
            for k in range(3):
                x[3 * i + k] = 2.0 * widened[start + i, k]
        exp_block(x[: 3 * rows], y[: 3 * rows])
        for i in range(3 * rows):
            y[i] = max(y[i] - square, floor, 1e-60)
        log_block(y[: 3 * rows], x[: 3 * rows])
        for i in range(rows):
            for k in range(3):
                out[start + i, k] = np.float32(0.5 * x[3 * i + k])
