"""From decoded integers to floats, row by row: the hot end of the default decoder.

Only exactly rounded operations in a fixed order (no fastmath), so every machine gets the same bits. The slow twins are
``quant.rotation.from_parameters`` with ``frame.matrix_to_quat`` and a matrix product.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


# Taylor coefficients of sine (over x) and cosine in x^2, highest first.
_SINE = tuple((-1.0) ** k / math.factorial(2 * k + 1) for k in range(9, -1, -1))
_COSINE = tuple((-1.0) ** k / math.factorial(2 * k) for k in range(9, -1, -1))


@nb.njit(cache=True, nogil=True)
def _cos_sin(angle: float) -> tuple[float, float]:
    """Cosine and sine of an angle in [-pi, pi + 1]: series of the quarter angle, doubled twice."""
    x = angle * 0.25
    xx = x * x
    sine, cosine = _SINE[0], _COSINE[0]
    for k in range(1, 10):
        sine = sine * xx + _SINE[k]
        cosine = cosine * xx + _COSINE[k]
    sine *= x
    for _ in range(2):
        sine, cosine = 2.0 * sine * cosine, cosine * cosine - sine * sine
    return cosine, sine


@nb.njit(cache=True, nogil=True)
def quats_from_parameters(face: I64, parameters: F64, lead: I64) -> F32:
    """(N, 4) wxyz float32 from face, (two warped tangents, angle) and leading axis; see ``quant.rotation``."""
    out = np.empty((len(face), 4), np.float32)
    d, u, v, o, m = np.empty(3), np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    r = np.empty((3, 3))
    for i in range(len(face)):
        f = face[i]
        g, h = (f + 1) % 3, (f + 2) % 3
        c1, s1 = _cos_sin(parameters[i, 0] * (math.pi / 4))
        c2, s2 = _cos_sin(parameters[i, 1] * (math.pi / 4))
        a, b = s1 / c1, s2 / c2
        length = math.sqrt(1.0 + a * a + b * b)
        d[f], d[g], d[h] = 1.0 / length, a / length, b / length
        # u: the world axis after the face's, made orthogonal to d; v completes the frame.
        along = d[g]
        for k in range(3):
            u[k] = (1.0 if k == g else 0.0) - along * d[k]
        length = math.sqrt(u[0] * u[0] + u[1] * u[1] + u[2] * u[2])
        for k in range(3):
            u[k] /= length
        v[0], v[1], v[2] = d[1] * u[2] - d[2] * u[1], d[2] * u[0] - d[0] * u[2], d[0] * u[1] - d[1] * u[0]
        cosine, sine = _cos_sin(parameters[i, 2])
        for k in range(3):
            o[k] = cosine * u[k] + sine * v[k]
        m[0], m[1], m[2] = d[1] * o[2] - d[2] * o[1], d[2] * o[0] - d[0] * o[2], d[0] * o[1] - d[1] * o[0]
        for k in range(3):
            if lead[i] == 0:
                r[k, 0], r[k, 1], r[k, 2] = d[k], -m[k], o[k]
            else:
                r[k, 0], r[k, 1], r[k, 2] = o[k], m[k], d[k]
        _quat(r, out, i)
    return out


@nb.njit(cache=True, nogil=True)
def _quat(r: F64, out: F32, i: int) -> None:
    """A rotation matrix as a unit quaternion with w >= 0, largest component first (Shepperd 1978)."""
    squares = (
        1.0 + r[0, 0] + r[1, 1] + r[2, 2],
        1.0 + r[0, 0] - r[1, 1] - r[2, 2],
        1.0 - r[0, 0] + r[1, 1] - r[2, 2],
        1.0 - r[0, 0] - r[1, 1] + r[2, 2],
    )
    dx, dy, dz = r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]
    sx, sy, sz = r[2, 1] + r[1, 2], r[0, 2] + r[2, 0], r[1, 0] + r[0, 1]
    if squares[0] >= squares[1] and squares[0] >= squares[2] and squares[0] >= squares[3]:
        w, x, y, z = squares[0], dx, dy, dz
    elif squares[1] >= squares[2] and squares[1] >= squares[3]:
        w, x, y, z = dx, squares[1], sz, sy
    elif squares[2] >= squares[3]:
        w, x, y, z = dy, sz, squares[2], sx
    else:
        w, x, y, z = dz, sy, sx, squares[3]
    scale = 1.0 / math.sqrt(w * w + x * x + y * y + z * z)
    if w < 0.0:
        scale = -scale
    out[i, 0], out[i, 1], out[i, 2], out[i, 3] = w * scale, x * scale, y * scale, z * scale


@nb.njit(cache=True, nogil=True)
def add_band(sh: F32, symbols: I32, lengths: I64, steps: F64, basis: F64) -> None:
    """Add one level to flattened SH (N, 3 + n), past the DC: symbols (N, c) times step (N,) times basis rows (c, n)."""
    rows, columns = symbols.shape
    n = basis.shape[1]
    total = np.empty(n)
    for i in range(rows):
        if lengths[i] == 0:
            continue
        for k in range(n):
            total[k] = sh[i, 3 + k]
        for j in range(min(lengths[i], columns)):
            if symbols[i, j] != 0:
                value = symbols[i, j] * steps[i]
                for k in range(n):
                    total[k] += value * basis[j, k]
        for k in range(n):
            sh[i, 3 + k] = np.float32(total[k])
