"""Laws of SOG: files of the reference read right, the writer rounds to the nearest, bundles and folders agree."""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scene_strategies import degrees_between, opacity, random_scene, scenes

from gscompress.errors import OutputExistsError, UnreadableError, UsageError
from gscompress.events import EventLog, Message
from gscompress.formats import by_suffix, sog_codebook, sog_kernels, sog_palette, write
from gscompress.formats.ply import PlyFormat
from gscompress.formats.sog import SogFormat
from gscompress.formats.sog_read import PALETTE_COLUMNS
from gscompress.formats.sog_write import row_order
from gscompress.formats.webp_images import decode, encode
from gscompress.frame import RDF, RFU
from gscompress.scene import Scene

FIXTURES = Path(__file__).parent.parent / "fixtures"
SOG = SogFormat()


def read(path: Path, log: EventLog | None = None) -> Scene:
    return SOG.read(path, log or EventLog())


def through(scene: Scene, path: Path) -> Scene:
    SOG.write(scene, path, EventLog())
    return read(path)


def as_written(scene: Scene) -> Scene:
    """The scene with its rows in the order of the file."""
    return replace(scene, splats=scene.splats.take(row_order(scene.splats.means)))


def pictures(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".webp")]
        return {name: decode(archive.read(name), name, 1 << 24) for name in names}


def edit_meta(folder: Path, **changes: Any) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    for dotted, value in changes.items():
        target = meta
        *parents, last = dotted.split("__")
        for key in parents:
            target = target[key]
        target[last] = value
    (folder / "meta.json").write_text(json.dumps(meta))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    SOG.write(random_scene(60, 1, 3), tmp_path / "meta.json", EventLog())
    return tmp_path


def test_a_file_of_the_reference_writer_reads_as_the_reference_reads_it() -> None:
    ours = read(FIXTURES / "fruit.sog")
    theirs = PlyFormat().read(FIXTURES / "fruit.sog.decoded.ply", EventLog())
    assert ours.frame == theirs.frame == RDF
    for name in ("means", "log_scales", "quats", "sh"):
        np.testing.assert_allclose(getattr(ours.splats, name), getattr(theirs.splats, name), atol=1e-6)
    difference = opacity(ours.splats.logit_opacities) - opacity(theirs.splats.logit_opacities)
    assert np.abs(difference).max() <= 0.25 / 255 + 1e-6


