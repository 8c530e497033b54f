"""Laws of residual frames: closed loop, no drift, nothing for what stands still, and no row gets lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving_scenes import bent, growing, shell, shuffled, turned
from specimens import blob, odd_scenes

from gscompress.container.chunk import Chunk
from gscompress.container.piece import pack, unpack
from gscompress.context import Context
from gscompress.errors import UnreadableError
from gscompress.scene import Scene, Splats
from gscompress.stream import STREAM_CODECS
from gscompress.stream.base import FrameCodec, FrameEncoder
from gscompress.stream.frames import Gop, GopDecoder, encode_gops, header_for
from gscompress.stream.ours import StreamCodec
from gscompress.stream.queen import QueenCodec
from gscompress.stream.residual import Steps

FIELDS = ("means", "log_scales", "quats", "logit_opacities", "sh")
CODECS = [StreamCodec(quality=60, refresh=1), QueenCodec(quality=60)]


def gop_of(scenes: list[Scene], codec: FrameCodec) -> Gop:
    (gop,) = encode_gops(scenes, codec, Context(), gop=len(scenes))
    return gop


def decoded(scenes: list[Scene], codec: FrameCodec, gop: Gop) -> list[Scene]:
    header = header_for(scenes[0], codec, fps=30, gop=len(scenes))
    return [scene for _, scene in GopDecoder(header).frames(gop.data)]


def joined(a: Scene, b: Scene) -> Scene:
    return Scene(Splats(*(np.concatenate([getattr(a.splats, n), getattr(b.splats, n)]) for n in FIELDS)))


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_the_encoder_knows_exactly_what_decoders_have(codec: FrameCodec) -> None:
    encoder: FrameEncoder = codec.encoder(Context())
    decoder = codec.decoder()
    for t in range(4):
        scene = growing(bent(shell(600, 1), 0.05 * t), 1.5**t)
        streams = encoder.residual(scene) if t else encoder.key(scene)
        assert streams is not None
        (decoder.residual if t else decoder.key)(streams)
        for name in FIELDS:
            assert np.array_equal(getattr(encoder.scene().splats, name), getattr(decoder.scene().splats, name))


@pytest.mark.parametrize("degree", [0, 2])
def test_what_stands_still_costs_next_to_nothing(degree: int) -> None:
    # The first residual frames mend what the key frame rounded farthest; then nothing is left to say.
    gop = gop_of([shell(2000, degree)] * 6, StreamCodec(quality=50))
    assert max(gop.frame_sizes[1:]) < 0.15 * gop.frame_sizes[0]
    assert max(gop.frame_sizes[4:]) < 60


def test_what_all_share_is_not_lost_in_dead_zones() -> None:
    still = shell(1000)
    brighter = [
        replace(still, splats=replace(still.splats, sh=still.splats.sh + np.float32(0.004 * t))) for t in range(6)
    ]
    codec = StreamCodec(quality=30)
    last = decoded(brighter, codec, gop_of(brighter, codec))[-1]
    first = decoded(brighter, codec, gop_of(brighter, codec))[0]
    assert abs((last.splats.sh - first.splats.sh).mean() - 0.02) < 0.004


def test_a_turn_of_the_whole_costs_little_and_a_bend_not_much_more() -> None:
    whole = gop_of([turned(shell(3000), 0.05 * t, 1.01**t) for t in range(5)], StreamCodec(quality=50))
    assert max(whole.frame_sizes[2:]) < 0.05 * whole.frame_sizes[0]
    bend = gop_of([bent(shell(3000), 0.03 * t) for t in range(5)], StreamCodec(quality=50))
    assert max(bend.frame_sizes[2:]) < 0.15 * bend.frame_sizes[0]


def test_errors_stay_within_steps_however_long_the_group() -> None:
    codec = StreamCodec(quality=50)
    encoder = codec.encoder(Context())
    still = replace(shell(800), splats=replace(shell(800).splats, extras={"row": np.arange(800)}))
    encoder.key(still)
    for t in range(1, 25):
        scene = bent(still, 0.02 * t)
        encoder.residual(scene)
        state, target = encoder.decoder.state, scene.splats.means[encoder._of]
        assert np.abs(target - state.means).max(1).max() <= 1.01 * (codec.dead_zone * Steps.of(state).position).max()
        within = np.abs(target - state.means) <= 1.05 * codec.dead_zone * Steps.of(state).position
        assert within.mean() > 0.99


def test_shuffled_frames_cost_about_what_tracked_ones_cost() -> None:
    tracked = [turned(shell(3000), 0.05 * t) for t in range(3)]
    sizes = [
        gop_of(scenes, StreamCodec(quality=50)).frame_sizes
        for scenes in (tracked, [shuffled(s, t) for t, s in enumerate(tracked)])
    ]
    assert sizes[1][2] < 1.5 * sizes[0][2] + 100


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_rows_come_and_go(codec: FrameCodec) -> None:
    whole = shell(2000, 1)
    few, more = (
        replace(whole, splats=whole.splats.take(slice(300, None))),
        joined(whole, turned(shell(150, 1, 7), 0, 0.3, (2, 0, 0))),
    )
    scenes = [whole, shuffled(few), shuffled(more)]
    gop = gop_of(scenes, codec)
    frames = decoded(scenes, codec, gop)
    assert [len(frame) for frame in frames] == [2000, 1700, 2150]
    assert np.linalg.norm(frames[2].splats.means - [2, 0, 0], axis=1).min() < 0.3


def test_a_cut_to_another_scene_starts_a_group() -> None:
    for other in (blob(900, 0), shell(900, 1)):
        gops = list(encode_gops([shell(900), other, other], StreamCodec(), Context(), gop=10))
        assert [(gop.first_frame, gop.frames) for gop in gops] == [(0, 1), (1, 2)]


def test_what_no_renderer_can_draw_is_left_out() -> None:
    whole = shell(500)
    means = whole.splats.means.copy()
    means[7] = np.nan
    broken = replace(whole, splats=replace(whole.splats, means=means))
    gop = gop_of([broken, whole, broken], StreamCodec())
    assert [len(frame) for frame in decoded([broken], StreamCodec(), gop)] == [499, 500, 499]


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_sequences_at_the_edge_go_through(codec: FrameCodec) -> None:
    whole = shell(200)

    def first(count: int) -> Scene:
        return replace(whole, splats=whole.splats.take(slice(0, count)))

    def at(means: np.ndarray) -> Scene:
        return replace(whole, splats=replace(whole.splats, means=means.astype(np.float32)))

    astray = whole.splats.means.copy()
    astray[5] = 1e9
    point, line, far = (at(whole.splats.means * k) for k in (0.0, np.array([1.0, 0, 0]), 1e8))
    for scenes in (
        [whole, first(0), whole],
        [first(1), first(2), first(1)],
        [first(20), first(12), shuffled(first(20))],
        [point, shuffled(point)],
        [line, shuffled(line), far],
        [whole, at(astray), whole],
    ):
        header = header_for(scenes[0], codec, fps=30, gop=9)
        gops = list(encode_gops(scenes, codec, Context(), gop=9))
        frames = [scene for gop in gops for _, scene in GopDecoder(header).frames(gop.data)]
        assert [len(frame) for frame in frames] == [len(scene) for scene in scenes]
        assert all(np.isfinite(frame.splats.means).all() for frame in frames)


@pytest.mark.parametrize("name", ["stream", "queen", "intra"])
def test_odd_scenes_go_through_by_every_codec(name: str) -> None:
    codec = STREAM_CODECS.get(name)()
    for scene in odd_scenes().values():
        scenes = [scene, scene, scene]
        header = header_for(scene, codec, fps=30, gop=3)
        for gop in encode_gops(scenes, codec, Context(), gop=3):
            for _, frame in GopDecoder(header).frames(gop.data):
                assert (frame.frame, frame.model, len(frame)) == (scene.frame, scene.model, len(scene))


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_forged_streams_are_refused_or_decoded_but_never_crash(codec: FrameCodec, data: st.DataObject) -> None:
    scenes = _FORGED[codec.name][0]
    frames = list(unpack(_FORGED[codec.name][1].data))
    which = data.draw(st.integers(0, 2))
    streams = dict(frames[which].streams)
    name = data.draw(st.sampled_from(sorted(streams)))
    broken = bytearray(streams[name])
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    streams[name] = bytes(broken[: data.draw(st.integers(len(broken) // 2, len(broken)))])
    frames[which] = Chunk(frames[which].kind, 0, streams)
    header = header_for(scenes[0], codec, fps=30, gop=3)
    try:
        for _, scene in GopDecoder(header).frames(b"".join(map(pack, frames))):
            assert all(len(getattr(scene.splats, n)) == len(scene) for n in FIELDS)
    except UnreadableError:
        pass


def _forged(codec: FrameCodec) -> tuple[list[Scene], Gop]:
    whole = shell(700, 1)
    scenes = [
        whole,
        shuffled(replace(bent(whole, 0.05), splats=bent(whole, 0.05).splats.take(slice(50, None)))),
        growing(bent(whole, 0.1), 4.0),
    ]
    return scenes, gop_of(scenes, codec)


_FORGED = {codec.name: _forged(codec) for codec in CODECS}
