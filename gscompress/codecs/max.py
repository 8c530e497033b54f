"""Our smallest files: the default codec's format, made while looking at the photos.

    drop what costs more bits than it shows, tune on the photos, again ─ plan steps for the noise that the photos hide
    ─ tune what the file will decode to, every value paying for its bits ─ the default codec's file

One price of a bit, in squared error, decides everything: which Gaussians stay, the steps, and how hard values are
pulled towards cheaper ones. It follows from how far the scene is from the photos anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from gscompress.codecs.base import PHOTOS_OR_RENDERS, Codec
from gscompress.codecs.coded_model import CodedModel
from gscompress.codecs.default import PARAMETERS, DefaultCodec
from gscompress.codecs.importance import assess
from gscompress.codecs.plan import Plan
from gscompress.codecs.pruning import BITS
from gscompress.container.chunk import Chunk
from gscompress.context import Context
from gscompress.recipe import Recipe
from gscompress.scene import Scene
from gscompress.transforms.clean import Clean
from gscompress.transforms.prune import removal_error
from gscompress.tune.checkpoint import resumable
from gscompress.tune.loop import fit
from gscompress.tune.losses import as_floats, photo, squared
from gscompress.tune.refine import steps_in
from gscompress.tune.splat_model import Rates, SplatModel
from gscompress.tune.targets import Target, targets

if TYPE_CHECKING:
    from gscompress.renderers.base import Image

T = TypeVar("T")
_ROUNDS = 3  # of pruning and recovery
_SHARES = (0.45, 0.55)  # of the tuning time: after rounds of pruning, with the codec in the loop
_FAINTEST = 1e-5  # squared error against photos that no scene is taken to fall below: 50 dB
_STRANGE = 0.03  # squared error from which photos look like those of something else: 15 dB
_HIDDEN = 0.3  # error of coding at quality 50, before tuning, relative to that of the scene against its photos
_VIEWS = 128  # most views that errors and sensitivities are measured on, evenly drawn
_KNEE = 0.8  # below this share of its maximum, error times rank falls quickly: those Gaussians carry the scene
_RATES = Rates(means=0.04, log_scales=1.2e-2, quats=4e-3, logit_opacities=4e-2, dc=8e-3, sh=4e-4)
_RATE = 0.03  # steps that a value moves in an early update with the codec in the loop
_BIT = 2 * np.log(2) / 12  # squared error that a bit is worth, in squared steps: a bit less quadruples step^2 / 12


@dataclass(frozen=True)
class MaxCodec(Codec):
    """quality: 0 to 100; at 50 coding may add 0.3 of the error that the scene has against its photos, before tuning.

    tune: seconds on two typical cores (counted in steps, so that results repeat).
    prune: what a Gaussian costs, in units of 60 bits; 0 keeps all. Above 1, since recovery makes up for most of it.
    rate: price of bits while tuning, in units of what steps as large as these say; 0 ignores them.
    layers, part: as in ``DefaultCodec``, whose files these are.
    """

    quality: float = 50.0
    tune: float = 180.0
    prune: float = 2.0
    rate: float = 1.0
    layers: int = 1
    part: int = 131_072

    name: ClassVar[str] = "max"
    version: ClassVar[int] = 1
    kinds: ClassVar[frozenset[str]] = DefaultCodec.kinds

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"renderer", PHOTOS_OR_RENDERS})

    def encode(self, scene: Scene, ctx: Context) -> Iterator[Chunk]:
        if ctx.renderer is None or not ctx.cameras or not len(scene):
            yield from DefaultCodec(quality=self.quality, renders=False, layers=self.layers, part=self.part).encode(
                scene, ctx
            )
            return
        goals = targets(scene, ctx)
        noise = self._noise(scene, goals, ctx)
        how = {"prune": self.prune, "tune": self.tune, "noise": noise}
        kept = resumable(ctx, "max-pruned", how, scene, lambda: self._pruned(scene, goals, noise, ctx))
        squared_step = noise * 12 / (max(len(kept), 1) * PARAMETERS)
        some = replace(ctx, cameras=_evenly(ctx.cameras, _VIEWS))
        importance = assess(kept, some)
        plan = Plan.make(
            kept.splats, importance, float(np.sqrt(squared_step)), diffusion=0.0, part=self.part, layers=self.layers
        )
        price = self.rate * _BIT * squared_step * _exchange(kept, goals, ctx)
        model = CodedModel(plan, kept, _RATE, price)
        fit(model, goals, ctx, self._steps(1, kept, ctx), title="Tuning what the file decodes to")
        yield from model.plan().chunks()

    def decode(self, chunks: Iterable[Chunk]) -> Iterator[Scene]:
        yield from DefaultCodec().decode(chunks)

    def decode_whole(self, chunks: Iterable[Chunk]) -> Scene:
        return DefaultCodec().decode_whole(chunks)

    def _steps(self, stage: int, scene: Scene, ctx: Context) -> int:
        return steps_in(self.tune * _SHARES[stage], scene, ctx)

    def _noise(self, scene: Scene, goals: Sequence[Target], ctx: Context) -> float:
        """Squared error, per pixel and channel, that coding may add before it is tuned away."""
        if not len(ctx.photos):
            return DefaultCodec(quality=self.quality).step ** 2 / 12
        apart = [squared(image.rgb, goal.rgb)[0] / image.rgb.size for image, goal in _shown(scene, goals, ctx)]
        residual = max(float(np.mean(apart)), _FAINTEST)
        decibels = f"the scene has {-10 * np.log10(residual):.2f} dB on the photos to tune on"
        if residual > _STRANGE:
            ctx.log.warn(f"{decibels}: are they of this scene, and its cameras in the same axes?")
        else:
            ctx.log.info(decibels)
        return float(_HIDDEN * residual * 10 ** (-0.028 * (self.quality - 50)))

    def _pruned(self, scene: Scene, goals: Sequence[Target], noise: float, ctx: Context) -> Scene:
        """In rounds of pruning and recovery, down to the Gaussians that show more than their bits are worth."""
        if not self.prune:
            return scene
        before = len(scene)
        some = replace(ctx, cameras=_evenly(ctx.cameras, _VIEWS), photos=())
        steps = self._steps(0, scene, ctx) // _ROUNDS
        for left in range(_ROUNDS, 0, -1):
            error = removal_error(scene, some)
            order = np.argsort(-error, kind="stable")
            wanted = _worthwhile(error[order], BITS * self.prune * _BIT * 12 * noise / PARAMETERS)
            count = max(round(len(scene) * (wanted / len(scene)) ** (1 / left)), 1)
            scene = replace(scene, splats=scene.splats.take(np.sort(order[:count])))
            scene = _tuned(scene, goals, ctx, steps)
        ctx.log.info(f"{len(scene):,} of {before:,} Gaussians are worth their bits")
        return scene


def _tuned(scene: Scene, goals: Sequence[Target], ctx: Context, steps: int) -> Scene:
    model = SplatModel(scene, _RATES)
    fit(model, goals, ctx, steps)
    return model.scene()


def _worthwhile(error: npt.NDArray[np.float64], budget: float) -> int:
    """How many Gaussians stay when each costs ``budget / count``: fewer of them leave more room for each one's noise.

    error: (N,) of removing each, descending. A budget that none would justify is cut to what most of them share.
    """
    shared = error * np.arange(1, len(error) + 1)
    pays = shared >= min(budget, _KNEE * float(shared.max()))
    return int(np.flatnonzero(pays)[-1]) + 1


def _exchange(scene: Scene, goals: Sequence[Target], ctx: Context) -> float:
    """How much the photo loss falls per squared error: the ratio of their slopes in the pixels."""
    along, square = 0.0, 0.0
    for image, goal in _shown(scene, goals, ctx):
        slope = 2 * (image.rgb - as_floats(goal.rgb)) / image.rgb.size
        along += float(np.vdot(photo(image.rgb, goal.rgb)[1], slope))
        square += float(np.vdot(slope, slope))
    return along / square if square > 0 else 0.0


def _shown(scene: Scene, goals: Sequence[Target], ctx: Context) -> Iterator[tuple[Image, Target]]:
    """Some of the goals and how the scene looks there."""
    renderer = ctx.need_renderer("tuning")
    for goal in _evenly(goals, _VIEWS // 4):
        yield renderer.render(scene, goal.camera, background=ctx.background), goal


def _evenly(views: Sequence[T], most: int) -> Sequence[T]:
    """At most ``most`` of the views, evenly drawn."""
    return views[:: max(1, -(-len(views) // most))]


MAX = Recipe(
    "max",
    "the smallest: pruned and tuned on photos (--data) with the codec in the loop; minutes",
    (Clean(),),
    MaxCodec(),
)
