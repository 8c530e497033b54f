"""Precision follows the picture inside a group, and files that forge it are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from moving_scenes import bent, growing, placed, shell
from test_retarget import CAMERAS, RENDERER, seen

from gscompress.codecs.default import DefaultCodec
from gscompress.codecs.geometry import Classes
from gscompress.context import Context
from gscompress.errors import UnreadableError
from gscompress.scene import Scene
from gscompress.stream.base import FrameEncoder
from gscompress.stream.keyframe import decode_key, encode_key
from gscompress.stream.ours import StreamCodec
from gscompress.stream.precision import Precision, wanted
from gscompress.stream.residual import Steps
from gscompress.stream.state import State


def context() -> Context:
    return Context(renderer=RENDERER, cameras=CAMERAS)


def after(scenes: list[Scene], codec: StreamCodec) -> FrameEncoder:
    encoder = codec.encoder(context())
    encoder.key(scenes[0])
    for scene in scenes[1:]:
        assert encoder.residual(scene) is not None
    return encoder


def state_of(scene: Scene) -> State:
    return State.of(decode_key(encode_key(scene, DefaultCodec(quality=50), Context())[0]))


def test_what_grows_in_the_picture_stays_as_good_as_its_own_key_frame() -> None:
    whole = shell(1500)
    sizes = [0.8 * 1.06**t for t in range(8)]
    scenes = [placed(whole, size * whole.splats.means, np.eye(3), size) for size in sizes]
    anew = after(scenes[-1:], StreamCodec(quality=30))
    follows, stays = (after(scenes, StreamCodec(quality=30, refresh=n, sag=np.inf)) for n in (2, 0))
    own, followed, stayed = (seen(encoder.scene(), scenes[-1]) for encoder in (anew, follows, stays))
    assert followed > own - 1
    assert followed > stayed + 3


def test_rows_that_a_key_frame_left_out_are_sent_when_they_show() -> None:
    whole = shell(1200)
    faint = np.where(np.arange(1200) % 4 == 0, -7.0, whole.splats.logit_opacities).astype(np.float32)
    hidden = replace(whole, splats=replace(whole.splats, logit_opacities=faint))
    codec = StreamCodec(quality=40, refresh=2)
    assert len(after([hidden, hidden], codec).scene()) < 1000
    assert len(after([hidden, hidden, whole], codec).scene()) > 1100


def test_a_picture_that_sags_does_not_wait_for_its_turn() -> None:
    scenes = [shell(1200)] * 3 + [growing(shell(1200), 4.0)]
    frames = []
    for sag in (0.3, np.inf):
        encoder = StreamCodec(quality=30, refresh=50, sag=sag).encoder(context())
        encoder.key(scenes[0])
        frames.append([encoder.residual(scene) for scene in scenes[1:]])
    early, late = (["precision" in (streams or {}) for streams in one] for one in frames)
    assert early == [False, False, True]
    assert late == [False, False, False]


def test_rows_whose_precision_fits_keep_their_steps_to_the_bit() -> None:
    state = state_of(bent(shell(800, 1), 0.2))
    finer = state.classes.shape.copy()
    finer[::5] -= 2
    like = state.shared.steps
    found = wanted(like, Classes(finer, state.classes.colour), state)
    assert found is not None
    new = Precision.decode(found.encode(state)["precision"], state).of(state)
    before, after_it = Steps.of(state), Steps.of(new)
    kept = np.arange(len(state)) % 5 != 0
    assert np.array_equal(after_it.shape[kept], before.shape[kept])
    assert np.array_equal(after_it.colour, before.colour)
    scales, least = after_it.shape[~kept, 0], before.shape[~kept, 0]
    assert np.all(scales <= least)
    assert np.median(least / scales) == 4
    assert wanted(new.shared.steps, new.classes, new) is None
    assert wanted(like, Classes(np.full(len(state), -1), np.full(len(state), -1)), state) is None


@pytest.mark.parametrize("bases", [(100, 0), (0, -100), (8, 0)])
def test_forged_precision_is_refused(bases: tuple[int, int]) -> None:
    state = state_of(shell(300))
    forged = Precision(bases, np.zeros((len(state), 2), np.int64)).encode(state)["precision"]
    with pytest.raises(UnreadableError):
        Precision.decode(forged, state).of(state)
