"""Put Gaussians into Morton order, so that neighbours in the file are neighbours in space."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from gscompress.context import Context
from gscompress.scene import Scene

_BITS = 21  # per axis: three fit into 63


@dataclass(frozen=True, slots=True)
class Sort:
    """Morton order of the means on a 2^21 grid over their bounding box; equal cells keep their order."""

    name: ClassVar[str] = "sort"

    def __call__(self, scene: Scene, ctx: Context) -> Scene:
        order = morton_order(scene.splats.means)
        return replace(scene, splats=scene.splats.take(order))


def morton_order(means: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """The order along the Z curve. means: (N, 3); values that are no numbers count as the lowest corner."""
    points = means.astype(np.float64)
    finite = np.where(np.isfinite(points), points, np.nan)
    if not len(points) or np.isnan(finite).all():
        return np.arange(len(points))
    low, high = np.nanmin(finite), np.nanmax(finite)
    cells = np.nan_to_num((finite - low) * ((2**_BITS - 1) / max(high - low, 1e-30)))
    code = np.zeros(len(points), np.uint64)
    for axis in range(3):
        code |= _spread(cells[:, axis].astype(np.uint64)) << np.uint64(2 - axis)
    return np.argsort(code, kind="stable")


def _spread(cells: npt.NDArray[np.uint64]) -> npt.NDArray[Any]:
    """21-bit numbers with two zero bits put between any two of their bits."""
    masks = (
        (32, 0x001F00000000FFFF),
        (16, 0x001F0000FF0000FF),
        (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3),
        (2, 0x1249249249249249),
    )
    for shift, mask in masks:
        cells = (cells | (cells << np.uint64(shift))) & np.uint64(mask)
    return cells
