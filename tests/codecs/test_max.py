"""Preset max: what tuning sees is what the file decodes to, prices point where bits are saved, and files are those of
the default codec."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from specimens import blob

from gscompress import formats
from gscompress.codecs.coded_model import CodedModel
from gscompress.codecs.default import DefaultCodec
from gscompress.codecs.importance import by_looks
from gscompress.codecs.latents import grid_of, latents_of
from gscompress.codecs.max import MaxCodec
from gscompress.codecs.moved_rows import turn_by, turn_gradient
from gscompress.codecs.plan import Plan
from gscompress.codecs.rate_model import bits, prices_of, shape_slopes, slope, tables, total_bits
from gscompress.codecs.reconstruction import known_levels
from gscompress.container.chunk import Chunk, pack_streams
from gscompress.context import Context
from gscompress.errors import GscompressError
from gscompress.metrics import psnr
from gscompress.renderers.base import Gradients
from gscompress.renderers.cpu import CpuRenderer
from gscompress.scene import Scene
from gscompress.viewpoints import generate

RATE = 0.1
SCENE = Path(__file__).parent.parent / "fixtures" / "fruit.ply"


@pytest.fixture(scope="module")
def scene() -> Scene:
    return formats.read(SCENE)


@pytest.fixture(scope="module")
def renders(scene: Scene) -> Context:
    return Context(renderer=CpuRenderer(), cameras=generate(scene, 6, width=96))


@pytest.fixture(scope="module")
def photos(scene: Scene, renders: Context) -> Context:
    """Photos of a scene that differs a little from the one to compress, with noise."""
    rng, renderer = np.random.default_rng(0), CpuRenderer()
    sh = scene.splats.sh.copy()
    sh[:, 0] += rng.normal(0, 0.1, sh[:, 0].shape)
    other = replace(scene, splats=replace(scene.splats, sh=sh.astype(np.float32)))
    shown = [renderer.render(other, camera).rgb for camera in renders.cameras]
    noisy = [np.clip(255 * rgb + rng.normal(0, 2, rgb.shape), 0, 255).astype(np.uint8) for rgb in shown]
    return replace(renders, photos=noisy)


def plan_of(scene: Scene, step: float = 1e-3) -> Plan:
    return Plan.make(scene.splats, by_looks(scene), step, diffusion=0.0, part=131_072)


def size(chunks: list[Chunk]) -> int:
    return sum(len(pack_streams(chunk.streams)) for chunk in chunks)


def on_photos(scene: Scene, ctx: Context) -> float:
    shown = [CpuRenderer().render(scene, camera).rgb for camera in ctx.cameras]
    return float(np.mean([psnr(rgb, photo / np.float32(255)) for rgb, photo in zip(shown, ctx.photos)]))


@pytest.mark.parametrize(("degree", "part"), [(0, 1000), (1, 80), (3, 1000)])
def test_tuning_sees_what_the_file_decodes_to(degree: int, part: int) -> None:
    scene = blob(300, degree)
    plan = Plan.make(scene.splats, by_looks(scene), 1e-3, diffusion=0.0, part=part, layers=2)
    decoded = DefaultCodec().decode_whole(plan.chunks()).splats
    seen = CodedModel(plan, scene, RATE).scene().splats
    for name in ("means", "log_scales", "logit_opacities"):
        np.testing.assert_allclose(getattr(seen, name), getattr(decoded, name), rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(np.abs((seen.quats * decoded.quats).sum(1)), 1, atol=1e-6)
    np.testing.assert_allclose(seen.sh, decoded.sh, atol=1e-5)


def test_a_tuned_plan_decodes_to_what_tuning_saw_last(scene: Scene, renders: Context) -> None:
    model = CodedModel(plan_of(scene), scene, RATE)
    rng = np.random.default_rng(1)
    for _ in range(3):
        model.scene()
        model.step(random_gradients(scene, rng), 1.0)
    seen = model.scene()
    decoded = DefaultCodec().decode_whole(model.plan().chunks())
    for camera in renders.cameras[:2]:
        a, b = (CpuRenderer().render(s, camera).rgb for s in (seen, decoded))
        assert psnr(a, b) > 60  # a Gaussian may have got a neighbour since its position levels were counted


def random_gradients(scene: Scene, rng: np.random.Generator) -> Gradients:
    splats = scene.splats

    def like(array: np.ndarray) -> np.ndarray:
        return rng.normal(size=array.shape).astype(np.float32)

    arrays = splats.means, splats.log_scales, splats.quats, splats.logit_opacities, splats.sh
    count = len(splats)
    return Gradients(*map(like, arrays), np.zeros((count, 2), np.float32), np.ones(count, np.float32))


def test_rows_keep_their_classes_when_they_move() -> None:
    scene = blob(200)
    plan = plan_of(scene)
    rng = np.random.default_rng(2)
    shuffled = rng.permutation(200)
    moved = plan.with_splats(replace(plan.splats, means=plan.splats.means[shuffled]))
    row = {tuple(quat): i for i, quat in enumerate(plan.splats.quats.tolist())}
    was = np.array([row[tuple(quat)] for quat in moved.splats.quats.tolist()])
    assert np.array_equal(moved.classes.shape, plan.classes.shape[was])
    assert np.array_equal(moved.classes.colour, plan.classes.colour[was])


def test_turn_gradients_are_those_of_small_turns() -> None:
    rng = np.random.default_rng(3)
    quats = rng.normal(size=(9, 4))
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    slopes = rng.normal(size=(9, 4))
    for i in range(9):
        exact = np.empty(3)
        turn_gradient(quats, slopes, i, exact)
        for axis in range(3):
            turned = []
            for angle in (1e-2, -1e-2):
                turn, quat = np.zeros(3), quats[i : i + 1].copy()
                turn[axis] = angle
                turn_by(quat, 0, turn)
                turned.append(quat[0])
            assert exact[axis] == pytest.approx((turned[0] - turned[1]) @ slopes[i] / 2e-2, abs=1e-3)


def test_slopes_are_those_of_the_bits() -> None:
    rng = np.random.default_rng(4)
    values, classes = np.round(rng.laplace(0, 4, (500, 3))), rng.integers(0, 8, 500)
    made = tables(values, classes)
    up = total_bits(made, values + 1, classes) - total_bits(made, values, classes)
    slopes = [slope(v, made[c, k]) for row, c in zip(values, classes) for k, v in enumerate(row)]
    assert sum(slopes) == pytest.approx(up, rel=0.02)


def test_shape_slopes_point_to_fewer_bits() -> None:
    long = shape_slopes(0.0, -1.0, -3.0, True)
    assert long[2] < 0 < long[0]  # thinner and longer both cost
    assert shape_slopes(0.0, -0.05, -0.1, True)[:2] == (0, 0)  # a ball has no turn to pay for


def test_descending_the_price_saves_bytes(scene: Scene) -> None:
    plan = plan_of(scene)
    cheap = CodedModel(plan, scene, RATE, price=1.0)
    for _ in range(15):
        blind = random_gradients(scene, np.random.default_rng(5))
        cheap.scene()
        cheap.step(replace(blind, **{name: 0 * getattr(blind, name) for name in GRADIENTS}), 1.0)
    assert size(list(cheap.plan().chunks())) < 0.95 * size(list(plan.chunks()))


GRADIENTS = ("means", "log_scales", "quats", "logit_opacities", "sh")


def test_bits_are_near_those_of_the_coder() -> None:
    scene = blob(3000, 1)
    plan = plan_of(scene, 3e-4)
    grid = grid_of(plan)
    latents = latents_of(plan, grid)
    guess = bits(latents, grid, prices_of(latents, plan, grid, known_levels(plan.shared.box, plan.splats.means)))
    streams: dict[str, int] = {}
    for chunk in plan.chunks():
        for name, data in chunk.streams.items():
            streams[name] = streams.get(name, 0) + 8 * len(data)
    for name in ("scale", "opacity", "dc", "sh"):
        assert 0.6 < guess[name] / streams[name] < 1.6, name


def test_files_are_the_default_codecs_and_the_same_twice(scene: Scene, photos: Context) -> None:
    codec = MaxCodec(tune=1.0)
    chunks = list(codec.encode(scene, replace(photos, memo={})))
    again = list(codec.encode(scene, replace(photos, memo={})))
    assert [c.streams for c in chunks] == [c.streams for c in again]
    mine, default = codec.decode_whole(chunks), DefaultCodec().decode_whole(chunks)
    assert np.array_equal(mine.splats.sh, default.splats.sh)
    assert np.array_equal(list(codec.decode(chunks))[-1].splats.means, default.splats.means)


def test_a_smaller_file_shows_the_photos_better_than_the_original(scene: Scene, photos: Context) -> None:
    codec = MaxCodec(tune=8.0)
    chunks = list(codec.encode(scene, replace(photos, memo={})))
    assert on_photos(codec.decode_whole(chunks), photos) > on_photos(scene, photos)
    assert size(chunks) < size(list(DefaultCodec().encode(scene, replace(photos, memo={}))))


@pytest.mark.parametrize("given", ["photos", "renders"])
def test_quality_is_monotone_in_size(scene: Scene, given: str, request: pytest.FixtureRequest) -> None:
    ctx: Context = request.getfixturevalue(given)
    sizes = [size(list(MaxCodec(quality=q, tune=0.5).encode(scene, replace(ctx, memo={})))) for q in (10, 50, 90)]
    assert sizes == sorted(set(sizes))


def test_without_pictures_it_is_the_fast_preset(scene: Scene) -> None:
    chunks = list(MaxCodec(quality=40.0).encode(scene, Context()))
    fast = list(DefaultCodec(quality=40.0, renders=False, prune=0.0).encode(scene, Context()))
    assert [c.streams for c in chunks] == [c.streams for c in fast]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_smallest_scenes_pass(count: int) -> None:
    scene = blob(count)
    cameras = generate(blob(50), 2, width=48)
    codec = MaxCodec(tune=0.2)
    assert len(codec.decode_whole(list(codec.encode(scene, Context(renderer=CpuRenderer(), cameras=cameras))))) <= count


def test_damage_is_reported(scene: Scene) -> None:
    chunks = list(MaxCodec().encode(scene, Context()))
    rng, refused = np.random.default_rng(6), 0
    for _ in range(20):
        chunk = chunks[rng.integers(len(chunks))]
        name = list(chunk.streams)[rng.integers(len(chunk.streams))]
        data = bytearray(chunk.streams[name])
        if not data:
            continue
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        bad = replace(chunk, streams={**chunk.streams, name: bytes(data)})
        try:
            MaxCodec().decode_whole([bad if c is chunk else c for c in chunks])
        except (GscompressError, ValueError, KeyError):
            refused += 1
    assert refused
