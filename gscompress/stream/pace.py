"""Rate control: the quality of each GOP such that the stream keeps to a number of bytes per second."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.scene import Scene
from gscompress.stream.base import FrameCodec
from gscompress.stream.frames import Gop, encode_gops

TRIES = 4
_CLOSE = 0.88  # of the budget: a GOP between that and the whole of it ends the search
_AIM = 0.95
_SLOPE = 0.03  # first guess of d ln(size) / d quality
_SAVED = 0.5  # budgets of one GOP that may be saved up for a later one


def paced_gops(
    sequence: Iterable[Scene], codec: FrameCodec, ctx: Context, bitrate: float, fps: float = 30.0, gop: int = 30
) -> Iterator[Gop]:
    """GOPs of at most ``bitrate`` bytes per second, counting what earlier ones left over; as good as that allows.

    The first GOP starts from the codec's own quality, each later one from that of the one before. A GOP that is too
    large even at quality 0 is passed with a warning. Raises UsageError for a rate that is not positive.
    """
    if not 0 < bitrate < 1e12:
        raise UsageError(f"{bitrate:g} bytes per second are out of range")
    frames, quality, saved, index, number = iter(sequence), codec.quality, 0.0, 0, 0
    while scenes := list(islice(frames, gop)):
        fair = bitrate * len(scenes) / fps
        best, quality = _searched(scenes, codec, ctx, fair + saved, quality, gop, number)
        used = sum(len(one.data) for one in best)
        if used > fair + saved:
            ctx.log.warn(f"frames {number} to {number + len(scenes) - 1} do not fit the rate even at quality 0")
        saved = min(fair + saved - used, _SAVED * fair)
        for one in best:
            yield replace(one, index=index)
            index += 1
        number += len(scenes)


def _searched(
    scenes: list[Scene], codec: FrameCodec, ctx: Context, budget: float, quality: float, gop: int, number: int
) -> tuple[list[Gop], float]:
    """The best encoding within the budget that a few tries find, or else the smallest; and its quality."""
    tried: dict[float, int] = {}
    best: tuple[list[Gop], float] | None = None
    for _ in range(TRIES):
        made: list[Gop] = list(encode_gops(scenes, _at(codec, quality), ctx, gop=gop, first_frame=number))
        tried[quality] = size = sum(len(one.data) for one in made)
        if best is None or _better(size, tried[best[1]], budget):
            best = made, quality
        if _CLOSE * budget <= size <= budget or quality == (100.0 if size < budget else 0.0):
            break
        quality = _next(tried, budget)
        if any(abs(quality - other) < 0.25 for other in tried):
            break
    assert best is not None
    return best


def _better(size: int, than: int, budget: float) -> bool:
    """Larger is better within the budget, smaller is better beyond it."""
    return than < size <= budget if than <= budget else size < than


def _next(tried: dict[float, int], budget: float) -> float:
    """Where a line through the logarithms of the two closest sizes meets the aim, between what is known to be too
    small and too large."""
    aim = math.log(_AIM * budget)
    known = sorted(tried, key=lambda q: abs(math.log(tried[q]) - aim))[:2]
    slope = _SLOPE
    if len(known) == 2:
        slope = max((math.log(tried[known[1]]) - math.log(tried[known[0]])) / (known[1] - known[0]), 0.005)
    guess = known[0] + (aim - math.log(tried[known[0]])) / slope
    low = max((q for q, size in tried.items() if size <= budget), default=0.0)
    high = min((q for q, size in tried.items() if size > budget), default=100.0)
    return min(max(guess, low), high)


def _at(codec: FrameCodec, quality: float) -> FrameCodec:
    frozen: Any = codec
    return replace(frozen, quality=quality)
