"""Rate control keeps what it promises."""

from __future__ import annotations

import pytest
from moving_scenes import bent, shell

from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.stream.frames import GopDecoder, encode_gops, header_for
from gscompress.stream.ours import StreamCodec
from gscompress.stream.pace import paced_gops

SCENES = [bent(shell(1500), 0.03 * t) for t in range(6)]


def test_a_stream_keeps_to_its_rate_and_uses_most_of_it() -> None:
    free = sum(len(gop.data) for gop in encode_gops(SCENES, StreamCodec(quality=60), Context(), gop=3))
    for share in (0.6, 1.3):
        rate = free * share / len(SCENES) * 30
        gops = list(paced_gops(SCENES, StreamCodec(quality=60), Context(), rate, 30, 3))
        size = sum(len(gop.data) for gop in gops)
        assert 0.75 * rate * len(SCENES) / 30 <= size <= rate * len(SCENES) / 30
        assert [(g.index, g.first_frame) for g in gops] == [(0, 0), (1, 3)]
        decoder = GopDecoder(header_for(SCENES[0], StreamCodec(), fps=30, gop=3))
        assert [n for gop in gops for n, _ in decoder.frames(gop.data)] == list(range(6))


def test_a_rate_out_of_reach_gives_the_smallest_stream_and_says_so() -> None:
    ctx = Context()
    smallest = list(paced_gops(SCENES[:3], StreamCodec(), ctx, 10.0, 30, 3))
    assert "quality 0" in ctx.log.warnings[0]
    assert len(smallest[0].data) < len(next(encode_gops(SCENES[:3], StreamCodec(quality=30), Context(), gop=3)).data)
    with pytest.raises(UsageError):
        list(paced_gops(SCENES, StreamCodec(), Context(), 0.0))
