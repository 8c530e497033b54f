"""What rows of a default-codec file decode to, one at a time: tuning shows it after every update.

Slow twin: ``reconstruction.shapes``. Math-library functions are good enough here; only a decoder's bits must agree on
every machine.
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.codecs.geometry import LEAST
from gscompress.codecs.latents import Grid, Latents
from gscompress.codecs.steps import TURN_EDGES
from gscompress.quant.exact import LOG2E

_EDGES = np.array(TURN_EDGES)
_QUARTER = math.pi / 4
_CELLS = 1 << 30

row_kernel: Any = nb.njit(cache=True, nogil=True, error_model="numpy")
row_part: Any = nb.njit(cache=True, nogil=True, error_model="numpy")


@row_part
def descending(scales: Any, i: int, order: Any) -> None:
    """The axes of row i by descending scale; of equal ones the earlier first."""
    order[0], order[1], order[2] = 0, 1, 2
    for k in (1, 2, 1):
        if scales[i, order[k]] > scales[i, order[k - 1]]:
            order[k], order[k - 1] = order[k - 1], order[k]


@row_part
def axes_of(quats: Any, i: int, out: Any) -> None:
    """out (3, 3): the rotation matrix of a unit quaternion, axes as columns."""
    w, x, y, z = quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3]
    out[0, 0], out[0, 1], out[0, 2] = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
    out[1, 0], out[1, 1], out[1, 2] = 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)
    out[2, 0], out[2, 1], out[2, 2] = 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)


@row_part
def _quat_of(r: Any, out: Any, i: int) -> None:
    """The reverse, into row i: of four ways to write it, the one that divides by the largest number."""
    trace = r[0, 0] + r[1, 1] + r[2, 2]
    k = 0 if r[0, 0] >= r[1, 1] and r[0, 0] >= r[2, 2] else (1 if r[1, 1] >= r[2, 2] else 2)
    if trace >= r[k, k]:
        s = 2 * math.sqrt(1 + trace)
        out[i, 0] = s / 4
        out[i, 1], out[i, 2], out[i, 3] = (r[2, 1] - r[1, 2]) / s, (r[0, 2] - r[2, 0]) / s, (r[1, 0] - r[0, 1]) / s
        return
    a, b = (k + 1) % 3, (k + 2) % 3
    s = 2 * math.sqrt(max(1 + r[k, k] - r[a, a] - r[b, b], 1e-12))
    turn = r[b, a] - r[a, b]
    sign = -1.0 if turn < 0 else 1.0
    out[i, 0] = sign * turn / s
    out[i, 1 + k] = sign * s / 4
    out[i, 1 + a], out[i, 1 + b] = sign * (r[a, k] + r[k, a]) / s, sign * (r[b, k] + r[k, b]) / s


@row_part
def _frame(face: int, a: float, b: float, d: Any, u: Any, v: Any) -> None:
    """Direction d with tangents a, b on a cube's face; u, v complete it as ``quant.rotation`` does."""
    g, h = (face + 1) % 3, (face + 2) % 3
    length = math.sqrt(1 + a * a + b * b)
    d[face], d[g], d[h] = 1 / length, a / length, b / length
    along = d[g]
    left = math.sqrt(max(1 - along * along, 1e-30))
    for k in range(3):
        u[k] = ((1.0 if k == g else 0.0) - along * d[k]) / left
    v[0], v[1], v[2] = d[1] * u[2] - d[2] * u[1], d[2] * u[0] - d[0] * u[2], d[0] * u[1] - d[1] * u[0]


@row_part
def _octaves(difference: float) -> int:
    """``steps.turn_octaves`` of one difference."""
    k = 0
    while k < _EDGES.shape[0] and _EDGES[k] <= difference:
        k += 1
    return k - 4