def version_1(scene: Scene, folder: Path) -> None:
    """A version 1 folder, written from the description of the format: linear ranges instead of codebooks."""
    splats, side = scene.splats, int(np.ceil(np.sqrt(len(scene))))

    def put(name: str, rows: np.ndarray) -> list[str]:
        pixels = np.full((side * side, 4), 255, np.uint8)
        pixels[: len(rows), : rows.shape[1]] = rows
        (folder / name).write_bytes(encode(pixels.reshape(side, side, 4)))
        return [name]

    def spread(values: np.ndarray, levels: int) -> tuple[np.ndarray, dict[str, Any]]:
        low, high = values.min(axis=0), values.max(axis=0)
        steps = np.rint((values - low) / (high - low) * levels).astype(np.int64)
        return steps, {"shape": list(values.shape), "mins": low.tolist(), "maxs": high.tolist()}

    meta: dict[str, Any] = {}
    steps, meta["means"] = spread(np.sign(splats.means) * np.log1p(np.abs(splats.means)), 65535)
    meta["means"]["files"] = put("means_l.webp", steps & 255) + put("means_u.webp", steps >> 8)
    steps, meta["scales"] = spread(splats.log_scales, 255)
    meta["scales"]["files"] = put("scales.webp", steps)
    steps, meta["sh0"] = spread(np.concatenate([splats.sh[:, 0], splats.logit_opacities[:, None]], axis=1), 255)
    meta["sh0"]["files"] = put("sh0.webp", steps)
    unit = splats.quats / np.linalg.norm(splats.quats, axis=1, keepdims=True)
    quats = np.empty((len(scene), 4))
    for row, quat in enumerate(unit):
        largest = int(np.argmax(np.abs(quat)))
        three = np.delete(quat, largest) * np.sign(quat[largest])
        quats[row] = [*np.rint((three * np.sqrt(2) + 1) * 127.5), 252 + largest]
    meta["quats"] = {"files": put("quats.webp", quats)}
    rest = splats.sh[:, 1:]
    coefficients = rest.shape[1]
    rows = -(-len(scene) // PALETTE_COLUMNS)
    palette = np.full((rows * PALETTE_COLUMNS, coefficients, 4), 255, np.uint8)
    low, high = float(rest.min()), float(rest.max())
    palette[: len(scene), :, :3] = np.rint((rest - low) / (high - low) * 255)
    (folder / "shN_centroids.webp").write_bytes(encode(palette.reshape(rows, -1, 4)))
    labels = np.stack([np.arange(len(scene)) & 255, np.arange(len(scene)) >> 8], axis=1)
    files = ["shN_centroids.webp", *put("shN_labels.webp", labels)]
    meta["shN"] = {"shape": [len(scene), coefficients], "mins": low, "maxs": high, "quantization": 8, "files": files}
    (folder / "meta.json").write_text(json.dumps(meta))


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_version_1_folders_are_read(degree: int, tmp_path: Path) -> None:
    scene = random_scene(300, degree, 5)
    version_1(scene, tmp_path)
    after = read(tmp_path)
    assert after.meta["sog_version"] == 1
    a, b = scene.splats, after.splats
    logs = [np.sign(x) * np.log1p(np.abs(x)) for x in (a.means, b.means)]
    assert np.abs(logs[0] - logs[1]).max() < 0.6 * np.ptp(logs[0], axis=0).max() / 65535
    assert np.abs(a.log_scales - b.log_scales).max() < 0.51 * np.ptp(a.log_scales, axis=0).max() / 255
    assert np.abs(a.logit_opacities - b.logit_opacities).max() < 0.51 * np.ptp(a.logit_opacities) / 255
    assert np.abs(a.sh[:, 1:] - b.sh[:, 1:]).max() < 0.51 * np.ptp(a.sh[:, 1:]) / 255
    assert degrees_between(a.quats, b.quats).max() < SOG.bounds(scene)["quats"]


@settings(max_examples=15, deadline=None)
@given(scenes(300))
def test_errors_stay_within_the_stated_bounds(tmp_path_factory: pytest.TempPathFactory, scene: Scene) -> None:
    after = through(scene, tmp_path_factory.mktemp("sog") / "a.sog")
    assert (after.frame, after.model, after.splats.sh_degree) == (scene.frame, scene.model, scene.splats.sh_degree)
    bound, a, b = SOG.bounds(scene), as_written(scene).splats, after.splats
    assert np.abs(a.means - b.means).max() <= bound["means"]
    assert degrees_between(a.quats, b.quats).max() <= bound["quats"]
    assert np.abs(opacity(a.logit_opacities) - opacity(b.logit_opacities)).max() <= bound["opacities"] + 1e-6
    for before, read_back in ((a.log_scales, b.log_scales), (a.sh[:, 0], b.sh[:, 0])):
        uniform = np.ptp(before) / 255 / np.sqrt(12)
        assert np.sqrt(np.square(before - read_back).mean()) <= uniform + 1e-6


def test_writing_again_loses_nothing_but_a_position_step(tmp_path: Path) -> None:
    once = through(random_scene(500, 2, 1), tmp_path / "a.sog")
    again = through(once, tmp_path / "b.sog")
    a, b = as_written(once).splats, again.splats
    for name in ("log_scales", "logit_opacities", "sh"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert np.abs(a.means - b.means).max() <= SOG.bounds(once)["means"]


def test_the_same_scene_gives_the_same_bytes(tmp_path: Path) -> None:
    scene = random_scene(400, 3, 1)
    for name in ("a.sog", "b.sog"):
        SOG.write(scene, tmp_path / name, EventLog())
    assert (tmp_path / "a.sog").read_bytes() == (tmp_path / "b.sog").read_bytes()


def test_a_folder_and_a_bundle_hold_the_same_scene(tmp_path: Path) -> None:
    scene = random_scene(100, 3, 2)
    bundled = through(scene, tmp_path / "a.sog")
    (tmp_path / "out").mkdir()
    write(scene, tmp_path / "out" / "meta.json", force=False)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"meta.json", *pictures(tmp_path / "a.sog")}
    for path in (tmp_path / "out", tmp_path / "out" / "meta.json"):
        assert SOG.sniff(path, b"" if path.is_dir() else path.read_bytes()[:65536])
        for name in ("means", "log_scales", "quats", "logit_opacities", "sh"):
            np.testing.assert_array_equal(getattr(read(path).splats, name), getattr(bundled.splats, name))
    assert isinstance(by_suffix(Path("x/meta.json")), SogFormat)


def test_a_picture_in_the_way_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "quats.webp").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"quats\.webp"):
        write(random_scene(5, 0, 0), tmp_path / "meta.json", force=False)
    assert [p.name for p in tmp_path.iterdir()] == ["quats.webp"]
    assert (tmp_path / "quats.webp").read_text() == "mine"


