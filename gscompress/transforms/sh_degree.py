"""Cut or pad the spherical harmonics."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.scene import Scene
from gscompress.transforms.refit import refit_sh


@dataclass(frozen=True, slots=True)
class ShDegree:
    """Bring the scene to SH ``degree`` (0 to 3): higher bands are dropped, missing ones are zero.

    refit: rounds in which the bands that stay are fitted to renders of the scene as it was; 4 are plenty.
    """

    name: ClassVar[str] = "sh"
    degree: int = 0
    refit: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.degree <= 3 or not 0 <= self.refit <= 100:
            raise UsageError(f"sh: degree is {self.degree} and refit {self.refit}, expected 0 to 3 and 0 to 100")

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"renderer"}) if self.refit else frozenset()

    def __call__(self, scene: Scene, ctx: Context) -> Scene:
        if self.degree == scene.splats.sh_degree:
            return scene
        ctx.log.info(f"sh: degree {scene.splats.sh_degree} to {self.degree}")
        cut = replace(scene, splats=scene.splats.with_sh_degree(self.degree))
        return refit_sh(cut, scene, ctx, self.refit) if self.refit and self.degree < scene.splats.sh_degree else cut
