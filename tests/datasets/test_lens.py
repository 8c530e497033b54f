"""Undistorting shows what a pinhole camera would have shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import worlds
from hypothesis import given, settings
from hypothesis import strategies as st

from gscompress.datasets import load_cameras, load_views
from gscompress.datasets.lens import Lens, sample_cubic
from gscompress.errors import UnreadableError
from gscompress.metrics import psnr

small = st.floats(-0.07, 0.07)
tiny = st.floats(-0.01, 0.01)


def picture(rays: np.ndarray) -> np.ndarray:
    """A smooth pattern on the plane z = 1."""
    x, y = rays[..., 0], rays[..., 1]
    bands = np.stack([np.sin(9 * x + 2 * y), np.cos(8 * y - x), np.sin(6 * x * y)], axis=-1)
    return np.round(127.5 + 120 * bands).astype(np.uint8)


@settings(max_examples=12, deadline=None)
@given(k1=small, k2=small, p1=tiny, p2=tiny)
def test_a_bent_photo_is_straightened(k1: float, k2: float, p1: float, p2: float) -> None:
    lens = Lens(160, 120, 130.0, 128.0, 82.0, 57.0, k1, k2, p1, p2)
    x, y = np.meshgrid(np.arange(160) + 0.5, np.arange(120) + 0.5)
    bent = np.stack([(x - lens.cx) / lens.fx, (y - lens.cy) / lens.fy], axis=-1)
    photo = picture(lens.undistort(bent, "test"))
    camera = lens.camera(np.eye(4), "", "test")
    straight = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy], axis=-1)
    assert psnr(lens.straighten(photo, camera), picture(straight)) > 42
    inside = lens.distort(straight) * [lens.fx, lens.fy] + [lens.cx, lens.cy]
    assert inside.min() > -0.01
    assert inside[..., 0].max() < 160.01
    assert inside[..., 1].max() < 120.01


def test_a_resized_photo_and_camera_agree() -> None:
    lens = Lens(160, 120, 130.0, 128.0, 82.0, 57.0, -0.1)
    camera = lens.camera(np.eye(4), "", "test").resized(80, 60)
    x, y = np.meshgrid(np.arange(80) + 0.5, np.arange(60) + 0.5)
    bent = np.stack([(2 * x - lens.cx) / lens.fx, (2 * y - lens.cy) / lens.fy], axis=-1)
    photo = picture(lens.undistort(bent, "test"))
    straight = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy], axis=-1)
    assert psnr(lens.straighten(photo, camera), picture(straight)) > 40


def test_cubic_sampling_at_whole_pixels_changes_nothing() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    row, column = np.mgrid[:9, :11].astype(np.float64)
    np.testing.assert_array_equal(sample_cubic(photo, row, column), photo)


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("SIMPLE_PINHOLE", (40.0, 24.0, 18.0)),
        ("SIMPLE_RADIAL", (40.0, 24.0, 18.0, -0.05)),
        ("RADIAL", (40.0, 24.0, 18.0, -0.05, 0.01)),
        ("OPENCV", (40.0, 40.0, 24.0, 18.0, -0.05, 0.01, 0.001, -0.001)),
    ],
)
def test_colmap_models_are_undistorted_on_load(model: str, parameters: tuple[float, ...], tmp_path: Path) -> None:
    worlds.write_colmap_text(tmp_path / "sparse" / "0", model, parameters)
    worlds.photos(tmp_path / "images")
    view = load_views(tmp_path)[1]
    assert view.image.shape == (36, 48, 3)
    assert view.lens is not None
    assert (view.camera.fx == 40) == view.lens.straight


def test_nerfstudio_coefficients_are_those_of_opencv(tmp_path: Path) -> None:
    parameters = (*worlds.FOCAL, *worlds.CENTRE, -0.05, 0.01, 0.001, -0.001)
    colmap = load_cameras(worlds.write_colmap_text(tmp_path / "c", "OPENCV", parameters))
    extra = dict(zip(("k1", "k2", "p1", "p2"), parameters[4:], strict=True))
    nerfstudio = load_cameras(worlds.write_nerfstudio(tmp_path / "n", **extra))
    for a, b in zip(colmap, nerfstudio, strict=True):
        np.testing.assert_allclose((a.fx, a.fy, a.cx, a.cy), (b.fx, b.fy, b.cx, b.cy))


@pytest.mark.parametrize("k1", [5.0, -3.0, 1e25])
def test_a_lens_that_folds_over_is_refused(k1: float, tmp_path: Path) -> None:
    folder = worlds.write_colmap_text(tmp_path / "sparse", "SIMPLE_RADIAL", (20.0, 24.0, 18.0, k1))
    if k1 > 0 and k1 < 100:
        assert len(load_cameras(folder)) == 3  # strong pincushion can be undone
    else:
        with pytest.raises(UnreadableError, match="cannot be undone"):
            load_cameras(folder)
