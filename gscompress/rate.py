"""Aim at a file size or at a picture quality by searching the quality dial."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from gscompress.codecs import gscz
from gscompress.container.reader import Reader
from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.metrics import eight_bit, psnr
from gscompress.recipe import Recipe
from gscompress.scene import Scene

CLOSE = 0.98  # a file of 98 to 100 % of the target ends the search
PSNR_CLOSE, PSNR_ENOUGH = 0.05, 0.1  # dB off: what ends the search, and what is given at its end
TRIES = 4, 6, 4  # most in every stage of a search
_VIEWS = 32
_VISIBLE = 1 / 255  # alpha: a view without any more shows nothing of the scene


@dataclass(frozen=True, slots=True)
class _Goal:
    """A value that grows with quality: what to aim at, from where to where it is close enough, and about how much it
    grows per unit of quality."""

    aim: float
    least: float
    most: float
    slope: float


def aim(scene: Scene, recipe: Recipe, target: int, ctx: Context, source_gaussians: int) -> tuple[Recipe, bytes]:
    """The largest file of at most ``target`` bytes, and the recipe with the quality that made it.

    Size is taken to grow with quality. Raises UsageError when even quality 0 is too large.
    """
    best: tuple[Recipe, bytes] | None = None
    smallest = math.inf

    def attempt(candidate: Recipe, own: Context) -> float:
        nonlocal best, smallest
        stream = io.BytesIO()
        size = gscz.encode(stream, scene, candidate, own, source_gaussians)
        smallest = min(smallest, size)
        if size <= target and (best is None or size > len(best[1])):
            best = candidate, stream.getvalue()
        return math.log(size)

    middle, least, most = (math.log(target * share) for share in ((1 + CLOSE) / 2, CLOSE, 1))
    _search(_Goal(middle, least, most, slope=0.03), recipe, ctx, attempt)
    if best is None:
        raise UsageError(
            f"preset '{recipe.name}' cannot reach {target:,} bytes, its smallest file has {smallest:,}: "
            "allow more, or remove Gaussians first (--do)"
        )
    return best


def aim_psnr(scene: Scene, recipe: Recipe, target: float, ctx: Context, source_gaussians: int) -> tuple[Recipe, bytes]:
    """The file whose mean PSNR against renders of ``scene``, over those of ``ctx.judges`` that see anything of it, is
    within PSNR_ENOUGH of ``target``.

    Raises UsageError without a renderer, or when the dial does not reach that far.
    """
    renderer = ctx.need_renderer("aiming at a PSNR")
    cameras = ctx.judges or ctx.cameras
    cameras = cameras[:: -(-len(cameras) // _VIEWS) or 1]
    original = [(camera, renderer.render(scene, camera)) for camera in cameras]
    wanted = [(camera, eight_bit(image.rgb)) for camera, image in original if image.alpha.max() >= _VISIBLE]
    if not wanted:
        raise UsageError(f"none of the {len(cameras)} cameras to measure with sees the scene: give others")
    found: list[tuple[float, Recipe, bytes]] = []  # the best one

    def attempt(candidate: Recipe, own: Context) -> float:
        stream = io.BytesIO()
        gscz.encode(stream, scene, candidate, own, source_gaussians)
        decoded = gscz.decode_last(Reader(stream.getvalue()), ctx.log)
        shown = ((before, eight_bit(renderer.render(decoded, camera).rgb)) for camera, before in wanted)
        reached = float(np.mean([min(psnr(before, after), 99.0) for before, after in shown]))
        if not found or abs(reached - target) < abs(found[0][0] - target):
            found[:] = [(reached, candidate, stream.getvalue())]
        return reached

    _search(_Goal(target, target - PSNR_CLOSE, target + PSNR_CLOSE, slope=0.3), recipe, ctx, attempt)
    reached, made, data = found[0]
    if abs(reached - target) > PSNR_ENOUGH:
        raise UsageError(
            f"preset '{recipe.name}' reaches {reached:.2f} dB here, not {target:g}: ask for a value closer to that, "
            "or change the preset"
        )
    ctx.log.info(f"{reached:.2f} dB on {len(wanted)} views")
    return made, data


def _search(goal: _Goal, recipe: Recipe, ctx: Context, attempt: Callable[[Recipe, Context], float]) -> None:
    """Call ``attempt`` for qualities until the value that it returns is close enough, or nothing more can be done.

    In three stages, each from the best of the one before. First, nearby qualities share pruning: quick, but the value
    jumps where that changes. Then none share anything. Pruning may still make it jump over the goal: at last all keep
    that of the nearest quality, and only the steps change.
    """
    quality, value, kept = _quality(recipe), math.nan, ctx
    with ctx.log.phase("search quality", sum(TRIES)) as tick:
        for stage, tries in enumerate(TRIES):
            bracket = _Bracket(goal)
            if stage == 2:
                bracket.add(quality, value)
                quality = bracket.next()
            for _ in range(tries):
                own = ctx.alone() if stage == 1 else kept
                value = attempt(recipe.with_options(quality=quality), own)
                tick(1)
                bracket.add(quality, value)
                if stage == 1 and bracket.nearest == quality:
                    kept = own
                if goal.least <= value <= goal.most or quality == (100.0 if value < goal.least else 0.0):
                    return
                if bracket.high - bracket.low < 0.01:
                    break
                quality = bracket.next()
            quality = bracket.nearest
            value = bracket.tried[quality]


@dataclass(slots=True)
class _Bracket:
    """The qualities that were tried, and between which two of them the goal must lie."""

    goal: _Goal
    tried: dict[float, float] = field(default_factory=dict)
    low: float = 0.0
    high: float = 100.0

    def add(self, quality: float, value: float) -> None:
        self.tried[quality] = value
        if value < self.goal.least:
            self.low = quality
        else:
            self.high = quality

    @property
    def nearest(self) -> float:
        return min(self.tried, key=lambda quality: abs(self.tried[quality] - self.goal.aim))

    def next(self) -> float:
        """By a straight line through two known points, but not too near those: a bent curve would be crept along."""
        low, high, known = self.low, self.high, self.tried
        if low in known and high in known:
            share = (self.goal.aim - known[low]) / (known[high] - known[low])
            return low + (high - low) * min(max(share, 0.1), 0.9)
        ordered = sorted(known, key=lambda quality: abs(known[quality] - self.goal.aim))
        slope = self.goal.slope
        if len(ordered) > 1:
            slope = max((known[ordered[1]] - known[ordered[0]]) / (ordered[1] - ordered[0]), slope / 20)
        guess = min(max(ordered[0] + (self.goal.aim - known[ordered[0]]) / slope, low), high)
        return (low + high) / 2 if guess in known else guess


def _quality(recipe: Recipe) -> float:
    return float(getattr(recipe.codec, "quality"))  # noqa: B009 -- the field is optional, callers checked for it
