"""One update of the values behind a file: Adam in which every value moves by a share of its own step.

Steps are such that a step of any value changes the picture as much as that of any other (``quant.sensitivity``), so in
units of them one learning rate serves all: the diagonal of a Gauss-Newton method, which the codec has measured anyway.
Gradients go straight through the rounding.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gscompress.codecs.geometry import LEAST
from gscompress.codecs.latents import Grid, Latents
from gscompress.codecs.rate_model import Prices, shape_slopes, slope
from gscompress.codecs.shown_rows import axes_of, descending, row_kernel, row_part
from gscompress.quant.exact import LOG2E

F32 = npt.NDArray[np.float32]
_BETA1, _BETA2 = 0.9, 0.99
SHAPE = 10  # columns of a row's moments: position, scale and turn by axis, opacity
_SHARPEST = 30.0  # how much more a scale may move than its widened one
_THIN = 0.0196  # ln of the widest that the decoder's thinnest scale, a fifth of the blur, comes to, over the blur
_LARGEST_TURN = 0.5  # radians


class Moments(NamedTuple):
    """Of Adam, in steps. shape (2, N, SHAPE), colour (2, N, columns): first and second. age (N,): updates.

    faint: a gradient per step below which a value moves less, so that what views hardly show does not drift.
    """

    shape: F32
    colour: F32
    age: npt.NDArray[np.int64]
    faint: float

    @staticmethod
    def zero(rows: int, columns: int, faint: float) -> Moments:
        shape, colour = (np.zeros((2, rows, count), np.float32) for count in (SHAPE, columns))
        return Moments(shape, colour, np.zeros(rows, np.int64), faint)


@row_part
def _youth(age: int) -> tuple[float, float]:
    """What a row's moments lack by having begun at zero."""
    return 1 - _BETA1**age, 1 - _BETA2**age


@row_part
def _moved(moments: Any, i: int, k: int, gradient: float, young: Any) -> float:
    """How far Adam goes down, in units of the learning rate (Kingma and Ba 2015). young: of ``_youth``."""
    table = moments.shape
    first = _BETA1 * table[0, i, k] + (1 - _BETA1) * gradient
    second = _BETA2 * table[1, i, k] + (1 - _BETA2) * gradient * gradient
    table[0, i, k], table[1, i, k] = first, second
    return -first / young[0] / (math.sqrt(second / young[1]) + moments.faint)


@row_part
def turn_gradient(quats: Any, slopes: Any, i: int, out: Any) -> None:
    """By turns about the world's axes, from that by a unit quaternion wxyz."""
    w, x, y, z = quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3]
    a, b, c, d = slopes[i, 0], slopes[i, 1], slopes[i, 2], slopes[i, 3]
    out[0] = (b * w - a * x - c * z + d * y) / 2
    out[1] = (b * z - a * y + c * w - d * x) / 2
    out[2] = (c * x - a * z - b * y + d * w) / 2


@row_part
def turn_by(quats: Any, i: int, turn: Any) -> None:
    """Turn a unit quaternion by a small angle about the world's axes (3,)."""
    w, x, y, z = quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3]
    a, b, c = turn[0] / 2, turn[1] / 2, turn[2] / 2
    w, x, y, z = (
        w - a * x - b * y - c * z,
        x + a * w + b * z - c * y,
        y + b * w + c * x - a * z,
        z + c * w + a * y - b * x,
    )
    scale = 1 / math.sqrt(w * w + x * x + y * y + z * z)
    quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3] = w * scale, x * scale, y * scale, z * scale


@row_part
def _scale_slopes(latents: Any, grid: Any, prices: Any, order: Any, i: int, weight: float, out: Any) -> None:
    """Add what bits cost, per e-fold of the widened, descending scales."""
    first, second, third = latents.scales[i, order[0]], latents.scales[i, order[1]], latents.scales[i, order[2]]
    step, table = grid.scale[i], prices.scale[grid.shapes[i]]
    size = slope((first - prices.size[i]) / step, table[0])
    upper, lower = slope((first - second) / step, table[1]), slope((second - third) / step, table[2])
    a, b, c = shape_slopes(first, second, third, prices.thin[i])
    out[0] += weight * ((size + upper) / step + a)
    out[1] += weight * ((lower - upper) / step + b)
    out[2] += weight * (c - lower / step)


