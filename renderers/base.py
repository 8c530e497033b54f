"""The contract of a renderer, and what every one of them computes.

Semantics are those of 3DGS / gsplat "classic": EWA projection with the clamped-FOV Jacobian, a 0.3 px^2
dilation of the 2D covariance (the "mip" model scales opacity by sqrt(det before / det after)), Gaussians
sorted by view depth, alpha = min(0.99, opacity * exp(-d^2/2)), contributions under 1/255 skipped, blending
stopped when transmittance would fall under 1e-4, colour = max(0, 0.5 + SH).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from gscompress.camera import Camera
from gscompress.scene import Scene

F32 = npt.NDArray[np.float32]
BLUR = 0.3
ALPHA_MAX = 0.99
ALPHA_MIN = 1 / 255
TRANSMITTANCE_MIN = 1e-4


@dataclass(frozen=True, slots=True)
class Image:
    """rgb: (H, W, 3) float32, linear blend, usually in [0, 1], not clipped above. alpha: (H, W) in [0, 1].

    depth: (H, W) alpha-weighted view depth in scene units (sum, not normalised).
    """

    rgb: F32
    alpha: F32
    depth: F32


@dataclass(frozen=True, slots=True)
class Gradients:
    """Gradients with respect to the stored (pre-activation) parameters, and per-Gaussian statistics.

    means (N, 3), log_scales (N, 3), quats (N, 4, of the unnormalised quaternion), logit_opacities (N,), sh (N, K, 3).
    means2d: (N, 2) gradient with respect to the projected centre in pixels.
    contribution: (N,) sum over pixels of transmittance * alpha (blending weight).
    """

    means: F32
    log_scales: F32
    quats: F32
    logit_opacities: F32
    sh: F32
    means2d: F32
    contribution: F32


class Renderer(Protocol):
    """Camera + scene → picture, and the vector–Jacobian product of the same picture."""

    name: str

    def render(
        self,
        scene: Scene,
        camera: Camera,
        *,
        background: tuple[float, float, float] = (0.0, 0.0, 0.0),
        sh_degree: int | None = None,
    ) -> Image:
        """Render one view. ``sh_degree`` limits the degree used (None: all)."""
        ...

    def render_with_grad(
        self,
        scene: Scene,
        camera: Camera,
        image_grad: Callable[[Image], F32],
        *,
        background: tuple[float, float, float] = (0.0, 0.0, 0.0),
        sh_degree: int | None = None,
    ) -> tuple[Image, Gradients]:
        """Render, ask ``image_grad`` for dL/d rgb (H, W, 3) of that picture, and pull it back to every parameter."""
        ...