@row_part
def _show_turn(r: Any, order: Any, upper: float, lower: float, turn: float, work: Any, out: Any, i: int) -> None:
    """The rounded rotation of axes r (columns), with drops ``upper`` and ``lower`` of the decoded log scales."""
    d, u, v, other, back = work[0], work[1], work[2], work[3], work[4:7]
    lead = 0 if upper >= lower else 2
    for k in range(3):
        d[k], other[k] = r[k, order[lead]], r[k, order[2 - lead]]
    face = 0
    for k in range(1, 3):
        if abs(d[k]) > abs(d[face]):
            face = k
    a, b = d[(face + 1) % 3] / d[face], d[(face + 2) % 3] / d[face]
    _frame(face, a, b, d, u, v)
    along = other[0] * u[0] + other[1] * u[1] + other[2] * u[2]
    across = other[0] * v[0] + other[1] * v[1] + other[2] * v[2]
    step = min(max(math.ldexp(turn, -_octaves(upper + lower)), 2.0**-16), 0.8) / _QUARTER
    a = min(max(math.floor(math.atan(a) / _QUARTER / step + 0.5) * step, -1.0), 1.0)
    b = min(max(math.floor(math.atan(b) / _QUARTER / step + 0.5) * step, -1.0), 1.0)
    about = math.ldexp(turn, -_octaves(lower if lead == 0 else upper))
    turns = max(math.floor(math.pi / max(about, 2.0**-16) + 0.5), 1.0)
    angle = math.floor(math.atan2(across, along) % math.pi / math.pi * turns + 0.5) % turns * math.pi / turns
    _frame(face, math.tan(a * _QUARTER), math.tan(b * _QUARTER), d, u, v)
    cosine, sine = math.cos(angle), math.sin(angle)
    for k in range(3):
        other[k] = cosine * u[k] + sine * v[k]
    side = -1.0 if lead == 0 else 1.0
    for k in range(3):
        g, h = (k + 1) % 3, (k + 2) % 3
        back[k, lead], back[k, 2 - lead], back[k, 1] = d[k], other[k], side * (d[g] * other[h] - d[h] * other[g])
    _quat_of(back, out, i)


@row_part
def _show_mean(latents: Any, box: Any, depth: int, out: Any, i: int) -> None:
    """The centre of the cell that ``depth`` binary levels leave of row i."""
    for k in range(3):
        missing = max(30 - (depth + 2 - k) // 3, 0)
        cell = min(max(math.floor((latents.means[i, k] - box[k]) / box[3] * _CELLS), 0.0), _CELLS - 1.0)
        centre = int(cell) >> missing << missing
        if missing > 0:
            centre += 1 << (missing - 1)
        out[i, k] = box[k] + centre * (box[3] / _CELLS)


@row_kernel
def show(
    start: int, stop: int, latents: Latents, grid: Grid, known: npt.NDArray[np.int64], stale: Any, out: Any
) -> None:
    """Rows from ``start`` to ``stop`` as they decode, but for colour; those that are not ``stale`` stay as they are.

    known: (N,) of ``reconstruction.known_levels``. out: means, log scales by descending size, quats, logits of opacity.
    """
    means, log_scales, quats, logits = out
    order, r, work = np.empty(3, np.int64), np.empty((3, 3)), np.empty((7, 3))
    kept = np.empty(3)
    thinnest = 0.04 * grid.blur * grid.blur
    levels = math.log2(grid.box[3])
    for i in range(start, stop):
        if not stale[i]:
            continue
        descending(latents.scales, i, order)
        step = grid.scale[i]
        kept[0] = grid.offset + math.floor((latents.scales[i, order[0]] - grid.offset) / step + 0.5) * step
        for k in (1, 2):
            drop = math.floor((kept[k - 1] - latents.scales[i, order[k]]) / step + 0.5)
            kept[k] = kept[k - 1] - max(drop, 0.0) * step
        for k in range(3):
            square = math.exp(2 * kept[k]) - grid.blur * grid.blur
            log_scales[i, k] = 0.5 * math.log(max(square, thinnest, 1e-60))
        step = grid.opacity[i]
        t = max(math.floor(max(latents.opacities[i], LEAST) / step + 0.5) * step, LEAST)
        logits[i] = -t - math.log(1.0 - math.exp(-t))
        wanted = math.floor(3 * (levels - grid.position[i] - kept[2] * LOG2E) + 0.5)
        _show_mean(latents, grid.box, max(int(min(max(wanted, 0.0), 90.0)), known[i]), means, i)
        axes_of(latents.quats, i, r)
        _show_turn(r, order, kept[0] - kept[1], kept[1] - kept[2], grid.turn[i], work, quats, i)
