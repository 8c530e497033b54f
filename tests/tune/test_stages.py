"""Checkpoints: a finished stage is not done again, and never taken for another's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from specimens import blob

from gscompress.codecs.lightgaussian import LightGaussianCodec
from gscompress.context import Context
from gscompress.events import EventLog
from gscompress.renderers.cpu import CpuRenderer
from gscompress.scene import Scene
from gscompress.tune.checkpoint import resumable
from gscompress.viewpoints import generate


def test_a_finished_stage_is_taken_from_the_folder(tmp_path: Path) -> None:
    scene, calls = blob(20), []

    def make() -> Scene:
        calls.append(1)
        return blob(10, 1, seed=1)

    def stage(ctx: Context, settings: dict[str, int], given: Scene) -> Scene:
        return resumable(ctx, "stage", settings, given, make)

    ctx = Context(checkpoints=tmp_path / "kept")
    first = stage(ctx, {"steps": 3}, scene)
    again = stage(ctx, {"steps": 3}, scene)
    assert len(calls) == 1
    assert np.array_equal(first.splats.sh, again.splats.sh)
    stage(ctx, {"steps": 4}, scene)
    stage(replace(ctx, seed=1), {"steps": 3}, scene)
    stage(ctx, {"steps": 3}, blob(20, seed=2))
    stage(replace(ctx, photos=[np.zeros((2, 2, 3), np.uint8)]), {"steps": 3}, scene)
    stage(Context(), {"steps": 3}, scene)
    assert len(calls) == 6


def test_a_broken_checkpoint_is_done_anew(tmp_path: Path) -> None:
    ctx = Context(checkpoints=tmp_path, log=EventLog())
    for _ in range(2):
        resumable(ctx, "stage", {}, blob(5), lambda: blob(5))
        (kept,) = tmp_path.glob("stage-*.npz")
        kept.write_bytes(kept.read_bytes()[:100])
    assert "done anew" in ctx.log.warnings[0]


def test_an_interrupted_encode_goes_on_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = blob(60, 3)
    codec = LightGaussianCodec(prune=0.3, recover=3, distill=2, settle=2, codes=8)
    ctx = Context(renderer=CpuRenderer(), cameras=generate(scene, 2, width=32), checkpoints=tmp_path)
    whole = [chunk.streams for chunk in codec.encode(scene, replace(ctx, checkpoints=None))]
    with monkeypatch.context() as patch:
        patch.setattr(LightGaussianCodec, "_quantized", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            list(codec.encode(scene, ctx))
    assert len(list(tmp_path.glob("*.npz"))) == 2
    monkeypatch.setattr(LightGaussianCodec, "_recovered", lambda *_: 1 / 0)
    monkeypatch.setattr(LightGaussianCodec, "_distilled", lambda *_: 1 / 0)
    assert [chunk.streams for chunk in codec.encode(scene, ctx)] == whole