@pytest.mark.parametrize("count", [0, 1, 2, 64, 65])
def test_few_gaussians(count: int, tmp_path: Path) -> None:
    scene = random_scene(count, 3, 0)
    assert len(through(scene, tmp_path / "a.sog")) == count
    for name, image in pictures(tmp_path / "a.sog").items():
        if name != "shN_centroids.webp":
            assert image.shape[1] % 4 == 0
            assert image.shape[0] * image.shape[1] >= count


def test_identical_gaussians_stay_exact(tmp_path: Path) -> None:
    scene = random_scene(1, 3, 0)
    many = replace(scene, splats=scene.splats.take(np.zeros(500, int)))
    after = through(many, tmp_path / "a.sog").splats
    np.testing.assert_allclose(after.means, many.splats.means, rtol=1e-6)
    for name in ("log_scales", "sh"):
        np.testing.assert_array_equal(getattr(after, name), getattr(many.splats, name))


def test_other_axes_are_turned(tmp_path: Path) -> None:
    scene = random_scene(20, 1, 0)
    a, b = through(scene, tmp_path / "a.sog"), through(scene.in_frame(RFU), tmp_path / "b.sog")
    np.testing.assert_allclose(a.splats.means, b.splats.means, rtol=1e-3, atol=1e-4)


def test_the_sh_error_is_reported(tmp_path: Path) -> None:
    events: list[Any] = []
    scene = random_scene(3000, 1, 0)
    SOG.write(scene, tmp_path / "a.sog", EventLog(events.append))
    error = as_written(scene).splats.sh[:, 1:] - read(tmp_path / "a.sog").splats.sh[:, 1:]
    expected = f"SH error rms {np.sqrt(np.square(error).mean()):.2g}, max {np.abs(error).max():.2g}"
    assert any(isinstance(e, Message) and expected in e.text for e in events)


def test_losses_name_what_is_given_up() -> None:
    scene = random_scene(100, 2, 0)
    scales = np.full((100, 3), -30, np.float32)
    sh = scene.splats.sh.copy()
    sh[0, 1] = 1e30
    splats = replace(scene.splats, extras={"label": np.zeros(100)}, log_scales=scales, sh=sh)
    losses = " ".join(SOG.losses(replace(scene, splats=splats)))
    for word in ("order", "label", "300 log scales", "3 SH coefficients", "64 sets"):
        assert word in losses


def test_absurd_numbers_are_clamped(tmp_path: Path) -> None:
    scene = random_scene(200, 1, 0)
    sh, scales = scene.splats.sh.copy(), scene.splats.log_scales.copy()
    sh[::3], scales[::5], scales[1::5] = 3e38, -np.inf, 3e38
    after = through(replace(scene, splats=replace(scene.splats, sh=sh, log_scales=scales)), tmp_path / "a.sog").splats
    assert np.abs(after.log_scales).max() == 20
    assert 99 < np.abs(after.sh).max() <= 100


# Reading what is odd or damaged


def test_a_codebook_without_its_first_entry_is_mended(folder: Path) -> None:
    before = read(folder)
    book = json.loads((folder / "meta.json").read_text())["scales"]["codebook"]
    edit_meta(folder, scales__codebook=[None, *book[1:]])
    after = read(folder).splats.log_scales
    first = before.splats.log_scales == np.float32(book[0])
    np.testing.assert_array_equal(after[~first], before.splats.log_scales[~first])
    np.testing.assert_allclose(after[first], book[1] + (book[1] - book[-1]) / 255, rtol=1e-6)


def test_unreadable_rotations_and_labels_are_replaced_with_a_warning(folder: Path) -> None:
    quats = decode((folder / "quats.webp").read_bytes(), "", 1 << 20).copy()
    quats[0, 0, 3] = 100
    (folder / "quats.webp").write_bytes(encode(quats))
    labels = decode((folder / "shN_labels.webp").read_bytes(), "", 1 << 20).copy()
    labels[0, 1, 1] = 200
    (folder / "shN_labels.webp").write_bytes(encode(labels))
    log = EventLog()
    splats = read(folder, log).splats
    np.testing.assert_array_equal(splats.quats[0], [1, 0, 0, 0])
    assert not splats.sh[1, 1:].any()
    assert splats.sh[0, 1:].any()
    assert len([w for w in log.warnings if "unreadable rotations" in w or "labels beyond" in w]) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 3}, "version 3"),
        ({"count": -1}, "number of Gaussians"),
        ({"count": 10**6}, "pixels, expected at least"),
        ({"means__mins": [0, 0]}, "means.mins"),
        ({"means__maxs": [0, 0, 500]}, "means.mins and maxs"),
        ({"means__maxs": [0, 0, 10**400]}, "no number"),
        ({"scales__codebook": [0.0]}, "refers to entry"),
        ({"sh0__codebook": "no"}, "sh0.codebook"),
        ({"quats__files": ["../quats.webp"]}, "inside the folder"),
        ({"quats__files": ["gone.webp"]}, "gone.webp"),
        ({"quats__files": []}, "names no picture"),
        ({"quats__files": ["meta.json"]}, "neither a WebP"),
        ({"quats": None}, "no 'quats'"),
        ({"shN__bands": 3}, "3 SH bands"),
        ({"means": 1}, "no SOG scene"),
    ],
)
def test_errors_say_what_is_wrong(folder: Path, changes: dict[str, Any], message: str) -> None:
    edit_meta(folder, **changes)
    with pytest.raises(UnreadableError, match=message):
        read(folder)


