"""Compact-3DGS: what is stored is what was tuned, the mask's derivative, same bytes every time, damaged files."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from specimens import blob, odd_scenes

from gscompress import api
from gscompress.codecs.compact_3dgs import COMPACT_3DGS, Compact3dgsCodec
from gscompress.codecs.compact_mask import MaskModel, by_multiplier
from gscompress.codecs.compact_model import CompactModel
from gscompress.codecs.compact_store import (
    Levels,
    ResidualCodes,
    decode_positions,
    encode_positions,
    position_order,
    to_halves,
)
from gscompress.codecs.field import Domain, Weights
from gscompress.codecs.field_grid import resolutions
from gscompress.codecs.field_tune import FieldFit
from gscompress.config import to_config
from gscompress.container.chunk import Chunk
from gscompress.container.reader import Reader
from gscompress.container.writer import write
from gscompress.context import Context
from gscompress.errors import UnreadableError, UsageError
from gscompress.metrics import psnr
from gscompress.renderers.cpu import CpuRenderer
from gscompress.scene import Scene
from gscompress.tune.targets import targets
from gscompress.viewpoints import generate

QUICK = Compact3dgsCodec(
    masking=3, distil=20, joint=3, settle=3, levels=4, table=1.0, finest=64, hidden=8, stages=2, codes=16
)


def few_views(scene: Scene) -> Context:
    return Context(renderer=CpuRenderer(), cameras=generate(scene, 2, width=48)) if len(scene) else Context()


def file_of(scene: Scene, ctx: Context, codec: Compact3dgsCodec = QUICK) -> bytes:
    from gscompress.codecs import gscz

    stream = io.BytesIO()
    gscz.encode(stream, scene, replace(COMPACT_3DGS, codec=codec), ctx, len(scene))
    return stream.getvalue()


def test_pictures_stay_close_and_the_mask_takes_its_share(scene: Scene, ctx: Context) -> None:
    codec = replace(QUICK, mask=0.02, masking=400, distil=150, joint=60, settle=20, hidden=32, table=4.0, stages=6)
    back = codec.decode_whole(codec.encode(scene, ctx))
    assert len(back) < 0.9 * len(scene)
    renderer = CpuRenderer()
    shown = [psnr(renderer.render(back, c).rgb, p / np.float32(255)) for c, p in zip(ctx.cameras, ctx.photos)]
    assert np.mean(shown) > 26


def test_what_is_decoded_is_what_was_tuned(scene: Scene, ctx: Context) -> None:
    models = []

    class Spy(Compact3dgsCodec):
        def _streams(self, model: CompactModel, degree: int) -> dict[str, bytes]:
            models.append(model)
            return super()._streams(model, degree)

    codec = Spy(**to_config(QUICK))
    back = codec.decode_whole(codec.encode(scene, ctx)).splats
    tuned = models[0].scene().splats.take(position_order(models[0].halves()))
    assert np.array_equal(back.means, tuned.means)
    assert np.array_equal(back.sh, tuned.sh)
    assert np.array_equal(back.log_scales, tuned.log_scales)
    assert np.array_equal(back.logit_opacities, tuned.logit_opacities)


def test_same_scene_same_bytes(scene: Scene, ctx: Context) -> None:
    assert file_of(scene, ctx) == file_of(scene, ctx)


def test_an_interrupted_run_goes_on_after_its_last_stage(scene: Scene, ctx: Context, tmp_path: Path) -> None:
    kept = replace(ctx, checkpoints=tmp_path)
    first = file_of(scene, kept)
    stages = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(stages) == 2
    assert file_of(scene, kept) == first == file_of(scene, ctx)
    assert stages == {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}


def test_views_are_asked_for(scene: Scene) -> None:
    with pytest.raises(UsageError, match="pass a Context"):
        file_of(scene, Context())
    with pytest.raises(UsageError, match="Context with cameras"):
        file_of(scene, Context(renderer=CpuRenderer()))


def test_without_a_mask_everyone_stays(scene: Scene, ctx: Context) -> None:
    codec = replace(QUICK, mask=0.0)
    assert len(codec.decode_whole(codec.encode(scene, ctx))) == len(scene)


@pytest.mark.parametrize("name", odd_scenes())
def test_odd_scenes_come_back(name: str) -> None:
    scene = odd_scenes()[name]
    back = api.decompress(file_of(scene, few_views(scene)))
    assert (back.frame, back.model, back.meta) == (scene.frame, scene.model, scene.meta)
    assert back.splats.sh_degree == scene.splats.sh_degree
    assert len(back) <= len(scene)
    for array in (back.splats.means, back.splats.log_scales, back.splats.quats, back.splats.sh):
        assert np.isfinite(array).all()


def test_the_mask_slope_is_a_derivative(scene: Scene, ctx: Context) -> None:
    goal, renderer = targets(scene, ctx)[0], CpuRenderer()
    faint = replace(scene, splats=replace(scene.splats, logit_opacities=scene.splats.logit_opacities - 1))

    def loss(factor: np.ndarray) -> float:
        s = faint.splats
        opacity = factor / (1 + np.exp(-s.logit_opacities.astype(np.float64)))
        changed = replace(
            s,
            log_scales=(s.log_scales + np.log(factor)[:, None]).astype(np.float32),
            logit_opacities=np.log(opacity / (1 - opacity)).astype(np.float32),
        )
        shown = renderer.render(replace(faint, splats=changed), goal.camera).rgb.astype(np.float64)
        return float(np.square(shown - goal.rgb / 255).sum())

    def pull(image: object) -> np.ndarray:
        return (2 * (image.rgb - goal.rgb / np.float32(255))).astype(np.float32)  # type: ignore[attr-defined]

    _, gradients = renderer.render_with_grad(faint, goal.camera, pull)
    slope = by_multiplier(gradients, faint.splats.logit_opacities)
    direction = np.random.default_rng(0).uniform(size=len(scene))
    numeric = (loss(1 + 2e-3 * direction) - loss(1 - 2e-3 * direction)) / 4e-3
    assert numeric == pytest.approx(float(slope @ direction), rel=0.03)


def test_the_mask_removes_those_that_the_pictures_do_not_need(scene: Scene, ctx: Context) -> None:
    needed = np.arange(len(scene)) % 2 == 0
    model = MaskModel(scene, 1e-3)
    _, like = CpuRenderer().render_with_grad(scene, ctx.cameras[0], lambda image: np.zeros_like(image.rgb))
    for _ in range(400):
        rows = model.kept
        # The picture asks for more of every other Gaussian, more strongly than the mask's price.
        pull = -np.where(needed[rows], 1e-3, 0.0).astype(np.float32)
        model.step(
            replace(
                like,
                **{name: getattr(like, name)[rows] for name in ("means", "log_scales", "quats", "sh", "means2d")},
                logit_opacities=pull,
                contribution=like.contribution[rows],
            ),
            1.0,
        )
    assert np.array_equal(model.kept, needed)


def test_codes_move_against_the_sum_of_their_members(scene: Scene, ctx: Context) -> None:
    cells = resolutions(2, 4, 8)
    field = FieldFit(Weights.fresh(2, 16, 4, np.random.default_rng(0)), Domain.around(scene.splats.means, cells), 0.1)
    model = CompactModel(scene, field)
    splats = scene.splats
    scales, quats = (ResidualCodes.fit(values, 2, 4, 0) for values in (splats.log_scales, splats.quats))
    model.quantize(scales, quats, Levels.spanning(splats.logit_opacities, -6, 12))
    _, gradients = CpuRenderer().render_with_grad(model.scene(), ctx.cameras[0], lambda image: image.rgb)
    model.step(gradients, 1.0)
    assert model.codes is not None
    moved = model.codes[0].now().codes.astype(np.float64) - scales.codes
    for stage in range(2):
        for code in range(4):
            pull = gradients.log_scales[scales.indices[:, stage] == code].sum(0, dtype=np.float64)
            clear = np.abs(moved[stage, code]) > 0
            assert (np.sign(moved[stage, code])[clear] == -np.sign(pull)[clear]).all()
    assert moved.any()


def test_positions_are_halves_in_any_order() -> None:
    means = np.concatenate([blob(200).splats.means * 50, np.zeros((3, 3), np.float32), -np.ones((2, 3), np.float32)])
    halves = to_halves(means, (1.0, -2.0, 3.0))
    halves = halves[position_order(halves)]
    assert np.array_equal(decode_positions(encode_positions(halves), len(halves)), halves)


def test_residual_codes_come_back_and_more_stages_are_closer() -> None:
    values = blob(500).splats.quats
    errors = []
    for stages in (1, 3, 6):
        codes = ResidualCodes.fit(values, stages, 16, 0)
        back = ResidualCodes.unpack(*codes.encode(), 500, 4)
        assert np.array_equal(back.decode(), codes.decode())
        errors.append(float(np.square(codes.decode() - values).mean()))
    assert errors[0] > 3 * errors[1] > 9 * errors[2]


def test_wrong_knobs_are_refused() -> None:
    for wrong in ({"mask": -1.0}, {"table": 0.0}, {"stages": 0}, {"codes": 1000}, {"joint": -1}, {"step": 0.0}):
        with pytest.raises(UsageError, match="compact-3dgs"):
            replace(QUICK, **wrong)


def damages(stream: bytes, count: int) -> Iterator[bytes]:
    """Bytes changed, cut off or added, half of the times among the first, where the sizes are."""
    rng = np.random.default_rng(len(stream))
    for number in range(count if stream else 0):
        place = int(rng.integers(min(len(stream), 24) if number % 2 else len(stream)))
        changed = bytes([*stream[:place], rng.integers(256), *stream[place + 1 :]])
        yield (changed, changed[:place], changed + b"x")[int(rng.integers(3))]


def test_damage_behind_valid_checksums_is_refused_or_decodes() -> None:
    scene = blob(60, 1)
    data = file_of(scene, few_views(scene))
    reader = Reader(data)
    (chunk,) = reader.chunks(QUICK.kinds)
    refused = 0
    for name, stream in chunk.streams.items():
        for damaged in damages(stream, 25):
            out = io.BytesIO()
            write(out, reader.header, [Chunk("BASE", 0, {**chunk.streams, name: damaged})])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                try:
                    api.decompress(out.getvalue())
                except UnreadableError:
                    refused += 1
    assert refused


def test_every_prefix_decodes_or_is_refused() -> None:
    scene = blob(20, 1)
    data = file_of(scene, few_views(scene))
    decoded = 0
    for length in range(0, len(data), 7):
        try:
            api.decompress(data[:length])
            decoded += 1
        except UnreadableError:
            assert not decoded, "a longer prefix must not be worse"
    assert api.decompress(data)
