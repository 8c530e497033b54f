"""Frames whose Gaussians have nothing to do with those before them are reached by tuning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from moving_scenes import shell, turned

from gscompress.camera import Camera, look_at
from gscompress.context import Context
from gscompress.metrics import psnr
from gscompress.renderers import RENDERERS
from gscompress.scene import Scene
from gscompress.stream.frames import GopDecoder, encode_gops, header_for
from gscompress.stream.ours import StreamCodec

RENDERER = RENDERERS.get("cpu")()
CAMERAS = [
    Camera(
        96, 72, 80, 80, 48, 36, look_at(2.5 * np.array([np.cos(a), 0.4, np.sin(a)]), np.zeros(3), np.array([0, -1, 0]))
    )
    for a in np.arange(8) * np.pi / 4
]


def resampled(seed: int) -> Scene:
    """The same surface, covered by other Gaussians every time."""
    scene = turned(shell(900, seed=seed), 0.08 * seed)
    sh = np.sin(2 * scene.splats.means)[:, None].astype(np.float32)
    wide = np.full_like(scene.splats.log_scales, np.log(0.06))
    opaque = np.full_like(scene.splats.logit_opacities, 2.0)
    return replace(scene, splats=replace(scene.splats, sh=sh, log_scales=wide, logit_opacities=opaque))


def seen(scene: Scene, source: Scene) -> float:
    return float(np.mean([psnr(RENDERER.render(source, c).rgb, RENDERER.render(scene, c).rgb) for c in CAMERAS[1::2]]))


def test_a_resampled_frame_costs_a_fraction_and_looks_like_its_source() -> None:
    scenes = [resampled(0), resampled(1)]
    ctx = Context(renderer=RENDERER, cameras=CAMERAS)
    plain = list(encode_gops(scenes, StreamCodec(quality=20), ctx, gop=2))
    tuned = StreamCodec(quality=20, tune=40)
    (gop,) = encode_gops(scenes, tuned, ctx, gop=2)
    assert gop.frame_sizes[1] < 0.7 * (plain[-1].frame_sizes[-1])
    frames = [scene for _, scene in GopDecoder(header_for(scenes[0], tuned, fps=30, gop=2)).frames(gop.data)]
    held, moved = seen(frames[0], scenes[1]), seen(frames[1], scenes[1])
    assert moved > held + 2
    assert moved > 25
