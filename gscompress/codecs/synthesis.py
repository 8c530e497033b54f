"""From decoded integers to floats, row by row: the hot end of the default decoder.

Only exactly rounded operations in a fixed order (no fastmath), so every machine gets the same bits. The slow twins are
``quant.rotation.from_parameters`` with ``frame.matrix_to_quat`` and a matrix product.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.quant.exact_blocks import BLOCK, cos_sin_block

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


@nb.njit(cache=True, nogil=True)
def quats_from_parameters(face: I64, parameters: F64, lead: I64, out: F32) -> None:
    """(N, 4) unit wxyz, w >= 0, from face, (two warped tangents, angle) and leading axis; see ``quant.rotation``."""
    angles, cosines, sines = np.empty((3, BLOCK)), np.empty((3, BLOCK)), np.empty((3, BLOCK))
    quats = np.empty((4, BLOCK))
    for start in range(0, len(face), BLOCK):
        rows = min(BLOCK, len(face) - start)
        for i in range(rows):
            angles[0, i] = parameters[start + i, 0] * (math.pi / 4)
            angles[1, i] = parameters[start + i, 1] * (math.pi / 4)
            angles[2, i] = parameters[start + i, 2]
        for k in range(3):
            cos_sin_block(angles[k, :rows], cosines[k], sines[k])
        some = slice(start, start + rows)
        _quats(face[some], lead[some], cosines, sines, quats)
        for i in range(rows):
            for k in range(4):
                out[start + i, k] = np.float32(quats[k, i])


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _quats(face: I64, lead: I64, cosines: F64, sines: F64, out: F64) -> None:
    """One block, component by component (4, BLOCK). Choices between two values instead of branches let LLVM make vector
    operations of it."""
    for i in range(len(face)):
        f, needle = face[i], lead[i] == 0
        a, b = sines[0, i] / cosines[0, i], sines[1, i] / cosines[1, i]
        cosine, sine = cosines[2, i], sines[2, i]
        length = math.sqrt(1.0 + a * a + b * b)
        major, a, b = 1.0 / length, a / length, b / length
        # d: the leading axis, its largest component along the face's axis.
        d0 = major if f == 0 else (b if f == 1 else a)
        d1 = a if f == 0 else (major if f == 1 else b)
        d2 = b if f == 0 else (a if f == 1 else major)
        # u: the world axis after the face's, made orthogonal to d; v completes the frame.
        u0 = (1.0 if f == 2 else 0.0) - a * d0
        u1 = (1.0 if f == 0 else 0.0) - a * d1
        u2 = (1.0 if f == 1 else 0.0) - a * d2
        length = math.sqrt(u0 * u0 + u1 * u1 + u2 * u2)
        u0, u1, u2 = u0 / length, u1 / length, u2 / length
        v0, v1, v2 = d1 * u2 - d2 * u1, d2 * u0 - d0 * u2, d0 * u1 - d1 * u0
        o0, o1, o2 = cosine * u0 + sine * v0, cosine * u1 + sine * v1, cosine * u2 + sine * v2
        m0, m1, m2 = d1 * o2 - d2 * o1, d2 * o0 - d0 * o2, d0 * o1 - d1 * o0
        # Columns of the rotation: the longest axis, the middle one, the shortest.
        r00, r10, r20 = (d0 if needle else o0), (d1 if needle else o1), (d2 if needle else o2)
        r01, r11, r21 = (-m0 if needle else m0), (-m1 if needle else m1), (-m2 if needle else m2)
        r02, r12, r22 = (o0 if needle else d0), (o1 if needle else d1), (o2 if needle else d2)
        # Four times the squared components; the largest is the safest to divide by (Shepperd 1978).
        ww, xx = 1.0 + r00 + r11 + r22, 1.0 + r00 - r11 - r22
        yy, zz = 1.0 - r00 + r11 - r22, 1.0 - r00 - r11 + r22
        dx, dy, dz = r21 - r12, r02 - r20, r10 - r01
        sx, sy, sz = r21 + r12, r02 + r20, r10 + r01
        by_w = (ww >= xx) & (ww >= yy) & (ww >= zz)
        by_x, by_y = (xx >= yy) & (xx >= zz), yy >= zz
        w = ww if by_w else (dx if by_x else (dy if by_y else dz))
        x = dx if by_w else (xx if by_x else (sz if by_y else sy))
        y = dy if by_w else (sz if by_x else (yy if by_y else sx))
        z = dz if by_w else (sy if by_x else (sx if by_y else zz))
        scale = 1.0 / math.sqrt(w * w + x * x + y * y + z * z)
        scale = -scale if w < 0.0 else scale
        out[0, i], out[1, i], out[2, i], out[3, i] = w * scale, x * scale, y * scale, z * scale


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


@nb.njit(cache=True, nogil=True)
def dc_to_rgb(symbols: I32, offset: F64, steps: F64, luma_chroma: F64, sh: F32) -> None:
    """Write the DC of SH (N, K, 3): symbols (N, 3) times step (N,) plus offset (3,) in luma and chroma, as RGB."""
    for i in range(len(symbols)):
        luma, rb = offset[0] + symbols[i, 0] * steps[i], offset[1] + symbols[i, 1] * steps[i]
        gm = offset[2] + symbols[i, 2] * steps[i]
        for c in range(3):
            value = luma * luma_chroma[0, c] + rb * luma_chroma[1, c] + gm * luma_chroma[2, c]
            sh[i, 0, c] = np.float32(value)
