"""Aim at a file size or at a picture quality by searching the quality dial."""

from __future__ import annotations

import io
import math

import numpy as np

from gscompress.codecs import gscz
from gscompress.container.reader import Reader
from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.metrics import eight_bit, psnr
from gscompress.recipe import Recipe
from gscompress.scene import Scene

CLOSE = 0.98  # a file of 98 to 100 % of the target ends the search
TRIES = 10
SHARING = 4  # tries of which nearby ones share pruning: quick, but sizes jump where it changes; later ones do not
_VIEWS = 32
PSNR_CLOSE = 0.05  # dB
_VISIBLE = 1 / 255  # alpha: a view without any more shows nothing of the scene
_DB_SLOPE = 0.3  # first guess of d PSNR / d quality
_SLOPE = 0.03  # first guess of d ln(size) / d quality, until two sizes are known


def aim(scene: Scene, recipe: Recipe, target: int, ctx: Context, source_gaussians: int) -> tuple[Recipe, bytes]:
    """The largest file of at most ``target`` bytes, and the recipe with the quality that made it.

    Size is taken to grow with quality. Raises UsageError when even quality 0 is too large.
    """
    low, high, quality = 0.0, 100.0, _quality(recipe)
    tried: dict[float, int] = {}
    best: tuple[Recipe, bytes] | None = None
    smallest = math.inf
    with ctx.log.phase("search quality", TRIES) as tick:
        for number in range(TRIES):
            if number == SHARING:
                low, high, quality = 0.0, 100.0, min(tried, key=lambda q: abs(tried[q] - target))
                tried.clear()
            candidate = recipe.with_options(quality=quality)
            stream = io.BytesIO()
            own = ctx if number < SHARING else ctx.alone()
            tried[quality] = gscz.encode(stream, scene, candidate, own, source_gaussians)
            tick(1)
            smallest = min(smallest, tried[quality])
            low, high = (quality, high) if tried[quality] <= target else (low, quality)
            if tried[quality] <= target and (best is None or tried[quality] > len(best[1])):
                best = (candidate, stream.getvalue())
            close = CLOSE * target <= tried[quality] <= target
            at_an_end = quality == (100 if tried[quality] <= target else 0)
            if close or at_an_end or high - low < 0.01:
                break
            quality = _next(tried, target, low, high)
    if best is None:
        raise UsageError(
            f"preset '{recipe.name}' cannot reach {target:,} bytes, its smallest file has {smallest:,}: "
            "allow more, or remove Gaussians first (--do)"
        )
    return best


def aim_psnr(scene: Scene, recipe: Recipe, target: float, ctx: Context, source_gaussians: int) -> tuple[Recipe, bytes]:
    """The file whose mean PSNR against renders of ``scene``, over those of ``ctx.judges`` that see anything of it, is
    within twice PSNR_CLOSE of ``target``.

    Raises UsageError without a renderer, or when the dial does not reach that far.
    """
    renderer = ctx.need_renderer("aiming at a PSNR")
    cameras = ctx.judges or ctx.cameras
    cameras = cameras[:: -(-len(cameras) // _VIEWS) or 1]
    original = [(camera, renderer.render(scene, camera)) for camera in cameras]
    wanted = [(camera, eight_bit(image.rgb)) for camera, image in original if image.alpha.max() >= _VISIBLE]
    if not wanted:
        raise UsageError(f"none of the {len(cameras)} cameras to measure with sees the scene: give others")
    low, high, quality = 0.0, 100.0, _quality(recipe)
    tried: dict[float, float] = {}
    best: tuple[float, Recipe, bytes] | None = None
    with ctx.log.phase("search quality", TRIES) as tick:
        for number in range(TRIES):
            if number == SHARING:
                low, high, quality = 0.0, 100.0, min(tried, key=lambda q: abs(tried[q] - target))
                tried.clear()
            candidate = recipe.with_options(quality=quality)
            stream = io.BytesIO()
            own = ctx if number < SHARING else ctx.alone()
            gscz.encode(stream, scene, candidate, own, source_gaussians)
            decoded = gscz.decode_last(Reader(stream.getvalue()), ctx.log)
            shown = ((before, eight_bit(renderer.render(decoded, camera).rgb)) for camera, before in wanted)
            tried[quality] = reached = float(np.mean([min(psnr(before, after), 99.0) for before, after in shown]))
            tick(1)
            if best is None or abs(reached - target) < abs(best[0] - target):
                best = (reached, candidate, stream.getvalue())
            if abs(reached - target) <= (PSNR_CLOSE if number < SHARING else 2 * PSNR_CLOSE):
                break
            low, high = (quality, high) if reached < target else (low, quality)
            quality = _straight(tried, target, low, high)
            if quality in tried:
                break
    assert best is not None
    if abs(best[0] - target) > 2 * PSNR_CLOSE:
        raise UsageError(
            f"preset '{recipe.name}' reaches {best[0]:.2f} dB here, not {target:g}: ask for a value closer to that, "
            "or change the preset"
        )
    ctx.log.info(f"{best[0]:.2f} dB on {len(wanted)} views")
    return best[1], best[2]


def _straight(tried: dict[float, float], target: float, low: float, high: float) -> float:
    """Where a line through the two nearest tries meets the target, kept inside the bracket."""
    nearest = sorted(tried, key=lambda q: abs(tried[q] - target))[:2]
    slope = _DB_SLOPE
    if len(nearest) == 2:
        slope = max((tried[nearest[1]] - tried[nearest[0]]) / (nearest[1] - nearest[0]), 0.02)
    guess = nearest[0] + (target - tried[nearest[0]]) / slope
    if guess <= low:
        return low if low not in tried else low + (high - low) / 4
    if guess >= high:
        return high if high not in tried else high - (high - low) / 4
    return guess


def _quality(recipe: Recipe) -> float:
    return float(getattr(recipe.codec, "quality"))  # noqa: B009 -- the field is optional, callers checked for it


def _next(tried: dict[float, int], target: int, low: float, high: float) -> float:
    """The next quality to try, inside the bracket: by a straight line through the logarithms of two known sizes."""
    wanted = math.log(target * (1 + CLOSE) / 2)  # the middle of what counts as close
    if low in tried and high in tried:
        share = (wanted - math.log(tried[low])) / (math.log(tried[high]) - math.log(tried[low]))
        # Not too near either end: a bent curve would otherwise be crept along.
        return low + (high - low) * min(max(share, 0.1), 0.9)
    nearest = sorted(tried, key=lambda q: abs(math.log(tried[q]) - wanted))[:2]
    slope = _SLOPE
    if len(nearest) == 2:
        slope = (math.log(tried[nearest[1]]) - math.log(tried[nearest[0]])) / (nearest[1] - nearest[0])
    guess = nearest[0] + (wanted - math.log(tried[nearest[0]])) / max(slope, 1e-3)
    return min(max(guess, low), high)
