"""What every Gaussian is worth to the picture: two numbers per Gaussian, from renders or, without them, from its
looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.camera import Camera
from gscompress.context import Context
from gscompress.quant.rotation import sort_axes
from gscompress.quant.sensitivity import Sensitivity, measure
from gscompress.scene import Scene

F64 = npt.NDArray[np.float64]
_TINY = 1e-18
_BLUR_PIXELS = 0.5477  # sqrt(0.3), the renderer's dilation
_APART = 3.0  # octaves beyond which one parameter's sensitivity no longer moves the class of all ten
_HIDDEN = 0.05  # of the Gaussians are taken to be worth no less than the next one of their size and opacity
_NEAR = 0.1  # of what cameras see lies nearer than the depth at which widths below a pixel stop to matter
_WIDTH = 480  # pixels that a picture is taken to have across at least; small ones only save time


@dataclass(frozen=True, slots=True)
class Importance:
    """shape, colour: (N,) log2 of the root of the mean sensitivity, per pixel and channel, of one unit of each
    attribute in the domain in which it is coded. blur: width in scene units (one standard deviation) below which
    nothing shows.
    """

    shape: F64
    colour: F64
    blur: float


def assess(scene: Scene, ctx: Context, felt: Sensitivity | None = None) -> Importance:
    """From renders when the Context has a renderer and cameras, from opacity and size otherwise.

    felt: what was measured already, of the same Gaussians in the views of ``ctx``.
    """
    if ctx.renderer is None or not ctx.cameras or not len(scene):
        return by_looks(scene)
    blur = _blur(scene, ctx.cameras)
    shape, colour, seen = _from_sensitivity(scene, felt or measure(scene, ctx), blur)
    could = reach(scene)
    return Importance(at_least(shape, could, seen, _HIDDEN), at_least(colour, could, seen, _HIDDEN), blur)


def by_looks(scene: Scene) -> Importance:
    """A Gaussian counts as much as it covers: opacity times the root of its two larger scales. The constants are a fit
    (R^2 0.4 in octaves) to measured sensitivities of trained scenes."""
    if not len(scene):
        return Importance(np.zeros(0), np.zeros(0), 1e-3)
    log_scales = np.sort(np.asarray(scene.splats.log_scales, np.float64), axis=1)
    opacity = 1 / (1 + np.exp(-scene.splats.logit_opacities.astype(np.float64)))
    size = (log_scales[:, 2] + log_scales[:, 1]) / 2 / np.log(2)
    worth = 0.6 * np.log2(np.maximum(opacity, 1e-3)) + 0.5 * size
    worth = worth - np.median(worth)
    # Picture error that quality is meant against: as if the scene filled the picture once.
    level = -0.5 * np.log2(len(scene)) - 7.2
    return Importance(worth + level, worth + level + 1.0, float(np.exp(np.quantile(log_scales[:, 0], 0.3))))


def reach(scene: Scene) -> F64:
    """(N,) octaves of the root of the squared error that a Gaussian could cause in a view of it: opacity times the root
    of the area that it covers at most."""
    splats = scene.splats
    log_scales = np.sort(np.asarray(splats.log_scales, np.float64), axis=1)
    log_opacity = -np.logaddexp(0.0, -splats.logit_opacities.astype(np.float64))
    return np.asarray((log_opacity + (log_scales[:, 2] + log_scales[:, 1]) / 2) / np.log(2), np.float64)


def _blur(scene: Scene, cameras: Sequence[Camera]) -> float:
    """The renderer's dilation in scene units at a depth that few Gaussians are nearer than in a camera's picture."""
    focal = np.median([max(c.fx, c.fy) * max(_WIDTH / c.width, 1) for c in cameras])
    points = scene.splats.means[:: max(1, len(scene) // 20000)]
    depths = np.concatenate([_depths(points, camera) for camera in cameras])
    return float(_BLUR_PIXELS * (np.quantile(depths, _NEAR) if len(depths) else 1.0) / focal)


def _depths(points: npt.NDArray[Any], camera: Camera) -> npt.NDArray[Any]:
    """Of those points (N, 3) that lie in the picture."""
    x, y, z = (points @ camera.w2c[:3, :3].T + camera.w2c[:3, 3]).T
    inside = (
        (z > camera.near) & (np.abs(x) * camera.fx < z * camera.width) & (np.abs(y) * camera.fy < z * camera.height)
    )
    return np.asarray(z[inside])


def _from_sensitivity(scene: Scene, h: Sensitivity, blur: float) -> tuple[F64, F64, npt.NDArray[np.bool_]]:
    """Mean log sensitivity over the ten shape parameters, each in its coded domain, and that of colour; who was
    seen."""
    splats = scene.splats
    log_scales, _ = sort_axes(splats.log_scales, splats.quats)
    by_size = np.argsort(-np.asarray(splats.log_scales, np.float64), axis=1, kind="stable")
    means, scales, turns = (np.take_along_axis(a, by_size, 1) for a in (h.means, h.log_scales, h.turns))
    square = np.exp(2 * log_scales)
    widened = square + blur * blur
    opacity = 1 / (1 + np.exp(-splats.logit_opacities.astype(np.float64)))
    shape = [*(scales / (square / widened) ** 2).T, *(means * widened).T]
    for k, (a, b) in enumerate(((1, 2), (0, 2), (0, 1))):
        ratio = np.sqrt(widened[:, a] / widened[:, b])
        shape.append(turns[:, k] / (ratio - 1 / ratio + 0.3) ** 2)
    shape.append(h.logit_opacities / np.maximum(1 - opacity, 1e-4) ** 2)
    seen = h.contribution > 0
    colour = np.maximum(h.dc.mean(1), 0.002 * h.contribution)
    octaves = np.stack([0.5 * np.log2(np.maximum(each / h.pixels, _TINY)) for each in shape])
    # A round Gaussian has no sensitivity to turns at all: that says nothing about its other parameters.
    middle = np.median(octaves, axis=0)
    log_shape = np.clip(octaves, middle - _APART, middle + _APART).mean(0)
    return log_shape, 0.5 * np.log2(np.maximum(colour / h.pixels, _TINY)), seen


def at_least(measured: F64, reach: F64, seen: npt.NDArray[np.bool_], share: float) -> F64:
    """(N,) octaves, raised where they are low for what a Gaussian could do to a picture: other views than those that
    were measured may come closer or see behind.

    reach: as from ``reach``. share: of those ``seen`` that are taken to be no better hidden than the next one; those
    not seen at all get the same floor.
    """
    if not seen.any():
        return reach
    floor = reach + np.quantile((measured - reach)[seen], share)
    return np.where(seen, np.maximum(measured, floor), floor)