def test_lossy_and_oversized_pictures_are_refused(folder: Path) -> None:
    from PIL import Image

    lossy = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(lossy, "WEBP", lossless=False)
    (folder / "quats.webp").write_bytes(lossy.getvalue())
    with pytest.raises(UnreadableError, match="lossy"):
        read(folder)
    (folder / "quats.webp").write_bytes(encode(np.zeros((4096, 4096, 4), np.uint8)))
    with pytest.raises(UnreadableError, match="4096 x 4096"):
        read(folder)


def test_png_pictures_and_packed_folders_are_read(folder: Path, tmp_path: Path) -> None:
    from PIL import Image

    before = read(folder)
    png = io.BytesIO()
    Image.fromarray(decode((folder / "quats.webp").read_bytes(), "", 1 << 20)).save(png, "PNG")
    (folder / "quats.png").write_bytes(png.getvalue())
    edit_meta(folder, quats__files=["quats.png"])
    with zipfile.ZipFile(tmp_path / "b.sog", "w", zipfile.ZIP_DEFLATED) as archive:
        for item in folder.iterdir():
            if item.name != "b.sog":
                archive.write(item, f"scene/{item.name}")
    np.testing.assert_array_equal(read(tmp_path / "b.sog").splats.quats, before.splats.quats)


@pytest.mark.parametrize(("key", "value", "model"), [("model", "antialiased", "mip"), ("model", "2dgs", "2dgs")])
def test_model_tags(folder: Path, key: str, value: str, model: str) -> None:
    edit_meta(folder, **{key: value})
    assert read(folder).model == model


def test_the_old_antialias_flag_and_unknown_models(folder: Path) -> None:
    edit_meta(folder, antialias=True)
    assert read(folder).model == "mip"
    edit_meta(folder, antialias=False, model="voxels")
    log = EventLog()
    assert read(folder, log).model == "3dgs"
    assert any("voxels" in warning for warning in log.warnings)


def test_a_palette_size_out_of_range_is_refused() -> None:
    with pytest.raises(UsageError, match="sog:palette"):
        SogFormat(palette=8)


# The parts


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_pictures_come_back_exactly(width: int, height: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 4)).astype(np.uint8)
    pixels[..., 3] *= pixels[..., 3] > 128
    np.testing.assert_array_equal(decode(encode(pixels), "", 1000), pixels)


def lloyd(values: np.ndarray, book: np.ndarray) -> np.ndarray:
    """One round of k-means, the obvious way."""
    labels = np.argmin(np.abs(values[:, None] - book), axis=1)
    return np.array([values[labels == i].mean() if (labels == i).any() else book[i] for i in range(len(book))])


def test_a_codebook_is_a_fixed_point_of_k_means() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(size=6000), rng.normal(4, 0.1, 3000), [40.0]]).astype(np.float32)
    book = sog_codebook.fit(values)
    assert (np.diff(book) >= 0).all()
    labels = sog_codebook.nearest(values, book)
    np.testing.assert_array_equal(book[labels], book[np.argmin(np.abs(values[:, None] - book), axis=1)])
    error = np.square(values - book[labels]).mean()
    better = lloyd(values, lloyd(values, book))
    improved = np.square(values - better[np.argmin(np.abs(values[:, None] - better), axis=1)]).mean()
    assert improved > 0.95 * error
    assert error < 0.2 * np.square(np.ptp(values) / 255) / 12


def test_few_values_are_kept_exactly() -> None:
    values = np.random.default_rng(0).choice(np.linspace(-3, 9, 256, dtype=np.float32), 5000)
    book = sog_codebook.fit(values)
    np.testing.assert_array_equal(book[sog_codebook.nearest(values, book)], values)
    assert sog_codebook.fit(np.zeros(0)).shape == (256,)


