"""Aiming at a size: as large as allowed, never larger, whatever the dial's curve."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import pytest
from specimens import blob

from gscompress.codecs.base import Codec
from gscompress.container.chunk import Chunk
from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.rate import TRIES, aim
from gscompress.recipe import Recipe
from gscompress.scene import Scene


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


def test_a_size_out_of_reach_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"smallest file has 1,\d\d\d"):
        aim(blob(1), Recipe("dial", "", (), DialCodec()), 900, Context(), 1)


def test_a_generous_size_gets_the_best_quality() -> None:
    tried, _ = aim(blob(1), Recipe("dial", "", (), DialCodec()), 10**9, Context(), 1)
    assert tried.codec.quality == 100  # type: ignore[attr-defined]
    assert TRIES >= 4
