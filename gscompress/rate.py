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

    Size is taken to grow with quality; the next try is where a straight line through the logarithms of two known sizes
    meets the target, kept inside the bracket. Raises UsageError when even quality 0 is too large.
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
            if CLOSE * target <= tried[quality] <= target or (best and quality == 100) or high - low < 0.01:
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
    """The next quality to try, strictly inside the bracket unless an end of the dial has not been tried yet."""
    wanted = math.log(target)
    nearest = sorted(tried, key=lambda q: abs(math.log(tried[q]) - wanted))[:2]
    first = nearest[0]
    slope = _SLOPE
    if len(nearest) == 2:
        slope = (math.log(tried[nearest[1]]) - math.log(tried[first])) / (nearest[1] - first)
    # Aim at the middle of the window that counts as close.
    guess = first + (wanted + math.log((1 + CLOSE) / 2) - math.log(tried[first])) / max(slope, 1e-3)
    if guess <= low:
        return low if low not in tried else low + (high - low) / 8
    if guess >= high:
        return high if high not in tried else high - (high - low) / 8
    return guess
