"""Laws of fields in the viewer: every viewpoint sees something, pictures are the renderer's, figures count weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from field_specimens import hash_field, mlp_field, voxel_field

from gscompress.field import Field
from gscompress.viewer.choice import DIFFERENCE, FILE, SERVER, Choice, Figures, figures_html
from gscompress.viewer.fields import LIMIT, prepare_field, world_of
from gscompress.viewer.pictures import Pictures, View

pytest.importorskip("torch")

from gscompress.renderers.volume import VolumeRenderer

CHOICE = Choice(SERVER, 0, FILE, 0.5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "a.npz").write_bytes(b"12345")
    return tmp_path / "a.npz"


def turned(field: Field) -> Field:
    world = [[0, 0, 2.0, 3], [2, 0, 0, -1], [0, 2, 0, 0.5]]
    return replace(field, spec=replace(field.spec, geometry={**field.spec.geometry, "world": world}))


@pytest.mark.parametrize("field", [voxel_field(), hash_field(), turned(voxel_field()), mlp_field()])
def test_every_viewpoint_sees_the_field(field: Field, path: Path) -> None:
    exhibit = prepare_field(path, field, None, None, (0, 0, 0))
    assert exhibit.limit == LIMIT
    assert not exhibit.browser
    assert len(exhibit.poses) >= 4
    for pose in exhibit.poses:
        ahead = (pose.target - pose.eye) / np.linalg.norm(pose.target - pose.eye)
        across = np.cross(ahead, exhibit.world.up + 0.01 * np.array([1, 2, 3]))
        across /= np.linalg.norm(across)
        matrix = np.stack([across, np.cross(ahead, across), ahead], 1)
        from scipy.spatial.transform import Rotation

        wxyz = np.roll(Rotation.from_matrix(matrix).as_quat(), 1)
        camera = exhibit.world.camera(wxyz, pose.eye, pose.fov, 16, 12)
        image = VolumeRenderer().render(field, camera, background=(0, 0, 0))
        assert image.alpha.max() > 0.3
        assert image.rgb.std() > 0.01


def test_pictures_and_figures_are_those_of_the_field(path: Path) -> None:
    field = voxel_field()
    exhibit = prepare_field(path, field, (path, voxel_field(seed=1)), (32, 24), (1, 1, 1))
    view = View((1.0, 0.0, 0.0, 0.0), (0.0, 0.0, -2.5), 0.8, 24, 16)
    shown = Pictures(exhibit).show(CHOICE, view, measure=True)
    assert shown.picture.shape == (16, 24, 3)
    assert 5 < (shown.psnr or 0) < 60
    assert Pictures(exhibit).show(replace(CHOICE, what=DIFFERENCE), view, measure=False).picture.any()
    html = figures_html(exhibit, CHOICE, Figures(1.0, (24, 16), shown.psnr))
    assert f"{field.weights:,}" in html
    assert "voxels" in html
    assert "Gaussians" not in html


def test_the_world_is_the_middle_of_the_box() -> None:
    world = world_of(turned(voxel_field()))
    inner = np.array([[0, 0, 2.0], [2, 0, 0], [0, 2, 0]]) @ world.focus + [3, -1, 0.5]
    np.testing.assert_allclose(inner, 0, atol=1e-9)
    assert world.radius == pytest.approx(3**0.5 / 2)
