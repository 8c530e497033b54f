"""Cut or pad the spherical harmonics."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.scene import Scene


@dataclass(frozen=True, slots=True)
class ShDegree:
    """Bring the scene to SH ``degree`` (0 to 3): higher bands are dropped, missing ones are zero."""

    name: ClassVar[str] = "sh"
    degree: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.degree <= 3:
            raise UsageError(f"sh: degree is {self.degree}, expected 0 to 3")

    def __call__(self, scene: Scene, ctx: Context) -> Scene:
        if self.degree == scene.splats.sh_degree:
            return scene
        ctx.log.info(f"sh: degree {scene.splats.sh_degree} to {self.degree}")
        return replace(scene, splats=scene.splats.with_sh_degree(self.degree))
