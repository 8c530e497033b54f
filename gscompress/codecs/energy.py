"""How much the energy of all pictures changes with a Gaussian's colour and shape (Niedermayr et al. 2024, eq. 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gscompress.context import Context
from gscompress.scene import Scene

if TYPE_CHECKING:
    from gscompress.renderers.base import Image

F64 = npt.NDArray[np.float64]
_LEAST = 1e-12  # keeps weights positive


@dataclass(frozen=True, slots=True)
class Energy:
    """Per Gaussian (N,), over all pictures. colour, shape: sensitivity, the largest over the entries of its SH resp. of
    its log scales and quaternion of the sum of |d(sum of a picture's pixels) / d entry|. shown: blending weights.
    """

    colour: F64
    shape: F64
    shown: F64


def measure(scene: Scene, ctx: Context) -> Energy:
    """One backward pass per camera. Raises UsageError without a renderer."""
    renderer = ctx.need_renderer("measuring sensitivities")
    colour, shape = np.zeros(scene.splats.sh.shape, np.float32), np.zeros((len(scene), 7), np.float32)
    shown = np.zeros(len(scene))
    with ctx.log.phase("Measuring sensitivities", len(ctx.cameras)) as tick:
        for camera in ctx.cameras:
            _, found = renderer.render_with_grad(scene, camera, _ones)
            colour += np.abs(found.sh)
            shape += np.abs(np.hstack([found.log_scales, found.quats]))
            shown += found.contribution
            tick(1)
    worth = [each.astype(np.float64).clip(_LEAST) for each in (colour.max(axis=(1, 2)), shape.max(axis=1))]
    return Energy(worth[0], worth[1], shown)


def _ones(image: Image) -> npt.NDArray[np.float32]:
    return np.ones_like(image.rgb)
