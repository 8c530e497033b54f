"""Aim at a file size by searching the quality dial."""

from __future__ import annotations

import io
import math

from gscompress.codecs import gscz
from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.recipe import Recipe
from gscompress.scene import Scene

CLOSE = 0.98  # a file of 98 to 100 % of the target ends the search
TRIES = 10
_SLOPE = 0.03  # first guess of d ln(size) / d quality, until two sizes are known


def aim(scene: Scene, recipe: Recipe, target: int, ctx: Context, source_gaussians: int) -> tuple[Recipe, bytes]:
    """The largest file of at most ``target`` bytes, and the recipe with the quality that made it.

    Size is taken to grow with quality. Raises UsageError when even quality 0 is too large.
    """
    low, high, quality = 0.0, 100.0, _quality(recipe)
    tried: dict[float, int] = {}
    best: tuple[Recipe, bytes] | None = None
    with ctx.log.phase("search quality", TRIES) as tick:
        for _ in range(TRIES):
            candidate = recipe.with_options(quality=quality)
            stream = io.BytesIO()
            tried[quality] = gscz.encode(stream, scene, candidate, ctx, source_gaussians)
            tick(1)
            if tried[quality] <= target:
                low = quality
                best = (candidate, stream.getvalue())
            else:
                high = quality
            close = CLOSE * target <= tried[quality] <= target
            at_an_end = quality == (100 if tried[quality] <= target else 0)
            if close or at_an_end or high - low < 0.01:
                break
            quality = _next(tried, target, low, high)
    if best is None:
        smallest = min(tried.values())
        raise UsageError(
            f"preset '{recipe.name}' cannot reach {target:,} bytes, its smallest file has {smallest:,}: "
            "allow more, or remove Gaussians first (--do)"
        )
    return best


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