@row_kernel
def move_shapes(
    start: int,
    stop: int,
    latents: Latents,
    grid: Grid,
    prices: Prices,
    shown: Any,
    gradients: Any,
    seen: Any,
    weights: Any,
    moments: Moments,
    rate: float,
) -> None:
    """Update rows from ``start`` to ``stop`` that are ``seen``, but for their colours.

    shown: what ``show`` made. gradients: of the loss by means, log scales, quats and logits of what was shown.
    weights: (N,) loss per bit. rate: in steps.
    """
    order, r = np.empty(3, np.int64), np.empty((3, 3))
    by_scale, by_turn, shift, turn = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    thinnest = math.log(grid.blur) + _THIN
    for i in range(start, stop):
        if not seen[i]:
            continue
        young = _youth(moments.age[i])
        descending(latents.scales, i, order)
        axes_of(latents.quats, i, r)
        for k in range(3):
            bare = shown[1][i, k]
            widened = 0.5 * math.log(math.exp(2 * bare) + grid.blur * grid.blur)
            by_scale[k] = gradients[1][i, k] * min(math.exp(2 * (widened - bare)), _SHARPEST)
        _scale_slopes(latents, grid, prices, order, i, weights[i], by_scale)
        turn_gradient(shown[2], gradients[2], i, by_turn)
        shift[:], turn[:] = 0, 0
        for k in range(3):
            # Along and about its own axes: a Gaussian may go further where it is long, and turn where it is round.
            unit = math.exp(grid.position[i] / LOG2E + latents.scales[i, k])
            along = r[0, k] * gradients[0][i, 0] + r[1, k] * gradients[0][i, 1] + r[2, k] * gradients[0][i, 2]
            far = unit * rate * _moved(moments, i, k, along * unit, young)
            apart = min(abs(latents.scales[i, (k + 1) % 3] - latents.scales[i, (k + 2) % 3]), 20.0)
            unit = min(grid.turn[i] / max(2 * math.sinh(apart), 1e-2), _LARGEST_TURN)
            about = r[0, k] * by_turn[0] + r[1, k] * by_turn[1] + r[2, k] * by_turn[2]
            angle = unit * rate * _moved(moments, i, 6 + k, about * unit, young)
            for c in range(3):
                shift[c] += r[c, k] * far
                turn[c] += r[c, k] * angle
        for k in range(3):
            latents.means[i, k] += shift[k]
            step, axis = grid.scale[i], order[k]
            latents.scales[i, axis] += step * rate * _moved(moments, i, 3 + axis, by_scale[k] * step, young)
            latents.scales[i, axis] = max(latents.scales[i, axis], thinnest)
        turn_by(latents.quats, i, turn)
        step = grid.opacity[i]
        behind = max(1 / (1 + math.exp(min(shown[3][i], 80.0))), 1e-5)
        cost = weights[i] * slope(latents.opacities[i] / step, prices.opacity[grid.shapes[i], 0])
        far = step * rate * _moved(moments, i, 9, cost - gradients[3][i] / behind * step, young)
        latents.opacities[i] = max(latents.opacities[i] + far, LEAST)


@row_kernel
def move_colours(
    start: int,
    stop: int,
    latents: Latents,
    grid: Grid,
    prices: Prices,
    gradient: F32,
    seen: Any,
    weights: Any,
    moments: Moments,
    rate: float,
) -> None:
    """The same for colours. gradient: (N, columns) by their values, not yet in steps."""
    values = latents.colours
    beta1, beta2 = np.float32(_BETA1), np.float32(_BETA2)
    one = np.float32(1)
    for i in range(start, stop):
        if not seen[i]:
            continue
        weight, colour = np.float32(weights[i]), grid.colours[i]
        young = _youth(moments.age[i])
        unbiased = math.sqrt(young[1])
        far, faint = np.float32(rate * unbiased / young[0]), np.float32(moments.faint * unbiased)
        for k in range(values.shape[1]):
            if k < 3:
                bits = slope(values[i, k] - prices.luma_chroma[i, k], prices.dc[colour, k])
            else:
                bits = slope(values[i, k], prices.sh[colour, k - 3])
            g = gradient[i, k] * grid.colour[i, 0 if k < 3 else 1] + weight * bits
            first = beta1 * moments.colour[0, i, k] + (one - beta1) * g
            second = beta2 * moments.colour[1, i, k] + (one - beta2) * g * g
            moments.colour[0, i, k], moments.colour[1, i, k] = first, second
            values[i, k] -= far * first / (math.sqrt(second) + faint)
