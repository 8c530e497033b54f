"""LightGaussian: what VecTree keeps, that recovery recovers, the same bytes every time, and damaged files."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace

import numpy as np
import pytest
from specimens import blob, odd_scenes

from gscompress import api
from gscompress.codecs.lightgaussian import LIGHTGAUSSIAN, LightGaussianCodec
from gscompress.codecs.vectree import VecTree
from gscompress.container.chunk import Chunk
from gscompress.container.reader import Reader
from gscompress.container.writer import write
from gscompress.context import Context
from gscompress.errors import UnreadableError, UsageError
from gscompress.frame import quat_to_matrix
from gscompress.metrics import psnr
from gscompress.renderers.cpu import CpuRenderer
from gscompress.scene import Scene
from gscompress.viewpoints import generate

QUICK = LightGaussianCodec(prune=0.3, recover=8, distill=4, settle=4, codes=16)


def decoded(codec: LightGaussianCodec, scene: Scene, ctx: Context) -> Scene:
    return codec.decode_whole(codec.encode(scene, ctx))


def quality(scene: Scene, ctx: Context) -> float:
    renderer = CpuRenderer()
    return float(
        np.mean([psnr(renderer.render(scene, c).rgb, p / np.float32(255)) for c, p in zip(ctx.cameras, ctx.photos)])
    )


def test_vectree_keeps_what_half_precision_keeps() -> None:
    splats = blob(300, 2).splats
    which = np.where(np.arange(300) % 3 == 0, -1, np.arange(300) % 7)
    codes = blob(7, 2, seed=4).splats.sh
    back = VecTree.unpack(VecTree(splats, which, codes).pack())
    assert len(back) == 300
    nearest = np.argmin(np.square(back.means[:, None] - splats.means[None]).sum(2), axis=1)
    assert sorted(nearest) == list(range(300))
    middle = np.exp(np.sort(splats.log_scales, axis=1)[nearest, 1])
    assert (np.abs(back.means - splats.means[nearest]).max(1) <= middle / 32).all()
    np.testing.assert_allclose(back.log_scales, splats.log_scales[nearest], rtol=2**-11)
    np.testing.assert_allclose(back.logit_opacities, splats.logit_opacities[nearest], rtol=2**-11, atol=1e-7)
    turned = np.abs(quat_to_matrix(back.quats) - quat_to_matrix(splats.quats[nearest]))
    assert turned.max() < 4e-3
    wanted = np.where((which < 0)[:, None, None], splats.sh, codes[which])[nearest]
    np.testing.assert_allclose(back.sh, wanted, rtol=2**-11, atol=1e-7)


@pytest.mark.parametrize("vq", [0.0, 1.0])
def test_all_or_none_may_share_colours(scene: Scene, ctx: Context, vq: float) -> None:
    codec = replace(QUICK, prune=0.0, recover=0, distill=0, settle=0, degree=3, vq=vq)
    back = decoded(codec, scene, ctx)
    assert len(back) == len(scene)
    assert len(np.unique(back.splats.sh, axis=0)) <= (16 if vq else 200)
    if not vq:
        assert quality(back, ctx) > 45


def test_recovery_takes_back_some_of_what_pruning_lost(scene: Scene, ctx: Context) -> None:
    only = replace(QUICK, prune=0.85, vq=0.0, degree=3, distill=0, settle=0)
    untuned, tuned = (quality(decoded(replace(only, recover=steps), scene, ctx), ctx) for steps in (0, 80))
    assert tuned > untuned + 0.3


def test_the_least_significant_go(scene: Scene, ctx: Context) -> None:
    none = replace(QUICK, prune=0.5, recover=0, distill=0, settle=0, vq=0.0, degree=3)
    kept = decoded(none, scene, ctx)
    assert len(kept) == 100
    rng = np.random.default_rng(0)
    arbitrary = replace(scene, splats=scene.splats.take(rng.permutation(200)[:100]))
    assert quality(kept, ctx) > quality(arbitrary, ctx) + 2


def test_colours_are_of_the_degree_asked_for(scene: Scene, ctx: Context) -> None:
    for degree in (0, 2):
        assert decoded(replace(QUICK, degree=degree), scene, ctx).splats.sh_degree == degree


def test_same_scene_photos_and_seed_give_the_same_bytes(scene: Scene, ctx: Context) -> None:
    first, second, other = (
        [chunk.streams for chunk in QUICK.encode(scene, replace(ctx, seed=seed))] for seed in (0, 0, 1)
    )
    assert first == second
    assert first != other


def test_the_codec_is_set_from_the_command_line(scene: Scene, ctx: Context) -> None:
    specs = ["lightgaussian:prune=30%,recover=8,distill=4", "lightgaussian:settle=4,codes=16", "clean"]
    recipe = api.recipe_for("lightgaussian", do=specs)
    assert recipe.codec == QUICK
    assert [t.name for t in recipe.transforms] == ["clean", "clean"]
    back = api.decompress(api.compress(scene, "lightgaussian", do=specs, ctx=ctx))
    assert len(back) == 140


@pytest.mark.parametrize("setting", [{"prune": 1.0}, {"vq": 2.0}, {"degree": 4}, {"codes": 0}, {"settle": -1}])
def test_settings_out_of_range_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="lightgaussian: "):
        LightGaussianCodec(**setting)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", list(odd_scenes()))
def test_odd_scenes_come_back(name: str) -> None:
    scene = odd_scenes()[name]
    cameras = generate(blob(200), 2, width=32)
    ctx = Context(renderer=CpuRenderer(), cameras=cameras)
    back = decoded(replace(QUICK, recover=2, distill=1, settle=2), scene, ctx)
    assert len(back) == (round(0.7 * len(scene)) if len(scene) > 1 else len(scene))
    assert np.isfinite(back.splats.sh).all()


def test_damaged_files_are_refused_or_decode(scene: Scene, ctx: Context) -> None:
    data = api.compress(scene, "lightgaussian", do=["lightgaussian:recover=0,distill=0,settle=0,codes=9"], ctx=ctx)
    reader, rng = Reader(data), np.random.default_rng(0)
    (chunk,) = reader.chunks(LIGHTGAUSSIAN.codec.kinds)
    refused = 0
    for name, stream in chunk.streams.items():
        for attempt in range(24):
            broken = bytearray(stream)
            if attempt % 3 == 0:
                broken = broken[: int(rng.integers(len(broken)))]
            else:
                broken[int(rng.integers(len(broken)))] ^= int(rng.integers(1, 256))
            out = io.BytesIO()
            write(out, reader.header, [Chunk(chunk.kind, 0, {**chunk.streams, name: bytes(broken)})])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                try:
                    api.decompress(out.getvalue())
                except UnreadableError:
                    refused += 1
    assert refused > 100
