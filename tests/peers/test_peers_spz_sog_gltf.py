"""SPZ, SOG, glTF and checkpoints against programs that are not ours: gsply, GaussForge, gsplat and splat-transform.

gsply and GaussForge keep the numbers of a .ply when they write SPZ and turn nothing when they read it, so files that
go through them are compared number by number; splat-transform 2.7 turns axes as the specification asks.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gscompress.events import EventLog
from gscompress.formats.base import Format
from gscompress.formats.checkpoint import CheckpointFormat
from gscompress.formats.gltf import GltfFormat
from gscompress.formats.ply import PlyFormat
from gscompress.formats.sog import SogFormat
from gscompress.formats.sog_write import row_order
from gscompress.formats.spz import SpzFormat
from gscompress.frame import RDF, quat_to_matrix
from gscompress.scene import Scene, Splats

FIXTURES = Path(__file__).parent.parent / "fixtures"
PLY, SOG, GLTF = PlyFormat(), SogFormat(), GltfFormat()
LOG = EventLog()


@pytest.fixture(scope="module")
def fruit() -> Scene:
    scene = PLY.read(FIXTURES / "fruit.ply", LOG)
    return replace(scene, splats=replace(scene.splats, extras={}))


def opacity(splats: Splats) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * splats.logit_opacities.astype(np.float64)))


def shapes(splats: Splats) -> np.ndarray:
    """Covariances, which do not depend on how a rotation is written down, relative to their size."""
    half = quat_to_matrix(splats.quats) * np.exp(splats.log_scales.astype(np.float64))[:, None]
    full = half @ half.transpose(0, 2, 1)
    return full / np.trace(full, axis1=1, axis2=2)[:, None, None]


def assert_same(one: Splats, two: Splats) -> None:
    """The same picture up to float32 rounding; opacities of exactly 0 and 1 may be read a quarter byte off."""
    np.testing.assert_allclose(one.means, two.means, atol=1e-6)
    np.testing.assert_allclose(one.log_scales.sum(axis=1), two.log_scales.sum(axis=1), atol=1e-5)
    np.testing.assert_allclose(shapes(one), shapes(two), atol=2e-6)
    np.testing.assert_allclose(opacity(one), opacity(two), atol=0.2501 / 255)
    np.testing.assert_allclose(one.sh, two.sh, atol=1e-6)


# --- gsply ------------------------------------------------------------------------------------------------------------


def from_gsply(data: Any) -> Splats:
    sh = np.concatenate([data.sh0[:, None], data.shN], axis=1)
    return Splats(data.means, data.scales, data.quats, data.opacities, sh.astype(np.float32))


@pytest.mark.parametrize("version", [3, 4])
def test_gsply_reads_our_spz(fruit: Scene, version: int, tmp_path: Path) -> None:
    gsply = pytest.importorskip("gsply")
    fmt = SpzFormat(version=version)  # type: ignore[arg-type]
    fmt.write(fruit, tmp_path / "a.spz", LOG)
    assert_same(fmt.read(tmp_path / "a.spz", LOG).splats, from_gsply(gsply.read_spz(tmp_path / "a.spz")))


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("bits", [10, 14])
def test_we_read_the_spz_of_gsply(fruit: Scene, version: int, bits: int, tmp_path: Path) -> None:
    gsply = pytest.importorskip("gsply")
    path = tmp_path / "a.spz"
    gsply.write_spz(path, gsply.plyread(FIXTURES / "fruit.ply"), version=version, fractional_bits=bits)
    ours = SpzFormat().read(path, LOG)
    assert_same(ours.splats, from_gsply(gsply.read_spz(path)))
    assert np.abs(ours.splats.means - fruit.splats.means).max() <= 0.5001 / 2**bits


# --- GaussForge -------------------------------------------------------------------------------------------------------


def forge(data: bytes, source: str, target: str, **options: Any) -> bytes:
    gaussforge = pytest.importorskip("gaussforge")
    result = gaussforge.GaussForge().convert(data, source, target, **options)
    assert "error" not in result, result
    return bytes(result["data"])


def as_ply(data: bytes, source: str, folder: Path) -> Scene:
    (folder / "forged.ply").write_bytes(forge(data, source, "ply"))
    return PLY.read(folder / "forged.ply", LOG)


@pytest.mark.parametrize(
    ("name", "fmt"), [("spz", SpzFormat()), ("spz", SpzFormat(version=3)), ("sog", SOG)], ids=["spz4", "spz3", "sog"]
)
def test_gaussforge_reads_ours(fruit: Scene, name: str, fmt: Format, tmp_path: Path) -> None:
    path = tmp_path / f"a.{name}"
    fmt.write(fruit, path, LOG)
    assert_same(fmt.read(path, LOG).splats, as_ply(path.read_bytes(), name, tmp_path).splats)


@pytest.mark.parametrize(("name", "options"), [("spz", {"spz_version": 3}), ("spz", {"spz_version": 4}), ("sog", {})])
def test_we_read_what_gaussforge_writes(name: str, options: dict[str, int], tmp_path: Path) -> None:
    path = tmp_path / f"a.{name}"
    path.write_bytes(forge((FIXTURES / "fruit.ply").read_bytes(), "ply", name, **options))
    fmt: Format = SOG if name == "sog" else SpzFormat()
    assert_same(fmt.read(path, LOG).splats, as_ply(path.read_bytes(), name, tmp_path).splats)


# --- gsplat -----------------------------------------------------------------------------------------------------------


def test_a_checkpoint_reads_as_the_ply_that_gsplat_exports(fruit: Scene, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    exporter = pytest.importorskip("gsplat.exporter")
    s = fruit.splats
    arrays = {"means": s.means, "scales": s.log_scales, "quats": s.quats, "opacities": s.logit_opacities}
    tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    tensors |= {"sh0": torch.from_numpy(s.sh[:, :1].copy()), "shN": torch.from_numpy(s.sh[:, 1:].copy())}
    torch.save({"step": 1, "splats": tensors}, tmp_path / "a.pt")
    exporter.export_splats(**tensors, format="ply", save_to=str(tmp_path / "a.ply"))
    ours, theirs = CheckpointFormat().read(tmp_path / "a.pt", LOG), PLY.read(tmp_path / "a.ply", LOG)
    for name in ("means", "log_scales", "quats", "logit_opacities", "sh"):
        np.testing.assert_array_equal(getattr(ours.splats, name), getattr(theirs.splats, name))
    assert ours.frame == theirs.frame


# --- splat-transform --------------------------------------------------------------------------------------------------

needs_splat_transform = pytest.mark.skipif(shutil.which("splat-transform") is None, reason="needs splat-transform")


def transform(*arguments: object) -> None:
    command = ["splat-transform", "-w", "-q", "-g", "cpu", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


@needs_splat_transform
@pytest.mark.parametrize(
    ("name", "fmt"),
    [("a.spz", SpzFormat()), ("a.spz", SpzFormat(version=3)), ("a.sog", SOG), ("meta.json", SOG)],
    ids=["spz4", "spz3", "sog", "folder"],
)
def test_splat_transform_reads_ours(fruit: Scene, name: str, fmt: Format, tmp_path: Path) -> None:
    fmt.write(fruit, tmp_path / name, LOG)
    transform(tmp_path / name, tmp_path / "back.ply")
    ours = fmt.read(tmp_path / name, LOG)
    assert_same(ours.in_frame(RDF).splats, PLY.read(tmp_path / "back.ply", LOG).splats)


@needs_splat_transform
@pytest.mark.parametrize(
    ("name", "fmt", "options"),
    [
        ("a.spz", SpzFormat(), ["--spz-version", 4]),
        ("a.spz", SpzFormat(), ["--spz-version", 3]),
        ("a.sog", SOG, []),
        ("meta.json", SOG, []),
    ],
    ids=["spz4", "spz3", "sog", "folder"],
)
def test_we_read_what_splat_transform_writes(name: str, fmt: Format, options: list[Any], tmp_path: Path) -> None:
    transform(FIXTURES / "fruit.ply", *options, tmp_path / name)
    transform(tmp_path / name, tmp_path / "back.ply")
    ours = fmt.read(tmp_path / name, LOG)
    assert_same(ours.in_frame(RDF).splats, PLY.read(tmp_path / "back.ply", LOG).splats)


@needs_splat_transform
def test_our_glb_is_that_of_splat_transform(fruit: Scene, tmp_path: Path) -> None:
    transform(FIXTURES / "fruit.ply", tmp_path / "theirs.glb")
    GLTF.write(fruit, tmp_path / "ours.glb", LOG)
    ours, theirs = GLTF.read(tmp_path / "ours.glb", LOG), GLTF.read(tmp_path / "theirs.glb", LOG)
    assert ours.frame == theirs.frame
    assert_same(ours.splats, theirs.splats)


@needs_splat_transform
def test_our_sog_is_closer_to_the_scene_than_that_of_splat_transform(fruit: Scene, tmp_path: Path) -> None:
    transform(FIXTURES / "fruit.ply", tmp_path / "theirs.sog")
    SOG.write(fruit, tmp_path / "ours.sog", LOG)
    order = row_order(fruit.splats.means)
    theirs = SOG.read(tmp_path / "theirs.sog", LOG).splats
    nearest = np.argmin(np.abs(theirs.means[:, None] - fruit.splats.means[None]).sum(axis=2), axis=1)
    for name in ("means", "log_scales", "sh"):
        source = getattr(fruit.splats, name)
        ours = np.square(getattr(SOG.read(tmp_path / "ours.sog", LOG).splats, name) - source[order]).mean()
        assert ours <= np.square(getattr(theirs, name) - source[nearest]).mean()
