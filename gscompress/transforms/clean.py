"""Remove what no renderer can draw and bound what overflows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.scene import Scene

MAX_LOGIT = 16.0  # opacity within 1.2e-7 of 0 or 1, the resolution of float32 below one
MAX_LOG_SCALE = 20.0  # a standard deviation of 4.9e8, resp. 2.1e-9, scene units


@dataclass(frozen=True, slots=True)
class Clean:
    """Drop Gaussians with NaN or infinite values or a zero quaternion; clamp infinite opacities and scales.

    min_opacity: Gaussians less opaque than this are dropped too; 0 keeps all. The renderers skip a contribution under
    1/255, so a Gaussian below that opacity is never seen.
    Infinite log scales and opacity logits are legal output of lossy formats (log of a stored 0): they are clamped to
    ±20 and ±16 before anything is judged. Counts are reported to ``ctx.log``.
    """

    name: ClassVar[str] = "clean"
    min_opacity: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.min_opacity < 1:
            raise UsageError(f"clean: min_opacity is {self.min_opacity}, expected 0 up to 1")

    def __call__(self, scene: Scene, ctx: Context) -> Scene:
        s = scene.splats
        wild_scales, wild_logits = np.isinf(s.log_scales), np.isinf(s.logit_opacities)
        log_scales, logits = s.log_scales, s.logit_opacities
        if wild_scales.any():
            log_scales = np.where(wild_scales, np.copysign(np.float32(MAX_LOG_SCALE), log_scales), log_scales)
            ctx.log.warn(f"clean: {int(wild_scales.any(1).sum())} Gaussians had infinite scales, clamped")
        if wild_logits.any():
            logits = np.where(wild_logits, np.copysign(np.float32(MAX_LOGIT), logits), logits)
            ctx.log.warn(f"clean: {int(wild_logits.sum())} Gaussians had infinite opacity logits, clamped")
        s = replace(s, log_scales=log_scales, logit_opacities=logits)
        broken = ~np.isfinite(s.means).all(1) | np.isnan(s.log_scales).any(1) | np.isnan(s.logit_opacities)
        broken |= ~np.isfinite(s.quats).all(1) | ~(s.quats != 0).any(1) | ~np.isfinite(s.sh).all((1, 2))
        if broken.any():
            ctx.log.warn(f"clean: {int(broken.sum())} Gaussians with NaN, infinite or zero-rotation values, removed")
        faint = np.zeros(len(s), bool)
        if self.min_opacity > 0:
            with np.errstate(invalid="ignore"):
                faint = ~broken & (s.logit_opacities < np.log(self.min_opacity / (1 - self.min_opacity)))
            ctx.log.info(f"clean: {int(faint.sum())} Gaussians fainter than {self.min_opacity:g}, removed")
        gone = broken | faint
        return replace(scene, splats=s.take(~gone) if gone.any() else s)
