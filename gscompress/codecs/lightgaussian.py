"""LightGaussian: prune by global significance, recover against photos, distil SH to a lower degree, store as VecTree.

Written from the paper, which its released code leaves in places (docs/codecs/lightgaussian.md says where and why).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from gscompress.codecs.base import PHOTOS_OR_RENDERS, Codec
from gscompress.codecs.vectree import VecTree
from gscompress.container.chunk import Chunk
from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.quant.vector import Codebook, assign, fit_kmeans
from gscompress.recipe import Recipe
from gscompress.scene import Scene
from gscompress.transforms.clean import Clean
from gscompress.transforms.prune import global_significance
from gscompress.tune.checkpoint import resumable
from gscompress.tune.loop import fit
from gscompress.tune.pseudo_views import PseudoViews
from gscompress.tune.shared_colours import SharedColours
from gscompress.tune.splat_model import Rates, SplatModel
from gscompress.tune.targets import Target, targets

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
_RECOVER = Rates(0.04, 1.2e-2, 4e-3, 4e-2, 8e-3, 8e-4)
_DISTILL = replace(_RECOVER, means=0.0, logit_opacities=0.0)  # only SH and shape, as published
_SETTLE = Rates(0.02, 6e-3, 2e-3, 2e-2, 4e-3, 4e-4)
_MEMBERS = 8  # Gaussians per code, at least: small scenes do not pay for a codebook that is as large as they are


@dataclass(frozen=True)
class LightGaussianCodec(Codec):
    """prune: share of Gaussians to drop. volume: exponent of the volume in the significance, 0 to leave it out.

    recover, distill, settle: updates after pruning, after cutting SH to ``degree``, and after vector quantization.
    vq: share of Gaussians, the least significant, whose SH come from a codebook of at most ``codes`` entries.
    """

    prune: float = 0.66
    volume: float = 0.1
    recover: int = 1500
    degree: int = 2
    distill: int = 700
    vq: float = 0.6
    codes: int = 8192
    settle: int = 800

    name: ClassVar[str] = "lightgaussian"
    version: ClassVar[int] = 1
    cites: ClassVar[str] = "Fan et al., LightGaussian, NeurIPS 2024, arXiv 2311.17245"
    kinds: ClassVar[frozenset[str]] = frozenset({"BASE"})

    def __post_init__(self) -> None:
        if not (0 <= self.prune < 1 and 0 <= self.vq <= 1):
            raise UsageError("lightgaussian: prune must be 0 to below 1 and vq 0 to 1")
        if not (0 <= self.degree <= 3 and 1 <= self.codes <= 1 << 16 and 0 <= self.volume <= 10):
            raise UsageError("lightgaussian: degree must be 0 to 3, codes 1 to 65536, volume 0 to 10")
        if min(self.recover, self.distill, self.settle) < 0:
            raise UsageError("lightgaussian: recover, distill and settle are numbers of updates, 0 or more")

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"renderer", PHOTOS_OR_RENDERS})

    def encode(self, scene: Scene, ctx: Context) -> Iterator[Chunk]:
        if not len(scene):
            yield Chunk("BASE", 0, VecTree(scene.splats, np.zeros(0, np.int64), scene.splats.sh).pack())
            return
        goals = targets(scene, ctx)
        how = {"prune": self.prune, "volume": self.volume, "steps": self.recover}
        kept = resumable(ctx, "lightgaussian-recovered", how, scene, lambda: self._recovered(scene, goals, ctx))
        how = {"degree": self.degree, "steps": self.distill}
        student = resumable(ctx, "lightgaussian-distilled", how, kept, lambda: self._distilled(kept, ctx))
        yield Chunk("BASE", 0, self._quantized(student, goals, ctx).pack())

    def decode(self, chunks: Iterable[Chunk]) -> Iterator[Scene]:
        for chunk in chunks:
            yield Scene(VecTree.unpack(chunk.streams))

    def _recovered(self, scene: Scene, goals: Sequence[Target], ctx: Context) -> Scene:
        ranked = np.argsort(-global_significance(scene, ctx, self.volume), kind="stable")
        kept = ranked[: max(1, round((1 - self.prune) * len(scene)))]
        pruned = replace(scene, splats=scene.splats.take(np.sort(kept)))
        return _tuned(pruned, goals, ctx, self.recover, _RECOVER, "Recovering from pruning")

    def _distilled(self, scene: Scene, ctx: Context) -> Scene:
        degree = min(self.degree, scene.splats.sh_degree)
        student = replace(scene, splats=replace(scene.splats.with_sh_degree(degree), extras={}))
        if degree == scene.splats.sh_degree:
            return student
        views = PseudoViews(scene, ctx)
        return _tuned(student, views, ctx, self.distill, _DISTILL, "Distilling SH")

    def _quantized(self, scene: Scene, goals: Sequence[Target], ctx: Context) -> VecTree:
        """Codebook for the SH of the least significant Gaussians, then ``settle`` updates of everything."""
        significance = global_significance(scene, ctx, self.volume)
        shared = np.sort(np.argsort(significance, kind="stable")[: round(self.vq * len(scene))])
        which = np.full(len(scene), -1, np.int64)
        codes = scene.splats.sh[:0]
        if len(shared):
            table = scene.splats.sh[shared].reshape(len(shared), -1)
            with ctx.log.phase("Vector quantization of SH"):
                book = codebook(table, significance[shared], self.codes, ctx.seed)
                which[shared] = assign(table, book)
            codes = book.codes.reshape(len(book.codes), -1, 3)
        model = SharedColours(scene, which, codes, _SETTLE)
        fit(model, goals, ctx, self.settle, title="Tuning codebook and Gaussians")
        return VecTree(model.scene().splats, which, model.codes)


def codebook(table: npt.NDArray[np.float32], significance: F64, codes: int, seed: int) -> Codebook:
    """K-means weighted by significance."""
    count = min(codes, max(1, len(table) // _MEMBERS))
    weights = significance / max(float(significance.mean()), 1e-30) + 1e-3
    return fit_kmeans(table, count, weights, seed=seed)


def _tuned(scene: Scene, goals: Sequence[Target], ctx: Context, steps: int, rates: Rates, title: str) -> Scene:
    model = SplatModel(scene, rates)
    fit(model, goals, ctx, steps, title=title)
    return model.scene()


LIGHTGAUSSIAN = Recipe(
    "lightgaussian",
    "two thirds of the Gaussians gone, recovered against photos, SH of degree 2, vector-quantized (Fan et al. 2024)",
    (Clean(),),
    LightGaussianCodec(),
)