def palette_error(x: np.ndarray, weights: np.ndarray, entries: int) -> float:
    palette, labels = sog_palette.fit(x, weights, entries)
    assert len(palette) <= entries
    return float((weights * np.square(x - palette[labels]).sum(axis=1)).sum())


def flat_k_means(x: np.ndarray, weights: np.ndarray, entries: int) -> float:
    """Plain weighted Lloyd from a random start, the obvious way."""
    centres = x[np.random.default_rng(0).choice(len(x), entries, replace=False)].copy()
    for _ in range(12):
        labels = np.argmin(np.square(x[:, None] - centres).sum(axis=2), axis=1)
        for i in range(entries):
            if (labels == i).any():
                centres[i] = np.average(x[labels == i], axis=0, weights=weights[labels == i])
    labels = np.argmin(np.square(x[:, None] - centres).sum(axis=2), axis=1)
    return float((weights * np.square(x - centres[labels]).sum(axis=1)).sum())


@pytest.mark.parametrize("entries", [64, 256])
def test_the_palette_is_as_good_as_plain_k_means(entries: int) -> None:
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(1500, 9)) * rng.gamma(1, 1, (1500, 1))).astype(np.float32)
    weights = rng.uniform(0.01, 1, 1500).astype(np.float32)
    assert palette_error(x, weights, entries) < 1.02 * flat_k_means(x, weights, entries)


def test_a_large_palette_is_split_without_losing_quality() -> None:
    """Over the size of one part, and not polished as a whole."""
    rng = np.random.default_rng(2)
    x = (rng.normal(size=(20000, 9)) * rng.gamma(1, 1, (20000, 1))).astype(np.float32)
    ones = np.ones(20000, np.float32)
    assert palette_error(x, ones, 16384) < 0.1 * palette_error(x, ones, 1024)


def test_vectors_that_fit_the_palette_are_kept_exactly() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(100, 24)).astype(np.float32)[rng.integers(0, 100, 3000)]
    palette, labels = sog_palette.fit(x, np.ones(3000, np.float32), 128)
    np.testing.assert_array_equal(palette[labels], x)


def test_merging_takes_the_cheapest_pair_every_time() -> None:
    rng = np.random.default_rng(5)
    x, weight = rng.normal(size=(40, 3)), rng.gamma(0.3, 1, 40) + 1e-3
    cost = weight[:, None] * weight / (weight[:, None] + weight) * np.square(x[:, None] - x).sum(axis=2)
    groups = [[i] for i in range(40)]

    def price(a: list[int], b: list[int]) -> float:
        means = [np.average(x[g], axis=0, weights=weight[g]) for g in (a, b)]
        sums = [weight[g].sum() for g in (a, b)]
        return sums[0] * sums[1] / sum(sums) * float(np.square(means[0] - means[1]).sum())

    for keep in range(39, 4, -1):
        pairs = [(price(a, b), i, j) for j, b in enumerate(groups) for i, a in enumerate(groups[:j])]
        _, i, j = min(pairs)
        groups[i] += groups.pop(j)
        labels = sog_kernels.merge_cheapest(cost.astype(np.float32), weight, keep)
        assert {frozenset(np.flatnonzero(labels == g).tolist()) for g in range(keep)} == {frozenset(g) for g in groups}


def error_of_runs(points: np.ndarray, mass: np.ndarray, cuts: tuple[int, ...]) -> float:
    runs = [slice(a, b) for a, b in itertools.pairwise((0, *cuts, len(points)))]
    means = [np.average(points[run], weights=mass[run]) for run in runs]
    return sum(float((mass[run] * (points[run] - mean) ** 2).sum()) for run, mean in zip(runs, means, strict=True))


def test_cuts_are_optimal() -> None:
    rng = np.random.default_rng(6)
    for _ in range(20):
        points, mass = np.sort(rng.normal(size=9)), rng.uniform(0.1, 3, 9)
        sums = [np.append(0, np.cumsum(column)) for column in (mass, mass * points, mass * points**2)]
        best = min(error_of_runs(points, mass, cuts) for cuts in itertools.combinations(range(1, 9), 3))
        cuts = tuple(sog_kernels.optimal_cuts(*sums, 4)[1:-1].tolist())
        assert error_of_runs(points, mass, cuts) == pytest.approx(best)


def test_dots_are_products() -> None:
    rng = np.random.default_rng(4)
    for width in (1, 3, 9, 45):
        a, b = rng.normal(size=(7, width)).astype(np.float32), rng.normal(size=(5, width)).astype(np.float32)
        np.testing.assert_allclose(sog_kernels.dots(a, b), a @ b.T, atol=1e-5)
