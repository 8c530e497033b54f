"""Aiming at a size (as large as allowed, never larger, whatever the dial's curve) and at a picture quality."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from specimens import blob

from gscompress.cli.views import EVERY, Given, context
from gscompress.codecs.base import Codec
from gscompress.codecs.default import DEFAULT, FAST
from gscompress.codecs.gscz import decode_last
from gscompress.comparison import compare
from gscompress.container.chunk import Chunk
from gscompress.container.reader import Reader
from gscompress.context import NEARBY, Context
from gscompress.errors import UsageError
from gscompress.events import EventLog
from gscompress.metrics import eight_bit, psnr
from gscompress.rate import PSNR_ENOUGH, aim, aim_psnr
from gscompress.recipe import Recipe
from gscompress.renderers.cpu import CpuRenderer
from gscompress.scene import Scene
from gscompress.viewpoints import generate


@dataclass(frozen=True)
class DialCodec(Codec):
    """Writes 1000 * exp(a q + b q^2) bytes at quality q."""

    name: ClassVar[str] = "dial"
    version: ClassVar[int] = 1
    quality: float = 50.0
    linear: float = 0.05
    square: float = 0.0

    def encode(self, scene: Scene, ctx: Context) -> Iterator[Chunk]:
        size = 1000 * math.exp(self.linear * self.quality + self.square * self.quality**2)
        yield Chunk("BASE", 0, {"data": bytes(int(size))})

    def decode(self, chunks: Iterable[Chunk]) -> Iterator[Scene]:
        return iter(())


@dataclass(frozen=True)
class SharingCodec(DialCodec):
    """Takes over a third of the size from the encode before it when that was less than 1.5 away, as pruning is."""

    name: ClassVar[str] = "sharing"

    def encode(self, scene: Scene, ctx: Context) -> Iterator[Chunk]:
        known = ctx.memo.get((NEARBY, "dial"), math.inf)
        if abs(known - self.quality) > 1.5:
            known = ctx.memo[NEARBY, "dial"] = self.quality
        size = 1000 * math.exp(self.linear * (0.7 * self.quality + 0.3 * known))
        yield Chunk("BASE", 0, {"data": bytes(int(size))})


CURVES = [(0.05, 0.0), (0.01, 0.0005), (0.09, -0.0004), (0.001, 0.0)]


@pytest.mark.parametrize(("linear", "square"), CURVES)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.97])
def test_the_size_is_met_from_below(linear: float, square: float, share: float) -> None:
    recipe = Recipe("dial", "", (), DialCodec(linear=linear, square=square))
    exponent = linear * 100 + square * 100**2
    target = int(1500 * math.exp(share * exponent))
    tried, data = aim(blob(1), recipe, target, Context(), 1)
    largest = 1000 * math.exp(exponent)
    assert len(data) <= target
    assert len(data) >= 0.98 * min(target, largest)
    assert 0 <= tried.codec.quality <= 100  # type: ignore[attr-defined]


@pytest.mark.parametrize("target", [1470, 1560, 1700, 5000])
def test_a_size_is_met_where_what_nearby_qualities_share_makes_it_jump(target: int) -> None:
    _, data = aim(blob(1), Recipe("sharing", "", (), SharingCodec(linear=0.2)), target, Context(), 1)
    assert 0.98 * target <= len(data) <= target


def test_a_size_out_of_reach_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"smallest file has 1,\d\d\d"):
        aim(blob(1), Recipe("dial", "", (), DialCodec()), 900, Context(), 1)


def test_a_generous_size_gets_the_best_quality() -> None:
    tried, _ = aim(blob(1), Recipe("dial", "", (), DialCodec()), 10**9, Context(), 1)
    assert tried.codec.quality == 100  # type: ignore[attr-defined]


@pytest.mark.parametrize("target", [36.0, 44.0])
def test_a_picture_quality_is_met_in_views_that_the_encoder_does_not_see(target: float) -> None:
    scene, renderer = blob(300, 1), CpuRenderer()
    seen, judges = generate(scene, 6, width=80), generate(scene, 5, width=80, offset=2)
    _, data = aim_psnr(scene, DEFAULT, target, Context(renderer=renderer, cameras=seen, judges=judges), len(scene))
    decoded = decode_last(Reader(data), EventLog())
    shown = [psnr(*(eight_bit(renderer.render(s, camera).rgb) for s in (scene, decoded))) for camera in judges]
    assert abs(np.mean(shown) - target) <= PSNR_ENOUGH


def test_views_that_show_nothing_do_not_count() -> None:
    scene = blob(300, 1)
    seen, judges = generate(scene, 6, width=80), generate(scene, 5, width=80, offset=2)
    away = np.diag([-1.0, 1.0, -1.0, 1.0])
    blind = [replace(camera, w2c=away @ camera.w2c) for camera in judges]
    ctx = Context(renderer=CpuRenderer(), cameras=seen, judges=[*judges, *blind])
    _, data = aim_psnr(scene, DEFAULT, 40.0, ctx, len(scene))
    decoded = decode_last(Reader(data), EventLog())
    assert abs(compare(scene, decoded, judges, CpuRenderer()).mean.psnr - 40.0) <= PSNR_ENOUGH
    with pytest.raises(UsageError, match="none of the 5 cameras"):
        aim_psnr(scene, DEFAULT, 40.0, replace(ctx, judges=blind), len(scene))


def test_a_picture_quality_out_of_reach_is_a_usage_error() -> None:
    scene = blob(300, 1)
    ctx = Context(renderer=CpuRenderer(), cameras=generate(scene, 4, width=80))
    with pytest.raises(UsageError, match=r"reaches \d\d\.\d\d dB here, not 90"):
        aim_psnr(scene, DEFAULT, 90.0, ctx, len(scene))


def test_views_to_judge_by_are_kept_from_the_encoder() -> None:
    scene = blob(300, 1)
    plain, aiming = (context(DEFAULT, scene, EventLog(), Given(aims=aims)) for aims in (False, True))
    assert not plain.judges
    assert len(aiming.judges) == 3 * EVERY
    assert not {c.w2c.tobytes() for c in aiming.judges} & {c.w2c.tobytes() for c in aiming.cameras}


def test_a_preset_that_looks_at_no_renders_can_aim_at_a_picture_too() -> None:
    scene = blob(300, 1)
    ctx = context(FAST, scene, EventLog(), Given(aims=True))
    _, data = aim_psnr(scene, FAST, 40.0, replace(ctx, judges=[c.resized(80, 60) for c in ctx.judges]), len(scene))
    assert len(data) < scene.splats.nbytes
    assert context(FAST, scene, EventLog()).renderer is None
